"""Checks tables and indexes when the file is opened: with an index that lacks a row, rows look missing that exist.

A small file is checked before it is served, which takes some milliseconds; a larger one while it is served, and once it
is known to be damaged, all reads of it fail.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import structlog

from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.sqlite.connection import connector

# Files up to this size, in bytes, are checked before they are served.
SMALL = 1024 * 1024
# Requests have precedence over the check.
_NICENESS = 10
_ADVICE = (
    "restore a backup, or run `tallymark export` and import that into a new file, which makes tables and indexes anew"
    " from the log"
)

_log = structlog.get_logger()


class IntegrityCheck:
    """One check of a file. `on_damage` is called with what is wrong, in the event loop."""

    def __init__(self, database: Path, on_damage: Callable[[str], None]) -> None:
        self._database = database
        self._on_damage = on_damage
        self._connection: sqlite3.Connection | None = None

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Check a small file, then yield; check a larger one meanwhile. Raises CannotOpenError."""
        if self._database.stat().st_size <= SMALL:
            if problem := self._problem():
                raise CannotOpenError(f"{self._database} is damaged: {problem}; {_ADVICE}")
            yield
            return
        with ThreadPoolExecutor(1, "integrity", _be_nice) as thread:
            task = asyncio.get_running_loop().run_in_executor(thread, self._problem)
            task.add_done_callback(lambda done: self._conclude(done.result()))
            try:
                yield
            finally:
                while not task.done():
                    # It may end, and be closed, at any moment.
                    if (connection := self._connection) is not None:
                        with suppress(sqlite3.ProgrammingError):
                            connection.interrupt()
                    await asyncio.wait((task,), timeout=0.1)

    def _problem(self) -> str:
        """Return what is wrong with the file, nothing if it is whole or cannot be read to the end."""
        try:
            with closing(connector(self._database, read_only=True)()) as connection:
                self._connection = connection
                try:
                    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
                finally:
                    self._connection = None
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_CORRUPT:
                return ""
            found = str(error)
        return "" if found == "ok" else str(found).replace("\n", " ")

    def _conclude(self, problem: str) -> None:
        if problem:
            _log.error(f"the file is damaged, and no request is answered from it; {_ADVICE}", problem=problem)
            self._on_damage(problem)


def _be_nice() -> None:
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
