"""A connection with a thread of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Self, TypeVar

import aiosqlite

T = TypeVar("T")


class ThreadedConnection(aiosqlite.Connection):
    """An aiosqlite connection that runs a whole function in its thread: one hand-over, however many statements."""

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection itself, to be used while nothing runs in the thread."""
        return self._conn

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work in the connection's thread, and return its result."""
        result: T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]  # private - and so untyped
        return result

    async def __aenter__(self) -> Self:
        await self
        return self
