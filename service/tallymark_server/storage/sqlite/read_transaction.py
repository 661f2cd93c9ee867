"""Reads in one transaction that stays open between them, so that all of them see the same committed state."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from tallymark_server.domain.events import Event
from tallymark_server.domain.model import Model, ModelVersion, Project, Run
from tallymark_server.domain.reference import Reference
from tallymark_server.storage.contract import Head, Page, Snapshot
from tallymark_server.storage.immediate import run_immediately
from tallymark_server.storage.sql.reader import Reader
from tallymark_server.storage.sqlite.session import SqliteSession
from tallymark_server.storage.sqlite.threaded_connection import ThreadedConnection

T = TypeVar("T")
# How many transactions are open at the same time. Each has a connection with a thread, and while it is open the
# write-ahead log cannot be emptied.
MAX_OPEN = 2


class ReadTransaction:
    """The reads of the contract in one open transaction. `translate_errors` translates errors of SQLite."""

    def __init__(self, connection: ThreadedConnection, translate_errors: AbstractContextManager[None]) -> None:
        self._connection = connection
        self._translate_errors = translate_errors

    async def project(self, name: str) -> Project:
        return await self._run(lambda reader: reader.project(name))

    async def projects(self, after: str, limit: int) -> list[Project]:
        return await self._run(lambda reader: reader.projects(after, limit))

    async def head(self, project: str) -> Head:
        return await self._run(lambda reader: reader.head(project))

    async def revision_at(self, project: str, time: int) -> int:
        return await self._run(lambda reader: reader.revision_at(project, time))

    async def model(self, project: str, name: str, *, at: int | None = None) -> Model | None:
        return await self._run(lambda reader: reader.model(project, name, at=at))

    async def version(
        self, project: str, model: str, reference: Reference, *, of_deleted: bool = False, at: int | None = None
    ) -> ModelVersion | None:
        return await self._run(lambda reader: reader.version(project, model, reference, of_deleted=of_deleted, at=at))

    async def run(self, project: str, run_id: str, *, at: int | None = None) -> Run | None:
        return await self._run(lambda reader: reader.run(project, run_id, at=at))

    async def events(self, project: str, after: int, limit: int) -> Page[Event]:
        return await self._run(lambda reader: reader.events(project, after, limit))

    async def read(
        self,
        question: Callable[[Snapshot], Coroutine[Any, Any, T]],
        *,
        brief: bool = False,  # noqa: ARG002 - never inline
    ) -> T:
        return await self._run(question)

    async def _run(self, question: Callable[[Reader], Coroutine[Any, Any, T]]) -> T:
        with self._translate_errors:
            return await self._connection.run(
                lambda connection: run_immediately(question(Reader(SqliteSession(connection))))
            )


class ReadTransactions:
    """The open read transactions of a file, on connections that are kept for the next ones."""

    def __init__(
        self, connect: Callable[[], ThreadedConnection], translate_errors: AbstractContextManager[None]
    ) -> None:
        self._connect = connect
        self._translate_errors = translate_errors
        self._turns = asyncio.Semaphore(MAX_OPEN)
        self._idle: list[ThreadedConnection] = []
        self._stack = AsyncExitStack()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ReadTransaction]:
        """Yield a transaction that sees what is committed by now. Raises StorageUnavailable or DataDamaged."""
        async with self._turns:
            with self._translate_errors:
                connection = self._idle.pop() if self._idle else await self._stack.enter_async_context(self._connect())
                await connection.run(_begin)
            try:
                yield ReadTransaction(connection, self._translate_errors)
            finally:
                # Even when the caller is cancelled: the connection runs its work in order.
                await asyncio.shield(connection.run(_end))
                self._idle.append(connection)

    async def close(self) -> None:
        """Close the connections."""
        await self._stack.aclose()


def _begin(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    # SQLite decides what a transaction sees at its first read.
    connection.execute("SELECT 1 FROM projects LIMIT 1").fetchall()


def _end(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
