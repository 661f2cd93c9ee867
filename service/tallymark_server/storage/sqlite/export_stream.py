"""The exports of a file that are under way.

Receipts are not kept in the order of the log, so those of the export are copied first, in that order, to a table of its
connection, which lies in a file if it is large.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import TypeVar

from tallymark_server.domain.errors import DataDamaged, Overloaded
from tallymark_server.storage.contract import Piece
from tallymark_server.storage.immediate import run_immediately
from tallymark_server.storage.log.exporter import BrokenLogError
from tallymark_server.storage.sql.log_columns import RECEIPT_COLUMNS
from tallymark_server.storage.sql.log_pieces import LogPieces
from tallymark_server.storage.sqlite.session import SqliteSession
from tallymark_server.storage.sqlite.threaded_connection import ThreadedConnection

T = TypeVar("T")
# The exports at a time: each has a connection with a thread and a file of its own.
MAX_EXPORTS = 8
# The exports that read at the same time: their threads share the interpreter, and the event loop waits for all of them.
MAX_READING = 2
# Larger pieces are cut, because a few events can be larger than a message of gRPC.
MAX_PIECE = 512 * 1024

_TABLE = """
CREATE TEMP TABLE receipts_in_order (
    project INTEGER, request_id TEXT, fingerprint BLOB, first_revision INTEGER, last_revision INTEGER,
    PRIMARY KEY (project, last_revision, request_id)
) WITHOUT ROWID
"""
_COPY = f"""
INSERT INTO temp.receipts_in_order SELECT project, {RECEIPT_COLUMNS} FROM main.receipts
WHERE project = (SELECT id FROM projects WHERE name = ?) AND last_revision <= ?
ORDER BY last_revision, request_id
"""


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
                await self._in_turn(connection, partial(_copy_receipts, project, at))
                export = LogPieces(project, at, "temp.receipts_in_order")
                while piece := await self._in_turn(connection, partial(_next, export)):
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


def _copy_receipts(project: str, at: int, connection: sqlite3.Connection) -> None:
    connection.execute(_TABLE)
    connection.execute(_COPY, (project, at))


def _next(pieces: LogPieces, connection: sqlite3.Connection) -> bytes:
    return run_immediately(pieces.next(SqliteSession(connection)))
