"""The versions that a `Model` was resolved to, and the templates in its name and version."""

from __future__ import annotations

import string
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tallymark.errors import InvalidArgument

if TYPE_CHECKING:
    from tallymark.types.resources import ModelVersion

# The lengths of keys. A registry has its url and project as key; a run also its id; a version in a run also the name
# and version of the model.
REGISTRY_KEY, RUN_KEY = 2, 3
MAX_CACHED_RUNS = 64

Key = tuple[str, ...]


class EndedRun(NamedTuple):
    """A run that was started in this context and has ended: its key, and when it ended."""

    run_key: tuple[str, str, str]
    time: float


class VersionCache:
    """The versions that one `Model` object was resolved to, by run, and by registry outside runs.

    `versions` is ordered by last use, because the last use decides what the object means outside runs. Thread-safe;
    pickled and copied with the object.
    """

    def __init__(self) -> None:
        self.versions: dict[Key, ModelVersion] = {}
        self.request_ids: dict[Key, str] = {}
        self.texts: dict[Key, tuple[str, str]] = {}
        # When each run used the object first, by time.monotonic().
        self.first_uses: dict[Key, float] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {name: dict(value) for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def in_run(self, key: Key) -> ModelVersion | None:
        """Return the version that the object means in a run, None if the run has not used it."""
        with self._lock:
            found = self.versions.get(key)
            if found is not None and next(reversed(self.versions)) != key:
                self.versions[key] = self.versions.pop(key)
            return found

    def outside(self, registry: Key, ended: EndedRun | None) -> ModelVersion | None:
        """Return the version that the object means outside runs: of the last run that used it, or created since.

        `ended` is the last run of the calling code. It takes precedence over concurrent runs of other threads, but not
        over runs that started after it ended.
        """
        with self._lock:
            own = ended if ended is not None and ended.run_key in self.first_uses else None
            for key in reversed(self.versions):
                run = key[:RUN_KEY] if len(key) > REGISTRY_KEY else None
                counts = run is None or own is None or run == own.run_key or self.first_uses[run] > own.time
                if key[:REGISTRY_KEY] == registry and counts:
                    return self.versions[key]
            return None

    def keep(self, key: Key, version: ModelVersion) -> bool:
        """Add a version, and drop the oldest runs. Return whether the key is new."""
        with self._lock:
            is_new = self.versions.pop(key, None) is None
            self.versions[key] = version
            if len(key) > REGISTRY_KEY:
                self.first_uses.setdefault(key[:RUN_KEY], time.monotonic())
            for cache in (self.versions, self.request_ids):
                runs = [known for known in cache if len(known) > REGISTRY_KEY]
                for oldest in runs[:-MAX_CACHED_RUNS]:
                    cache.pop(oldest, None)
            used = {known[:RUN_KEY] for known in self.versions if len(known) > REGISTRY_KEY}
            self.first_uses = {run: first for run, first in self.first_uses.items() if run in used}
            return is_new


def fill_template(text: str, moment: datetime, substitutions: Mapping[str, str]) -> str:
    """Return the text with its templates filled in. Raises InvalidArgument for a key without a value."""
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
