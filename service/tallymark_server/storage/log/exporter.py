"""Writes a project's log line by line, and proves on the way that it can be imported again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from tallymark_server.storage.log import lines
from tallymark_server.storage.log.chain import Row, chained, digest_of
from tallymark_server.storage.log.seals import Seal, parse_marks

_PROOF = len(lines.COLUMNS)


class BrokenLogError(Exception):
    """Raised when an event is missing, or does not follow from the one before it; the message says where."""


class LogExporter:
    """Writes the lines of a project's log up to a revision. `exported` is the last revision that has a line."""

    def __init__(self, name: str, log_id: str, revision: int) -> None:
        self._name = name
        self._log_id = log_id
        self._revision = revision
        self._last_hash = b""
        self.exported = 0

    def begin(self) -> bytes:
        """Return the first line."""
        return lines.project_line(self._name, self._log_id, self._revision)

    def lines_for(self, events: Iterable[tuple[Any, ...]], receipts: Iterable[tuple[Any, ...]]) -> Iterator[bytes]:
        """Yield the lines of the next events and of their receipts, both in order. Raise BrokenLogError."""
        waiting = iter(receipts)
        receipt = next(waiting, None)
        for columns in events:
            self.exported += 1
            row, (salt, digest, found_hash, marks) = Row(*columns[:_PROOF]), columns[_PROOF:]
            seal = Seal(salt, digest, found_hash, parse_marks(marks))
            self._last_hash = chained(self._last_hash, self._log_id, row, seal.first_digest)
            found = (row.revision, seal.hash, seal.digest)
            if found != (self.exported, self._last_hash, digest_of(seal.salt, row)):
                raise BrokenLogError(f"at revision {self.exported}")
            yield lines.event_line(row, seal)
            while receipt is not None and receipt[3] == self.exported:
                yield lines.receipt_line(*receipt)
                receipt = next(waiting, None)
        if receipt is not None:
            raise BrokenLogError(f"after revision {self.exported}")

    def end(self) -> None:
        """Raise BrokenLogError if the log ended early."""
        if self.exported != self._revision:
            raise BrokenLogError(f"after revision {self.exported}")


class ExportDigest:
    """Computes the last line of an export from all lines before it."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._count = 0

    def add(self, line: bytes) -> bytes:
        """Add the line, and return it."""
        self._digest.update(line)
        self._count += 1
        return line

    def end_line(self) -> bytes:
        """Return the last line."""
        return lines.end_line(self._count, self._digest.hexdigest())
