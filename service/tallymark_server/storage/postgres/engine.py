"""Opens the database, and keeps the promises of the contract on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import psycopg

from tallymark_server.domain.errors import DataDamaged, Overloaded
from tallymark_server.domain.model import Model
from tallymark_server.domain.query import Query
from tallymark_server.observer import Observer
from tallymark_server.storage.checkpoint import Mark
from tallymark_server.storage.contract import Awaited, CannotOpenError, Listed, Piece, Proof, Storage, Writing
from tallymark_server.storage.database_url import shown
from tallymark_server.storage.log.exporter import BrokenLogError
from tallymark_server.storage.postgres.attempts import ask, repeated
from tallymark_server.storage.postgres.connections import UNBOUNDED, Connection, connect
from tallymark_server.storage.postgres.durability import check_settings
from tallymark_server.storage.postgres.errors import told, translated_errors, unavailable_if_lost
from tallymark_server.storage.postgres.exchange import BEGIN, COMMIT, Call
from tallymark_server.storage.postgres.following import Follower, Notices
from tallymark_server.storage.postgres.lending import Connections
from tallymark_server.storage.postgres.migrate import prepare, steps
from tallymark_server.storage.postgres.reading import Moment, PostgresReads
from tallymark_server.storage.postgres.session import PostgresSession, new_id
from tallymark_server.storage.postgres.signs import CLEAN, Signs
from tallymark_server.storage.postgres.transaction import Transaction
from tallymark_server.storage.prover import Prover
from tallymark_server.storage.sql.log_pieces import LogPieces
from tallymark_server.storage.sql.reader import Reader
from tallymark_server.storage.sql.state_loader import new_log_id

T = TypeVar("T")
Work = Callable[[Writing], Coroutine[Any, Any, T]]

# The connections for lines, and for reads. One more waits for notices, and one sends them.
WRITERS = 8
READERS = 8
# How many readers at most are lent for several reads of one state.
MOMENTS = 4
# How many exports are under way at most, and the bytes of one piece, since a message of gRPC holds no more events.
MAX_EXPORTS = 8
MAX_PIECE = 512 * 1024
# Work that is not brief may take long to decide, and to write.
PATIENCE = Call(
    b"SELECT set_config('idle_in_transaction_session_timeout', '10s', TRUE),"
    b" set_config('statement_timeout', '60s', TRUE)"
)
SNAPSHOT = Call(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
_NUMBER = b"SELECT pg_current_xact_id()"
_ENDS = b"SELECT name, revision FROM projects WHERE name = ANY ($1)"
_ADD_PROJECT = b"""
INSERT INTO projects (id, name, log_id, revision, time, last_model_id, hash) VALUES ($1, $2, $3, 0, 0, 0, '')
ON CONFLICT (name) DO NOTHING
"""


class PostgresStorage(PostgresReads, Storage):
    """The storage on a database of PostgreSQL.

    Nothing is kept between transactions but the ids of projects, since any number of servers write to the database.
    """

    def __init__(self, url: str, listen_url: str, observer: Observer) -> None:
        self._listen_url = listen_url
        self._observer = observer
        self._notifier = Connections(url, 1, read_only=False)
        self._notices = Notices(self._notifier)
        self._writers = Connections(url, WRITERS, read_only=False)
        self._readers = Connections(url, READERS, read_only=True)
        self._moments = asyncio.Semaphore(MOMENTS)
        self._exports = 0
        self._prover = Prover(url)
        self._ids: dict[str, int] = {}

    async def close(self) -> None:
        """Close the connections."""
        for connections in (self._writers, self._readers, self._notifier):
            await connections.close()

    def line(self, project: str) -> str:
        return project

    async def write(self, work: Work[T], *, brief: bool = False) -> T:
        return await repeated(lambda: self._transact(work, (BEGIN,) if brief else (BEGIN, PATIENCE)))

    async def _transact(self, work: Work[T], begin: Sequence[Call]) -> T:
        async with self._writers.lend() as exchange:
            session = PostgresSession(exchange, begin)
            transaction = Transaction(session, self._ids)
            result = await work(transaction)
            # What a commit without an answer was to change may be there.
            with self._observer.commit(), unavailable_if_lost(), translated_errors():
                await session.commit()
            self._notices.add(transaction.grown)
            return result

    async def _read_point(self, question: Callable[[Reader], Coroutine[Any, Any, T]]) -> T:
        return await self._in_session((), lambda session: question(Reader(session, self._ids)))

    async def _read_snapshot(self, question: Callable[[Reader], Coroutine[Any, Any, T]]) -> T:
        return await self._in_session((SNAPSHOT,), lambda session: question(Reader(session, self._ids)))

    async def _in_session(
        self, begin: Sequence[Call], question: Callable[[PostgresSession], Coroutine[Any, Any, T]]
    ) -> T:
        async def answer() -> T:
            async with self._readers.lend() as exchange:
                return await question(PostgresSession(exchange, begin))

        return await repeated(answer)

    @asynccontextmanager
    async def at_one_moment(self) -> AsyncIterator[Moment]:
        async with self._moments, AsyncExitStack() as stack:
            yield await repeated(lambda: self._begin_moment(stack))

    async def _begin_moment(self, stack: AsyncExitStack) -> Moment:
        exchange = await stack.enter_async_context(self._readers.lend())
        session = PostgresSession(exchange, begin=(SNAPSHOT,))
        # What a transaction sees is decided by its first statement.
        await session.ask(Call(b"SELECT 1"))
        return Moment(Reader(session, self._ids))

    async def newest_time(self) -> int:
        return await self._read_point(lambda reader: reader.newest_time())

    async def models(self, project: str, query: Query) -> Listed[Model]:
        return await self._read_snapshot(lambda reader: reader.models(project, query))

    async def awaited(self, after: tuple[str, str], limit: int) -> list[Awaited]:
        return await self._read_point(lambda reader: reader.awaited(after, limit))

    async def verify(self, project: str, mark: Mark | None) -> Proof:
        await self.head(project)
        return await self._prover.prove(project, mark)

    async def export(self, project: str, at: int) -> AsyncGenerator[Piece, None]:
        await self.head(project)
        if self._exports >= MAX_EXPORTS:
            raise Overloaded(self._exports, "exports are under way")
        self._exports += 1
        pieces = LogPieces(project, at)
        try:
            while piece := await self._in_session((SNAPSHOT,), pieces.next):
                for start in range(0, len(piece), MAX_PIECE):
                    yield Piece(piece[start : start + MAX_PIECE], pieces.exported)
        except BrokenLogError as error:
            # Only a log that can be imported again is exported.
            raise DataDamaged(f"the log is broken {error}, and Verify reports all that is wrong") from None
        finally:
            self._exports -= 1

    async def check_writable(self) -> None:
        # A transaction that has a number waits for the disk, and for standbys, when it commits.
        await repeated(lambda: ask(self._writers, BEGIN, Call(_NUMBER), COMMIT))

    @property
    def signs(self) -> Signs:
        return Signs(
            lambda *calls: repeated(lambda: ask(self._writers, *calls)),
            lambda *calls: repeated(lambda: ask(self._readers, *calls)),
        )

    async def follow(self, watched: Callable[[], Iterable[str]], ring: Callable[[Iterable[str]], None]) -> None:
        follower = Follower(self._listen_url, self._notices, self._ends, watched, ring)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._notices.send())
            tasks.create_task(follower.follow())

    async def _ends(self, projects: list[str]) -> dict[str, int]:
        (answer,) = await repeated(lambda: ask(self._readers, Call(_ENDS, (projects,))))
        return dict(answer.rows)


@asynccontextmanager
async def open_postgres(
    url: str, projects: Sequence[str], observer: Observer | None = None, listen_url: str = ""
) -> AsyncIterator[PostgresStorage]:
    """Yield the storage on that database, which is made ready if it is empty, with at least these projects.

    `listen_url` is where to listen for notices, if a pooler is in the way of `url`. Raises CannotOpenError.
    """
    name = shown(url)
    try:
        async with await connect(url, bounds=UNBOUNDED) as connection:
            await check_settings(connection, name)
            await prepare(connection, name, await asyncio.to_thread(steps))
            await _add_projects(connection, projects)
            await connection.execute(CLEAN)
    except psycopg.Error as error:
        raise CannotOpenError(f"cannot open {name}: {told(error)}") from None
    storage = PostgresStorage(url, listen_url or url, observer or Observer())
    try:
        yield storage
    finally:
        await storage.close()


async def _add_projects(connection: Connection, projects: Sequence[str]) -> None:
    """Create those of the projects that do not exist."""
    for project in projects:
        await connection.execute(_ADD_PROJECT, (new_id(), project, new_log_id()))
