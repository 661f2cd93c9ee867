"""Opens the file, and keeps the promises of the contract on it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, closing
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog

from tallymark_server.domain.commands import Erasing, Keys
from tallymark_server.domain.events import Event
from tallymark_server.domain.model import Erasure, Model, ModelVersion, Project, Run
from tallymark_server.domain.query import Query
from tallymark_server.domain.reference import Reference
from tallymark_server.domain.state import Receipt, State
from tallymark_server.observer import Observer
from tallymark_server.storage.checkpoint import Mark
from tallymark_server.storage.contract import (
    Awaited,
    CannotOpenError,
    Head,
    Listed,
    Page,
    Piece,
    Proof,
    Snapshot,
    Writing,
)
from tallymark_server.storage.immediate import run_immediately
from tallymark_server.storage.prover import Prover
from tallymark_server.storage.sql.batch_append import append
from tallymark_server.storage.sql.erase import look, overwrite
from tallymark_server.storage.sql.reader import Reader
from tallymark_server.storage.sql.state_loader import Log, load, new_log_id
from tallymark_server.storage.sqlite.connection import connector
from tallymark_server.storage.sqlite.engine_errors import TranslateErrors
from tallymark_server.storage.sqlite.export_stream import Exports
from tallymark_server.storage.sqlite.file_lock import check_one_name, exclusive
from tallymark_server.storage.sqlite.head_file import HeadKeeper, heads_of, intact
from tallymark_server.storage.sqlite.integrity_check import IntegrityCheck
from tallymark_server.storage.sqlite.migrate import migrate
from tallymark_server.storage.sqlite.read_transaction import ReadTransaction, ReadTransactions
from tallymark_server.storage.sqlite.scrub import (
    begin_rewriting,
    end_rewriting,
    must_scrub,
    note_erased,
    scrub,
    scrub_if_possible,
)
from tallymark_server.storage.sqlite.session import SqliteSession
from tallymark_server.storage.sqlite.threaded_connection import ThreadedConnection
from tallymark_server.storage.sqlite.version_cache import VersionCache
from tallymark_server.storage.sqlite.wal_truncation import LONGEST, Shrinker

T = TypeVar("T")
Work = Callable[[Writing], Coroutine[Any, Any, T]]
_log = structlog.get_logger()


class Transaction(Writing):
    """The open transaction of this connection. Its methods never wait."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._session = SqliteSession(connection)
        self._logs: dict[str, Log] = {}
        self._erasing: Erasing | None = None
        self.must_scrub = False

    async def load(self, project: str, keys: Keys, *, most: int | None = None) -> State:
        log, state = await load(self._session, project, keys, most)
        self._logs[project], self._erasing = log, keys.erasing
        if keys.erasing is not None and log.project is not None:
            # What was erased before may have been left in the file.
            self.must_scrub = self.must_scrub or must_scrub(self.connection)
            begin_rewriting(self.connection)
            await look(self._session, log.project, state, keys.erasing)
        return state

    async def append(self, state: State, events: Sequence[Event], receipts: Sequence[tuple[str, Receipt]]) -> None:
        log = self._logs[state.project]
        await append(self._session, log, state, events, receipts)
        for event in events if self._erasing is not None else ():
            if isinstance(event.image, Erasure) and log.project is not None and self._erasing is not None:
                await overwrite(self._session, log.project, event.image, self._erasing.paths)
                end_rewriting(self.connection)
                note_erased(self.connection, event.revision)
                self.must_scrub = True


class SqliteStorage:
    """The storage on one SQLite file: a writing connection, one for pages and the past, and one for points.

    A point read takes some ten microseconds, a thirtieth of a hand-over to a thread, and runs in the event loop. So do
    the statements of a brief write, since two threads would take turns at the interpreter; only its commit, which waits
    for the disk, runs in a thread. No other program writes to the file, so versions that were read are kept until the
    next write begins.
    """

    def __init__(
        self,
        file: Path,
        writer: ThreadedConnection,
        pages: ThreadedConnection,
        points: sqlite3.Connection,
        note_change: Sequence[Callable[[], None]],
        observer: Observer,
    ) -> None:
        self._observer = observer
        self._writer = writer
        self._pages = pages
        self._points_connection = points
        self._points = Reader(SqliteSession(points))
        self._file = file
        self._prover = Prover(str(file))
        self._exports = Exports(partial(_connect, file, read_only=True))
        self._note_change = note_change
        self._translate_errors = TranslateErrors()
        self._transactions = ReadTransactions(partial(_connect, file, read_only=True), self._translate_errors)
        self._writing = False
        self._version_cache = VersionCache()

    async def close(self) -> None:
        """Close the connections of read transactions."""
        await self._transactions.close()

    def distrust(self, problem: str) -> None:
        """Raise DataDamaged from now on, since the tables are damaged."""
        self._translate_errors.damage = problem

    def line(self, project: str) -> str:  # noqa: ARG002 - all projects share the file, and so one line and each fsync
        return ""

    async def write(self, work: Work[T], *, brief: bool = False) -> T:
        self._writing = True
        self._version_cache.clear()
        try:
            with self._translate_errors:
                return await self._write(work, brief=brief)
        finally:
            self._writing = False
            for note in self._note_change:
                note()

    async def _write(self, work: Work[T], *, brief: bool) -> T:
        # The observer knows by the context in which batch it commits, also in the other thread.
        run = copy_context().run
        if not brief or not _try_begin(self._writer.connection):
            return await self._writer.run(lambda connection: run(_transact, work, self._observer, connection))
        transaction = Transaction(self._writer.connection)
        result = _run_work(work, transaction)
        await self._writer.run(lambda connection: run(_finish, transaction.must_scrub, self._observer, connection))
        return result

    @property
    def signs(self) -> None:
        return None

    async def check_writable(self) -> None:
        with self._translate_errors:
            await asyncio.to_thread(_write_the_same, self._file)

    async def follow(self, watched: Callable[[], Iterable[str]], ring: Callable[[Iterable[str]], None]) -> None:  # noqa: ARG002 - no other server writes to the file
        await asyncio.Future()

    async def project(self, name: str) -> Project:
        with self._translate_errors:
            return await self._points.project(name)

    async def projects(self, after: str, limit: int) -> list[Project]:
        with self._translate_errors:
            return await self._points.projects(after, limit)

    async def head(self, project: str) -> Head:
        with self._translate_errors:
            return await self._points.head(project)

    async def newest_time(self) -> int:
        with self._translate_errors:
            return await self._points.newest_time()

    async def revision_at(self, project: str, time: int) -> int:
        return await self._read(lambda reader: reader.revision_at(project, time))

    async def model(self, project: str, name: str, *, at: int | None = None) -> Model | None:
        if at is not None:
            return await self._read(lambda reader: reader.model(project, name, at=at))
        with self._translate_errors:
            return await self._points.model(project, name)

    async def version(
        self, project: str, model: str, reference: Reference, *, of_deleted: bool = False, at: int | None = None
    ) -> ModelVersion | None:
        if at is not None:
            return await self._read(
                lambda reader: reader.version(project, model, reference, of_deleted=of_deleted, at=at)
            )
        key = (project, model, reference, of_deleted)
        if (known := self._version_cache.get(key)) is not None:
            return known
        with self._translate_errors:
            found, size = await self._points.version_now(project, model, reference, of_deleted=of_deleted)
        if found is not None and not self._writing:
            self._version_cache.keep(key, found, size)
        return found

    async def run(self, project: str, run_id: str, *, at: int | None = None) -> Run | None:
        with self._translate_errors:
            return await self._points.run(project, run_id, at=at)

    async def models(self, project: str, query: Query) -> Listed[Model]:
        return await self._read(lambda reader: reader.models(project, query))

    async def awaited(self, after: tuple[str, str], limit: int) -> list[Awaited]:
        return await self._read(lambda reader: reader.awaited(after, limit))

    async def events(self, project: str, after: int, limit: int) -> Page[Event]:
        return await self._read(lambda reader: reader.events(project, after, limit))

    async def read(self, question: Callable[[Snapshot], Coroutine[Any, Any, T]], *, brief: bool = False) -> T:
        if brief:
            with self._translate_errors:
                return _snapshot(question, self._points, self._points_connection)
        return await self._read(question)

    async def _read(self, question: Callable[[Reader], Coroutine[Any, Any, T]]) -> T:
        with self._translate_errors:
            return await self._pages.run(
                lambda connection: _snapshot(question, Reader(SqliteSession(connection)), connection)
            )

    def at_one_moment(self) -> AbstractAsyncContextManager[ReadTransaction]:
        return self._transactions.open()

    async def verify(self, project: str, mark: Mark | None) -> Proof:
        await self.head(project)
        return await self._prover.prove(project, mark)

    async def export(self, project: str, at: int) -> AsyncGenerator[Piece, None]:
        await self.head(project)
        with self._translate_errors:
            async with aclosing(self._exports.pieces(project, at)) as pieces:
                async for piece in pieces:
                    yield piece


@asynccontextmanager
async def open_sqlite(
    path: Path, projects: Sequence[str], observer: Observer | None = None
) -> AsyncIterator[SqliteStorage]:
    """Yield the storage on that file, created if it does not exist, with at least these projects.

    Raises CannotOpenError.
    """
    path = real_file(path)
    async with AsyncExitStack() as stack:
        stack.enter_context(exclusive(path))
        try:
            with intact(path):
                writer = await stack.enter_async_context(_connect(path, read_only=False))
                await writer.run(partial(prepare, path=path, projects=projects))
            pages = await stack.enter_async_context(_connect(path, read_only=True))
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise CannotOpenError(f"cannot open {path}: {error}; name another file with --db") from None
        points = connector(path, read_only=True)()
        stack.callback(points.close)
        keeper = HeadKeeper(path, partial(pages.run, heads_of))
        shrinker = Shrinker(path, pages.run)
        for background in (keeper, shrinker):
            await stack.enter_async_context(background.working())
        notes = (keeper.note_change, shrinker.note_change)
        storage = SqliteStorage(path, writer, pages, points, notes, observer or Observer())
        stack.push_async_callback(storage.close)
        await stack.enter_async_context(IntegrityCheck(path, storage.distrust).working())
        yield storage


def real_file(path: Path) -> Path:
    """Return the real path of the file, so that all links to it share one lock. Raises CannotOpenError."""
    path = path.absolute().resolve()
    if not path.parent.is_dir():
        raise CannotOpenError(f"there is no folder {path.parent}; make it, or name another file with --db")
    if path.is_dir():
        raise CannotOpenError(f"{path} is a folder; name a file with --db")
    check_one_name(path)
    return path


def _connect(path: Path, *, read_only: bool) -> ThreadedConnection:
    return ThreadedConnection(connector(path, read_only=read_only), iter_chunk_size=64)


def prepare(connection: sqlite3.Connection, *, path: Path, projects: Sequence[str]) -> None:
    """Prepare the file for the promises of the contract, with at least these projects. Raises CannotOpenError."""
    migrate(connection, str(path))
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: a commit is on the disk before it is answered.
    connection.execute("PRAGMA synchronous = FULL")
    # A write-ahead log that is larger than this is cut when SQLite restarts it.
    connection.execute(f"PRAGMA journal_size_limit = {LONGEST:d}")
    add_projects(connection, projects)
    scrub_if_possible(connection, path)
    connection.execute("PRAGMA busy_timeout = 0")


def add_projects(connection: sqlite3.Connection, projects: Sequence[str]) -> None:
    """Create those of the projects that do not exist."""
    connection.executemany(
        "INSERT INTO projects (name, log_id) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
        [(name, new_log_id()) for name in projects],
    )


def _try_begin(connection: sqlite3.Connection) -> bool:
    """Begin a transaction, unless another program has locked the file."""
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _transact(work: Work[T], observer: Observer, connection: sqlite3.Connection) -> T:
    # In this thread a wait delays nobody.
    connection.execute("PRAGMA busy_timeout = 5000")
    try:
        connection.execute("BEGIN IMMEDIATE")
    finally:
        connection.execute("PRAGMA busy_timeout = 0")
    transaction = Transaction(connection)
    result = _run_work(work, transaction)
    _finish(transaction.must_scrub, observer, connection)
    return result


def _write_the_same(file: Path) -> None:
    """Write a page as it is, which a disk that is full or cannot be written refuses like any other change."""
    with closing(connector(file, read_only=False)()) as connection:
        connection.execute("BEGIN IMMEDIATE")
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {schema:d}")
        _commit(connection)


def _run_work(work: Work[T], transaction: Transaction) -> T:
    try:
        return run_immediately(work(transaction))
    except BaseException:
        _roll_back(transaction.connection)
        raise


def _finish(erased: bool, observer: Observer, connection: sqlite3.Connection) -> None:
    """Commit, and write the file anew if something was erased."""
    with observer.commit():
        _commit(connection)
    if erased:
        scrub(connection)


def _commit(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _snapshot(
    question: Callable[[Reader], Coroutine[Any, Any, T]], reader: Reader, connection: sqlite3.Connection
) -> T:
    connection.execute("BEGIN")
    try:
        return run_immediately(question(reader))
    finally:
        connection.execute("COMMIT")
