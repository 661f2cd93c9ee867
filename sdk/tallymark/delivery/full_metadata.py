"""Versions whose metadata has reached its size limit: refuse new keys without a request for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from tallymark.client import calls
from tallymark.delivery.outcomes import CallRunner
from tallymark.errors import TallymarkError, ValueTooLarge
from tallymark.types.resources import Value


class FullVersions:
    """The size of the smallest key with value that each version of a journal had no room for. Metadata only grows."""

    def __init__(self, client: CallRunner, project: str) -> None:
        self._client = client
        self._project = project
        self._smallest: dict[int, tuple[int, str]] = {}

    def is_full(self, number: int) -> bool:
        """Return whether the version with this number in the journal has refused metadata for its size."""
        return number in self._smallest

    def record_refusal(self, number: int, version: str, facts: Mapping[str, Value], error: TallymarkError) -> None:
        """Record that a request with a single key was refused."""
        if isinstance(error, ValueTooLarge) and not facts.keys() & self._known(version):
            size = _size(facts)
            if number not in self._smallest or size < self._smallest[number][0]:
                self._smallest[number] = (size, str(error))

    def without_room(self, number: int, version: str, facts: Mapping[str, Value]) -> dict[str, str]:
        """Return the keys that the version has no room for, with the reason.

        These are new keys that are at least as large as one that was refused.
        """
        if number not in self._smallest:
            return {}
        smallest, why = self._smallest[number]
        large = [key for key, value in facts.items() if _size({key: value}) >= smallest]
        known = self._known(version) if large else set[str]()
        return {key: why for key in large if key not in known}

    def _known(self, version: str) -> set[str]:
        found = self._client.run_call(calls.get_version(self._project, version, show_deleted=True))
        return set(found.metadata)


def _size(facts: Mapping[str, Value]) -> int:
    """Return the size of the metadata in bytes, as the service counts it."""
    return len(json.dumps(dict(facts), default=_json_default, ensure_ascii=False, separators=(",", ":")).encode())


def _json_default(value: object) -> object:
    return int(value.timestamp() * 1_000_000) if isinstance(value, datetime) else str(value)
