"""Imports logs into a file, as a whole or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from tallymark_server.storage.immediate import run_immediately
from tallymark_server.storage.log import lines
from tallymark_server.storage.log.importer import LogImporter
from tallymark_server.storage.log.lines import LineError
from tallymark_server.storage.sql.log_import import ImportedTables
from tallymark_server.storage.sql.run_states import add_run_states
from tallymark_server.storage.sqlite.offline_access import changed, revision_of
from tallymark_server.storage.sqlite.session import SqliteSession, project_one


class CannotImportError(Exception):
    """Raised when lines are not those of an export, or their projects exist already; the message says which and why."""


def import_log(path: Path, source: BinaryIO, tell: Callable[[int], None]) -> dict[str, int]:
    """Import all projects of an export, and return the revision of each.

    `tell` is called with the number of bytes of each line. Raises CannotOpenError, CannotPlaceError and
    CannotImportError.
    """
    with changed(path) as connection:
        session = SqliteSession(connection)
        importer = LogImporter(ImportedTables(session, partial(project_one, session)))
        for number, line in enumerate(_read(source), 1):
            try:
                run_immediately(importer.add(line))
            except LineError as error:
                raise CannotImportError(f"line {number}: {error}; nothing was imported") from None
            except (sqlite3.IntegrityError, ValueError, TypeError, OverflowError) as error:
                # An invented export may have anything that its hashes allow.
                raise CannotImportError(f"line {number}: {error}; nothing was imported") from None
            tell(len(line))
        if not importer.ended:
            raise CannotImportError(f"it is cut off after line {importer.lines}: no end is told; nothing was imported")
        run_immediately(add_run_states(session))
        return {name: revision_of(connection, name) or 0 for name in importer.revisions}


def _read(source: BinaryIO) -> Iterator[bytes]:
    while line := source.readline(lines.MAX_LINE):
        yield line
