"""The links of the dashboard. Names are written in them so that no browser reads them as something else."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, urlencode

DEFAULT_PROJECT = "default"
JSON = ".json"
# Ends a name that a browser or this server would read otherwise: `..` as the folder above, `x.json` as a format.
_GUARD = "~"


def segment(name: str) -> str:
    """The name as one segment of a path."""
    if name in (".", "..") or name.endswith((JSON, _GUARD)):
        name += _GUARD
    return quote(name, safe="")


def named(text: str) -> str:
    """The name that a segment, percent-decoded, stands for."""
    return text.removesuffix(_GUARD)


def query(**values: object) -> str:
    """`?` and the values that are not empty; nothing if all are."""
    given = [(key, each) for key, value in values.items() for each in _each(value) if each not in ("", None)]
    return "?" + urlencode(given) if given else ""


def _each(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else (value,)


class Addresses:
    """The links within one project."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.root = "" if project == DEFAULT_PROJECT else f"/projects/{quote(project, safe='')}"

    @staticmethod
    def of(project: str) -> Addresses:
        """Return the links within another project."""
        return Addresses(project)

    def models(self, **values: object) -> str:
        """The list of models."""
        return f"{self.root}/{query(**values)}"

    def model(self, name: str, what: str = "", **values: object) -> str:
        """The page of a model, or of something about it."""
        return f"{self.root}/models/{segment(name)}{what and '/' + what}{query(**values)}"

    def version(self, name: str, number: int, what: str = "", **values: object) -> str:
        """The page of a version, or of something about it."""
        return self.model(name, f"versions/{number}{what and '/' + what}", **values)

    def run(self, run: str, **values: object) -> str:
        """Return the address of a run's page."""
        return f"{self.root}/runs/{segment(run)}{query(**values)}"

    def page(self, what: str, **values: object) -> str:
        """Another page of the project: activity, go, live, runs, settings."""
        return f"{self.root}/{what}{query(**values)}"
