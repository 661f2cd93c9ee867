"""Moves the write-ahead log into the database when there are no writes, and truncates a long log.

SQLite restarts its write-ahead log only when no read uses it. While one always does, the log grows, and it keeps its
size for as long as the file is open.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path

import structlog

from tallymark_server.storage.sqlite.connection import connector

# After so many seconds without a change the work delays no caller.
IDLE = 5.0
# In bytes. Up to the size at which SQLite restarts a log, its file is kept: a commit takes longer if it has to grow.
USUAL = 4 * 1024 * 1024 + 512 * 1024
# A longer log is truncated even while there are changes.
LONGEST = 16 * 1024 * 1024
# A change waits no longer than this for it, in milliseconds.
_PATIENCE = 100

_log = structlog.get_logger()


class Shrinker:
    """Keeps the write-ahead log of a database small.

    `run` does work in the thread that reads pages, so that no page is read meanwhile.
    """

    def __init__(self, database: Path, run: Callable[[Callable[[sqlite3.Connection], bool]], Awaitable[bool]]) -> None:
        self._database = database
        self._run = run
        self._changed = asyncio.Event()
        self._changed.set()
        self._ended = asyncio.Event()

    def note_change(self) -> None:
        """Have the log checked some time later."""
        self._changed.set()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Keep the log small until the context is left."""
        task = asyncio.create_task(self._work())
        try:
            yield
        finally:
            self._ended.set()
            self._changed.set()
            await task

    async def _work(self) -> None:
        while not self._ended.is_set():
            await self._changed.wait()
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), IDLE)
            if self._ended.is_set():
                return
            length = self._length()
            idle = not self._changed.is_set()
            if length > LONGEST or (length and idle):
                await self._shrink("TRUNCATE" if length > USUAL else "RESTART")

    async def _shrink(self, mode: str) -> None:
        try:
            done = await self._run(partial(_moved, self._database, mode))
        except sqlite3.Error as error:
            _log.warning("the write-ahead log cannot be made smaller now", problem=str(error))
            done = False
        if not done:
            # A read uses the log, so this is tried again.
            self._changed.set()

    def _length(self) -> int:
        with suppress(FileNotFoundError):
            return self._database.with_name(self._database.name + "-wal").stat().st_size
        return 0


def _moved(database: Path, mode: str, _: sqlite3.Connection) -> bool:
    """Run a checkpoint in this mode. Return whether all of the log is in the database now, and the log restarts."""
    with closing(connector(database, read_only=False)()) as connection:
        # First the part that does not block writes.
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        connection.execute(f"PRAGMA busy_timeout = {_PATIENCE:d}")
        ((busy, _, _),) = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        return not busy
