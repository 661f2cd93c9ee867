"""The reads of the contract: of the newest state, each by itself, or of one state together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from tallymark_server.domain.events import Event
from tallymark_server.domain.model import Model, ModelVersion, Project, Run
from tallymark_server.domain.reference import Reference
from tallymark_server.storage.contract import Head, Page, Reads, Snapshot
from tallymark_server.storage.postgres.errors import translated_errors, unavailable_if_lost
from tallymark_server.storage.sql.reader import Reader

T = TypeVar("T")


class PostgresReads(Reads, Protocol):
    """Reads in terms of two ways to answer a question."""

    async def _read_point(self, question: Callable[[Reader], Coroutine[Any, Any, T]]) -> T:
        """Return the result of a question that is one statement, apart from the id of its project."""
        ...

    async def _read_snapshot(self, question: Callable[[Reader], Coroutine[Any, Any, T]]) -> T:
        """Return the result of a question whose statements see one committed state."""
        ...

    async def project(self, name: str) -> Project:
        return await self._read_point(lambda reader: reader.project(name))

    async def projects(self, after: str, limit: int) -> list[Project]:
        return await self._read_point(lambda reader: reader.projects(after, limit))

    async def head(self, project: str) -> Head:
        return await self._read_point(lambda reader: reader.head(project))

    async def revision_at(self, project: str, time: int) -> int:
        return await self._read_snapshot(lambda reader: reader.revision_at(project, time))

    async def model(self, project: str, name: str, *, at: int | None = None) -> Model | None:
        if at is None:
            return await self._read_point(lambda reader: reader.model(project, name))
        return await self._read_snapshot(lambda reader: reader.model(project, name, at=at))

    async def version(
        self, project: str, model: str, reference: Reference, *, of_deleted: bool = False, at: int | None = None
    ) -> ModelVersion | None:
        read = self._read_point if at is None else self._read_snapshot
        return await read(lambda reader: reader.version(project, model, reference, of_deleted=of_deleted, at=at))

    async def run(self, project: str, run_id: str, *, at: int | None = None) -> Run | None:
        return await self._read_point(lambda reader: reader.run(project, run_id, at=at))

    async def events(self, project: str, after: int, limit: int) -> Page[Event]:
        return await self._read_snapshot(lambda reader: reader.events(project, after, limit))

    async def read(self, question: Callable[[Snapshot], Coroutine[Any, Any, T]], *, brief: bool = False) -> T:  # noqa: ARG002 - no statement runs in this process
        return await self._read_snapshot(question)


class Moment(PostgresReads):
    """The reads of one state, in a transaction that stays open between them."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._turn = asyncio.Lock()

    async def _read_point(self, question: Callable[[Reader], Coroutine[Any, Any, T]]) -> T:
        return await self._read_snapshot(question)

    async def _read_snapshot(self, question: Callable[[Reader], Coroutine[Any, Any, T]]) -> T:
        # Those who answer one request together share one connection.
        with unavailable_if_lost(), translated_errors():
            async with self._turn:
                return await question(self._reader)
