"""Tells a project's log line by line, and proves on the way that what is told can be read again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from tallymark_server.storage.log import lines
from tallymark_server.storage.log.chain import Row, chained, digest_of
from tallymark_server.storage.sqlite.erasures import MARKS, Seal, marks_of

EVENT_COLUMNS = f"{', '.join(lines.COLUMNS)}, salt, digest, hash, {MARKS.format(schema='main')}"
_PROOF = len(lines.COLUMNS)
RECEIPT_COLUMNS = "request_id, fingerprint, first_revision, last_revision"


class BrokenLogError(Exception):
    """An event is missing, or does not follow from the one before it; the message says where."""


class Telling:
    """The lines of a project's log up to a revision. `told` is the last revision of which something was told."""

    def __init__(self, name: str, log_id: str, revision: int) -> None:
        self._name = name
        self._log_id = log_id
        self._revision = revision
        self._last_hash = b""
        self.told = 0

    def begin(self) -> bytes:
        """The line that comes first."""
        return lines.project_line(self._name, self._log_id, self._revision)

    def go_on(self, events: Iterable[tuple[Any, ...]], receipts: Iterable[tuple[Any, ...]]) -> Iterator[bytes]:
        """The lines of the next events, and of the receipts for them, both in order; BrokenLogError."""
        waiting = iter(receipts)
        receipt = next(waiting, None)
        for columns in events:
            self.told += 1
            row, (salt, digest, found_hash, marks) = Row(*columns[:_PROOF]), columns[_PROOF:]
            seal = Seal(salt, digest, found_hash, marks_of(marks))
            self._last_hash = chained(self._last_hash, self._log_id, row, seal.first_digest)
            found = (row.revision, seal.hash, seal.digest)
            if found != (self.told, self._last_hash, digest_of(seal.salt, row)):
                raise BrokenLogError(f"at revision {self.told}")
            yield lines.event_line(row, seal)
            while receipt is not None and receipt[3] == self.told:
                yield lines.receipt_line(*receipt)
                receipt = next(waiting, None)
        if receipt is not None:
            raise BrokenLogError(f"after revision {self.told}")

    def end(self) -> None:
        """BrokenLogError if not everything was told."""
        if self.told != self._revision:
            raise BrokenLogError(f"after revision {self.told}")


class Digest:
    """The last line of an export, made of all lines before it."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._count = 0

    def over(self, line: bytes) -> bytes:
        """The line, taken into account."""
        self._digest.update(line)
        self._count += 1
        return line

    def line(self) -> bytes:
        """The line itself."""
        return lines.end_line(self._count, self._digest.hexdigest())
