"""Imports logs into a file, as a whole or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from tallymark_server.domain.events import Event
from tallymark_server.storage.contract import Problem
from tallymark_server.storage.log import lines
from tallymark_server.storage.log.chain import Row
from tallymark_server.storage.log.importer import LogImporter
from tallymark_server.storage.log.lines import LineError
from tallymark_server.storage.log.seals import Seal
from tallymark_server.storage.sqlite.erasures import erasure_problems
from tallymark_server.storage.sqlite.offline_access import changed, revision_of
from tallymark_server.storage.sqlite.run_states import add_run_states
from tallymark_server.storage.sqlite.session import project_one

_PROJECT = (
    "INSERT OR REPLACE INTO projects (id, name, log_id) VALUES ((SELECT id FROM projects WHERE name = ?1), ?1, ?2)"
)
_ID = "SELECT id FROM projects WHERE name = ?"
_COLUMNS = ("project", *lines.COLUMNS, "hash", "salt", "digest", "erased")
_EVENT = f"INSERT INTO events ({', '.join(_COLUMNS)}) VALUES (?{', ?' * (len(_COLUMNS) - 1)})"
_ERASURE = "INSERT INTO erasures VALUES (?, ?, ?, ?)"
_RECEIPT = "INSERT INTO receipts VALUES (?, ?, ?, ?, ?)"
_HEAD = "UPDATE projects SET revision = ?, time = ?, last_model_id = ?, hash = ? WHERE id = ?"


class CannotImportError(Exception):
    """Raised when lines are not those of an export, or their projects exist already; the message says which and why."""


def import_log(path: Path, source: BinaryIO, tell: Callable[[int], None]) -> dict[str, int]:
    """Import all projects of an export, and return the revision of each.

    `tell` is called with the number of bytes of each line. Raises CannotOpenError, CannotPlaceError and
    CannotImportError.
    """
    with changed(path) as connection:
        importer = LogImporter(_Tables(connection))
        for number, line in enumerate(_read(source), 1):
            try:
                importer.add(line)
            except LineError as error:
                raise CannotImportError(f"line {number}: {error}; nothing was imported") from None
            except (sqlite3.IntegrityError, ValueError, TypeError, OverflowError) as error:
                # An invented export may have anything that its hashes allow.
                raise CannotImportError(f"line {number}: {error}; nothing was imported") from None
            tell(len(line))
        if not importer.ended:
            raise CannotImportError(f"it is cut off after line {importer.lines}: no end is told; nothing was imported")
        add_run_states(connection)
        return {name: revision_of(connection, name) or 0 for name in importer.revisions}


def _read(source: BinaryIO) -> Iterator[bytes]:
    while line := source.readline(lines.MAX_LINE):
        yield line


class _ProjectTables:
    """The tables of a project that is imported."""

    def __init__(self, connection: sqlite3.Connection, name: str, log_id: str) -> None:
        connection.execute(_PROJECT, (name, log_id))
        ((self._id,),) = connection.execute(_ID, (name,)).fetchall()
        self._connection, self._name = connection, name

    def project_event(self, event: Event) -> None:
        project_one(self._connection, self._id, event)

    def add_events(self, events: Sequence[tuple[Row, Seal]]) -> None:
        rows = [(self._id, *row, seal.hash, seal.salt, seal.digest, seal.erased_at) for row, seal in events]
        self._connection.executemany(_EVENT, rows)
        erasures = [(self._id, row.revision, *mark) for row, seal in events for mark in seal.marks]
        self._connection.executemany(_ERASURE, erasures)

    def add_receipt(self, receipt: Sequence[object]) -> None:
        self._connection.execute(_RECEIPT, (self._id, *receipt))

    def end(self, revision: int, time: int, last_model_id: int, last_hash: bytes) -> None:
        self._connection.execute(_HEAD, (revision, time, last_model_id, last_hash, self._id))

    def erasure_problems(self) -> list[Problem]:
        return list(erasure_problems(self._connection, "main", self._id, self._name))


class _Tables:
    """The tables of the file that projects are imported into."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def revision_of(self, project: str) -> int:
        return revision_of(self._connection, project) or 0

    def begin(self, project: str, log_id: str) -> _ProjectTables:
        return _ProjectTables(self._connection, project, log_id)
