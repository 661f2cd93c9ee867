"""Versions that were read, kept until the next change, within a bound of memory."""

from __future__ import annotations

from tallymark_server.domain.model import ModelVersion
from tallymark_server.domain.reference import Reference

# In bytes, as reckoned: an object of Python takes about ten times what its image takes as text, and some by itself.
MAX_WEIGHT = 32 * 1024 * 1024
PER_BYTE, PER_VERSION = 10, 1000

Asked = tuple[str, str, Reference, bool]


class Known:
    """Versions by what was asked for, forgotten together when they weigh too much."""

    def __init__(self) -> None:
        self._versions: dict[Asked, ModelVersion] = {}
        self.weight = 0
        # What is known, by what was asked for; None for what is not.
        self.get = self._versions.get

    def keep(self, asked: Asked, version: ModelVersion, size: int) -> None:
        """Keep a version, whose image has so many characters, unless it alone is too large."""
        weight = PER_VERSION + PER_BYTE * size
        if self.weight + weight > MAX_WEIGHT:
            self.clear()
        if weight <= MAX_WEIGHT:
            self._versions[asked] = version
            self.weight += weight

    def clear(self) -> None:
        """Forget everything."""
        self._versions.clear()
        self.weight = 0
