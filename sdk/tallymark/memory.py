"""What a `Model` was found to mean, and how its templates are filled in."""

from __future__ import annotations

import string
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from tallymark.errors import InvalidArgument

if TYPE_CHECKING:
    from tallymark.resources import ModelVersion

# A registry is known by its url and project; a run by these and its id; a version in a run also by name and version.
REGISTRY_KEY, RUN_KEY = 2, 3
REMEMBERED_RUNS = 64


class Memory:
    """What a `Model` was found to mean: by run, or by registry outside a run.

    What is known outside a run is never forgotten: it would be numbered a second time.
    """

    def __init__(self) -> None:
        self.versions: dict[tuple[str, ...], ModelVersion] = {}
        self.request_ids: dict[tuple[str, ...], str] = {}
        self.texts: dict[tuple[str, ...], tuple[str, str]] = {}

    def of_run(self, run: tuple[str, ...] | None, registry: tuple[str, ...]) -> ModelVersion | None:
        """What that run of the registry has made of the model last, or else the last run that is remembered."""
        runs = [key for key in self.versions if len(key) > REGISTRY_KEY and key[:REGISTRY_KEY] == registry]
        of_it = [key for key in runs if key[:RUN_KEY] == run]
        return self.versions[(of_it or runs)[-1]] if runs else None

    def keep(self, key: tuple[str, ...], version: ModelVersion) -> None:
        """Keep what the model means, for the next question; of long-gone runs, forget it."""
        self.versions.pop(key, None)
        self.versions[key] = version
        for kept in (self.versions, self.request_ids):
            runs = [known for known in kept if len(known) > REGISTRY_KEY]
            for forgotten in runs[:-REMEMBERED_RUNS]:
                kept.pop(forgotten, None)


def filled(text: str, moment: datetime, substitutions: Mapping[str, str]) -> str:
    """The text with its templates filled in; InvalidArgument."""
    if "{" not in text:
        return text
    known = {"date": moment.strftime("%Y_%m_%d"), "time": moment.strftime("%H_%M_%S_%f"), **substitutions}
    try:
        return string.Formatter().vformat(text, (), known)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        names = ", ".join(f"{{{name}}}" for name in sorted(known))
        raise InvalidArgument(
            f"{text!r} cannot be filled in ({error}); it may contain {names}, and what substitutions= names"
        ) from None
