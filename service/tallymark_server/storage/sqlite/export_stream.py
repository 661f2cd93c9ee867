"""An export piece by piece, each read when it is requested, for callers that may be slow and may leave.

Events up to a revision never change, and so each piece reads its own; the export ends when content is erased meanwhile.
Receipts are not kept in the order of the log, so those of the export are copied first, in that order, to a table of its
connection, which lies in a file if it is large.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import TypeVar

from tallymark_server.domain.errors import DataDamaged, ErasedSince, Overloaded
from tallymark_server.storage.contract import Piece
from tallymark_server.storage.log.exporter import BrokenLogError, ExportDigest, LogExporter
from tallymark_server.storage.log.lines import COLUMNS
from tallymark_server.storage.sql.erasures import erased_since
from tallymark_server.storage.sql.log_columns import RECEIPT_COLUMNS, exported_columns
from tallymark_server.storage.sql.pages import cut
from tallymark_server.storage.sqlite.dialect import DIALECT
from tallymark_server.storage.sqlite.threaded_connection import ThreadedConnection

T = TypeVar("T")
# The exports at a time: each has a connection with a thread and a file of its own.
MAX_EXPORTS = 8
# The exports that read at the same time: their threads share the interpreter, and the event loop waits for all of them.
MAX_READING = 2
# Few events to a piece, since the thread that reads them and the event loop take turns at the interpreter.
MAX_EVENTS = 200
# Larger pieces are cut, because a few events can be larger than a message of gRPC.
MAX_PIECE = 512 * 1024

_PROJECT = "SELECT id, log_id FROM projects WHERE name = ?"
_TABLE = """
CREATE TEMP TABLE told (
    request_id TEXT, fingerprint BLOB, first_revision INTEGER, last_revision INTEGER,
    PRIMARY KEY (last_revision, request_id)
) WITHOUT ROWID
"""
_COPY = f"""
INSERT INTO temp.told SELECT {RECEIPT_COLUMNS} FROM main.receipts WHERE project = ? AND last_revision <= ?
ORDER BY last_revision, request_id
"""
_RECEIPTS = f"SELECT {RECEIPT_COLUMNS} FROM temp.told WHERE last_revision > ? AND last_revision <= ? ORDER BY 4, 1"
EVENTS = f"""
SELECT {exported_columns(DIALECT)} FROM events
WHERE project = ? AND revision > ? AND revision <= ? ORDER BY revision LIMIT ?
"""
_BEFORE_ALL = -(2**63)


class Exports:
    """The exports of a file that are under way. `connect` makes a connection that only reads it."""

    def __init__(self, connect: Callable[[], ThreadedConnection]) -> None:
        self._connect = connect
        self._under_way = 0
        self._reading = asyncio.Semaphore(MAX_READING)

    async def pieces(self, project: str, at: int) -> AsyncGenerator[Piece, None]:
        """Yield the pieces of the project's log up to the revision. Raises Overloaded and DataDamaged."""
        if self._under_way >= MAX_EXPORTS:
            raise Overloaded(self._under_way, "exports are under way")
        self._under_way += 1
        try:
            async with self._connect() as connection:
                export = await self._in_turn(connection, partial(_Export, project, at))
                while piece := await self._in_turn(connection, export.next):
                    for start in range(0, len(piece), MAX_PIECE):
                        yield Piece(piece[start : start + MAX_PIECE], export.exported)
        except BrokenLogError as error:
            # Only a log that can be imported again is exported.
            raise DataDamaged(f"the log is broken {error}, and Verify reports all that is wrong") from None
        finally:
            self._under_way -= 1

    async def _in_turn(self, connection: ThreadedConnection, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return the result of the work after a pause as long as it took: the thread shares the interpreter."""
        clock = asyncio.get_running_loop().time
        async with self._reading:
            begun = clock()
            result = await connection.run(work)
        await asyncio.sleep(clock() - begun)
        return result


class _Export:
    """An export, and how far it has come. Its methods run in the connection's thread."""

    def __init__(self, project: str, at: int, connection: sqlite3.Connection) -> None:
        self._project, log_id = connection.execute(_PROJECT, (project,)).fetchone()
        self._name = project
        self._at = at
        self._exporter = LogExporter(project, log_id, at)
        self._digest = ExportDigest()
        self._begun = self._ended = False
        connection.execute(_TABLE)
        connection.execute(_COPY, (self._project, at))

    @property
    def exported(self) -> int:
        """The last revision that has a line."""
        return self._exporter.exported

    def next(self, connection: sqlite3.Connection) -> bytes:
        """Return the next lines, none at the end."""
        if self._ended:
            return b""
        after = self.exported
        # Also when it was erased while the export was under way.
        since = erased_since(project=self._project, at=self._at)
        ((erased_at,),) = connection.execute(since.text(DIALECT), since.parameters)
        if erased_at is not None:
            raise ErasedSince(self._name, self._at, erased_at)
        limits = (self._project, after, self._at, MAX_EVENTS)
        events, _ = cut(connection.execute(EVENTS, limits), MAX_EVENTS, COLUMNS.index("image"))
        lines = [] if self._begun else [self._exporter.begin()]
        if events or not self._begun:
            # The first piece includes receipts of revisions below 1, so that they are found to be wrong.
            receipts = connection.execute(_RECEIPTS, (after if self._begun else _BEFORE_ALL, after + len(events)))
            lines += self._exporter.lines_for(events, receipts.fetchall())
            self._begun = True
            return b"".join(map(self._digest.add, lines))
        self._exporter.end()
        self._ended = True
        return self._digest.end_line()
