"""What a `Model` was found to mean, and how the templates in its name and version are filled in."""

from __future__ import annotations

import string
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tallymark.errors import InvalidArgument

if TYPE_CHECKING:
    from tallymark.resources import ModelVersion

# A registry is known by its url and project; a run by these and its id; a version in a run also by name and version.
REGISTRY_KEY, RUN_KEY = 2, 3
MAX_REMEMBERED_RUNS = 64

Key = tuple[str, ...]


class Memory:
    """The versions that a `Model` object was found to mean: by run, and by registry outside runs.

    `versions` is ordered by when each was used last, so that the last use decides what the object means outside runs.
    Safe to use from several threads; pickled and copied with the object.
    """

    def __init__(self) -> None:
        self.versions: dict[Key, ModelVersion] = {}
        self.request_ids: dict[Key, str] = {}
        self.texts: dict[Key, tuple[str, str]] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {name: dict(value) for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def in_run(self, key: Key) -> ModelVersion | None:
        """Return what the object means in a run, None if that run has not used it."""
        with self._lock:
            found = self.versions.get(key)
            if found is not None and next(reversed(self.versions)) != key:
                self.versions[key] = self.versions.pop(key)
            return found

    def outside(self, registry: Key, ended_run: Key | None) -> ModelVersion | None:
        """Return what the object means outside runs: what the last run made of it, or what was created since.

        `ended_run` is the last run of the code that asks: its own run comes before those of other threads.
        """
        with self._lock:
            own = any(key[:RUN_KEY] == ended_run for key in self.versions if len(key) > REGISTRY_KEY)
            for key in reversed(self.versions):
                of_run = len(key) > REGISTRY_KEY
                if key[:REGISTRY_KEY] == registry and (not of_run or not own or key[:RUN_KEY] == ended_run):
                    return self.versions[key]
            return None

    def keep(self, key: Key, version: ModelVersion) -> bool:
        """Remember what the object means, and forget the oldest runs. Return whether it was unknown."""
        with self._lock:
            is_new = self.versions.pop(key, None) is None
            self.versions[key] = version
            for kept in (self.versions, self.request_ids):
                runs = [known for known in kept if len(known) > REGISTRY_KEY]
                for forgotten in runs[:-MAX_REMEMBERED_RUNS]:
                    kept.pop(forgotten, None)
            return is_new


def filled(text: str, moment: datetime, substitutions: Mapping[str, str]) -> str:
    """Return the text with its templates filled in. Raises InvalidArgument for a key that nobody named."""
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
