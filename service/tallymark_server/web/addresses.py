"""The links of the dashboard. Names are encoded so that no browser reads them as something else."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, urlencode

DEFAULT_PROJECT = "default"
JSON = ".json"
# Appended to a name that would be read as something else: `..` as the parent folder, `x.json` as a format.
_GUARD = "~"


def segment(name: str) -> str:
    """Return the name as one segment of a path."""
    if name in (".", "..") or name.endswith((JSON, _GUARD)):
        name += _GUARD
    return quote(name, safe="")


def named(text: str) -> str:
    """Return the name in a percent-decoded segment."""
    return text.removesuffix(_GUARD)


def query(**values: object) -> str:
    """Return `?` and the values that are not empty, or an empty text."""
    given = [(key, each) for key, value in values.items() for each in _each(value) if each not in ("", None)]
    return "?" + urlencode(given) if given else ""


def _each(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else (value,)


class Addresses:
    """The addresses of the pages of a project."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.root = "" if project == DEFAULT_PROJECT else f"/projects/{quote(project, safe='')}"

    @staticmethod
    def of(project: str) -> Addresses:
        """Return the addresses of another project."""
        return Addresses(project)

    def models(self, **values: object) -> str:
        """Return the address of the page of all models."""
        return f"{self.root}/{query(**values)}"

    def model(self, name: str, what: str = "", **values: object) -> str:
        """Return the address of a model's page, or of a form about it."""
        return f"{self.root}/models/{segment(name)}{what and '/' + what}{query(**values)}"

    def version(self, name: str, number: int, what: str = "", **values: object) -> str:
        """Return the address of a version's page, or of a form about it."""
        return self.model(name, f"versions/{number}{what and '/' + what}", **values)

    def run(self, run: str, **values: object) -> str:
        """Return the address of a run's page."""
        return f"{self.root}/runs/{segment(run)}{query(**values)}"

    def page(self, what: str, **values: object) -> str:
        """Return the address of another page of the project: activity, go, live, runs, settings."""
        return f"{self.root}/{what}{query(**values)}"
