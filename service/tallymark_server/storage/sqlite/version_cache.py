"""Versions that were read, kept until the next change, within a bound of memory."""

from __future__ import annotations

from tallymark_server.domain.model import ModelVersion
from tallymark_server.domain.reference import Reference

# In bytes, estimated: an object of Python takes about ten times the size of its image as text, and some by itself.
MAX_WEIGHT = 32 * 1024 * 1024
PER_BYTE, PER_VERSION = 10, 1000

Key = tuple[str, str, Reference, bool]


class VersionCache:
    """Versions by the arguments of their read, removed together when they take too much memory."""

    def __init__(self) -> None:
        self._versions: dict[Key, ModelVersion] = {}
        self.weight = 0
        # Returns the version, or None.
        self.get = self._versions.get

    def keep(self, key: Key, version: ModelVersion, size: int) -> None:
        """Keep a version, whose image has `size` characters, unless it alone is too large."""
        weight = PER_VERSION + PER_BYTE * size
        if self.weight + weight > MAX_WEIGHT:
            self.clear()
        if weight <= MAX_WEIGHT:
            self._versions[key] = version
            self.weight += weight

    def clear(self) -> None:
        """Remove everything."""
        self._versions.clear()
        self.weight = 0
