"""Versions whose metadata is full: what cannot fit any more is refused without asking about each key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from tallymark.client import calls
from tallymark.delivery.outcomes import Asker
from tallymark.errors import TallymarkError, ValueTooLarge
from tallymark.types.resources import Value


class Fullness:
    """The smallest new key, with its value, that each version of a journal had no room for. Metadata only grows."""

    def __init__(self, client: Asker, project: str) -> None:
        self._client = client
        self._project = project
        self._smallest: dict[int, tuple[int, str]] = {}

    def is_full(self, number: int) -> bool:
        """Return whether something had no room in the version that the journal knows by this number."""
        return number in self._smallest

    def note(self, number: int, version: str, facts: Mapping[str, Value], error: TallymarkError) -> None:
        """Take note that a key, alone, was refused."""
        if isinstance(error, ValueTooLarge) and not facts.keys() & self._known(version):
            size = _size(facts)
            if number not in self._smallest or size < self._smallest[number][0]:
                self._smallest[number] = (size, str(error))

    def without_room(self, number: int, version: str, facts: Mapping[str, Value]) -> dict[str, str]:
        """Return the keys for which the version has no room, with the reason: new ones as large as one refused."""
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
    """How many bytes the facts take, as the service counts them."""
    return len(json.dumps(dict(facts), default=_plain, ensure_ascii=False, separators=(",", ":")).encode())


def _plain(value: object) -> object:
    return int(value.timestamp() * 1_000_000) if isinstance(value, datetime) else str(value)
