"""The server as a whole: its parts are created, started and stopped in order here, and only here."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from structlog.typing import Processor

from tallymark_server import telemetry
from tallymark_server.access.access_log import AccessLog
from tallymark_server.access.book import AccessBook
from tallymark_server.access.callers import Authenticator
from tallymark_server.access.door import Door
from tallymark_server.access.limits import CallerLimits, ProjectQuotas
from tallymark_server.access.oversight import Oversight
from tallymark_server.access_control import AccessControl, access_control
from tallymark_server.availability import LOOK, Availability
from tallymark_server.certificates import Certificates
from tallymark_server.clock import MICROS_PER_HOUR, GuardedClock, wall_time
from tallymark_server.domain.errors import RegistryError
from tallymark_server.heartbeats import Heartbeats
from tallymark_server.local_sockets import PREFIX
from tallymark_server.observer import Observer
from tallymark_server.registry import Registry
from tallymark_server.rpc.server import GrpcServer
from tallymark_server.settings import Settings
from tallymark_server.storage.access_opening import open_access, wait_for_access
from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.database_url import is_url, shown
from tallymark_server.storage.opening import open_storage
from tallymark_server.watch import Bell
from tallymark_server.web.server import HttpServer
from tallymark_server.writer import Writer

if TYPE_CHECKING:
    from tallymark_server.operations.backups import Backups
    from tallymark_server.operations.metrics import Metrics

# The storage's thread and the event loop share the interpreter: with the default of 5 ms, each statement of a busy
# server would wait that long.
SWITCH_INTERVAL = 0.0005
# A stopping server goes on refusing new calls until none has arrived for DRAIN_QUIET seconds, and for DRAIN_LIMIT
# seconds at most: clients that retry at once must not keep it from stopping.
DRAIN_QUIET = 0.2
DRAIN_LIMIT = 1.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Running:
    """A running server. `failed` is done when it cannot go on.

    `dashboard` and `metrics` are the addresses of the dashboard and of the metrics, or empty.
    """

    host: str
    port: int
    dashboard: str
    metrics: str
    failed: asyncio.Future[None]
    tls: bool = False

    @property
    def address(self) -> str:
        """HOST:PORT, with TLS grpcs://HOST:PORT, or unix:PATH."""
        scheme = "grpcs://" if self.tls and not self.host.startswith(PREFIX) else ""
        return scheme + _address(self.host, self.port)


@asynccontextmanager
async def running(
    settings: Settings, wall: Callable[[], int] = wall_time, authenticator: Authenticator | None = None
) -> AsyncIterator[Running]:
    """Run the server until the context is left, then answer the commands in the queue and end the streams.

    `wall` is the machine's clock, in microseconds since 1970. Without an authenticator, everybody who can connect may
    do everything. Raises CannotOpenError, CannotListenError, CertificateError or CannotLogError.
    """
    certificates = None if settings.tls is None else Certificates(settings.tls)
    backups = _backups(settings)
    async with (
        _observed(settings) as (observer, metrics),
        open_storage(settings.db, settings.projects, observer, settings.db_listen) as storage,
        opened_book(settings.access) as book,
        _overseen(settings) as oversight,
    ):
        bell, availability = Bell(), Availability()
        clock = GuardedClock(await storage.newest_time(), round(settings.max_clock_jump * MICROS_PER_HOUR), wall)
        writer = Writer(storage, bell, clock, settings.max_waiting, availability, observer)
        heartbeats = Heartbeats(storage, writer, clock.estimate)
        registry = Registry(storage, writer, bell, heartbeats, settings.heartbeat, observer=observer, book=book)
        control = access_control(settings, book, wall, authenticator)
        server, web = _edges(settings, registry, control, availability, observer, certificates, oversight)
        listeners = [(web, settings.http), *_endpoint(metrics, registry, availability, writer, settings)]
        # The last of what may fail before listening, since no task may go on after a start that failed.
        counting = await _counts(oversight, registry)
        deciding = asyncio.create_task(writer.serve())
        background = [
            *counting,
            asyncio.create_task(heartbeats.serve()),
            asyncio.create_task(availability.watch_over(storage.check_writable, LOOK if storage.signs else None)),
            asyncio.create_task(storage.follow(bell.watched, bell.ring)),
            *([] if backups is None else [asyncio.create_task(backups.serve(metrics))]),
            *_open_for_all(settings),
            # Without it, what others revoke would go on counting here.
            *([] if book is None else [asyncio.create_task(book.serve())]),
        ]
        try:
            urls = ["" if at is None else _url(at[0], each.listen(*at), each.scheme) for each, at in listeners]
            port = await server.start(settings.host, settings.port)
            serving = [asyncio.create_task(each.serve(port or settings.host)) for each, at in listeners if at]
            failed = asyncio.ensure_future(_failed([deciding, *background, *serving]))
            seen = f"{urls[1]}metrics" if metrics else ""
            yield Running(settings.host, port, urls[0], seen, failed, certificates is not None)
            server.refuse()
        finally:
            _cancel(background)
            writer.stop()
            bell.close()
            await _stop([listener for listener, _ in listeners])
            await asyncio.wait((deciding,))
            await _drain(writer, settings.grace)
            await server.stop(settings.grace)
            # They use the storage until they have ended.
            await asyncio.wait(background)


@asynccontextmanager
async def _overseen(settings: Settings) -> AsyncIterator[Oversight]:
    """Yield what watches calls, and write its log to the end afterwards. Raises CannotLogError."""
    log = None if settings.access_log is None else AccessLog(settings.access_log)
    try:
        if settings.limits.is_empty:
            yield Oversight(log=log)
        else:
            yield Oversight(CallerLimits(settings.limits), ProjectQuotas(settings.limits), log)
    finally:
        if log is not None:
            await asyncio.to_thread(log.close)


async def _counts(oversight: Oversight, registry: Registry) -> list[asyncio.Task[None]]:
    """Count the versions of projects that have a quota of them, and begin to count them again and again."""
    if oversight.quotas is None or not oversight.quotas.counted:
        return []
    from tallymark_server.operations.version_counts import count_versions, keep_counting

    await count_versions(oversight.quotas, registry)
    return [asyncio.create_task(keep_counting(oversight.quotas, registry))]


def _edges(
    settings: Settings,
    registry: Registry,
    control: AccessControl,
    availability: Availability,
    observer: Observer,
    certificates: Certificates | None,
    oversight: Oversight,
) -> tuple[GrpcServer, HttpServer]:
    """Return the servers of gRPC and of HTTP, which do not listen yet."""
    door = Door(control.authenticator, certificates=settings.by_certificate, oversight=oversight)
    names, origins = settings.http_names, settings.http_origins
    return (
        GrpcServer(registry, door, settings.max_connection_age, settings.grace, availability, observer, certificates),
        HttpServer(
            registry, door, names, origins, availability, observer, certificates, control.sessions, control.verifier
        ),
    )


@asynccontextmanager
async def opened_book(place: str | None) -> AsyncIterator[AccessBook | None]:
    """Yield the book of access as its store has it now; None without a place for one. Raises CannotOpenError."""
    if place is None:
        yield None
        return
    store = await open_access(place)
    try:
        book = AccessBook(store, wall_time)
        try:
            await book.start()
        except RegistryError as error:
            raise CannotOpenError(f"{shown(place)}: {error}") from None
        try:
            yield book
        finally:
            with suppress(RegistryError):
                await book.store_uses()
    finally:
        await store.close()


@asynccontextmanager
async def _observed(settings: Settings) -> AsyncIterator[tuple[Observer, Metrics | None]]:
    """Yield what observes the service, and the metrics if there are any."""
    if settings.metrics is None and not settings.otel:
        yield Observer(), None
        return
    # Its import takes as long as many of ours, and most servers need it not.
    from importlib.metadata import version

    metrics = None
    if settings.metrics is not None:
        from tallymark_server.operations.metrics import Metrics

        metrics = Metrics(version("tallymark"))
    if not settings.otel:
        yield metrics or Observer(), metrics
        return
    from tallymark_server.operations.observers import Observers
    from tallymark_server.operations.tracing import Tracing

    tracing = Tracing(version("tallymark"))
    try:
        yield tracing if metrics is None else Observers(metrics, tracing), metrics
    finally:
        await asyncio.to_thread(tracing.close)


def _endpoint(
    metrics: Metrics | None, registry: Registry, availability: Availability, writer: Writer, settings: Settings
) -> list[tuple[HttpServer, tuple[str, int] | None]]:
    """Return what serves the metrics, and where, if there are any."""
    if metrics is None:
        return []
    from tallymark_server.operations.endpoint import OperationsEndpoint
    from tallymark_server.operations.figures import Figures

    sizes = partial(_sizes, settings.db)
    figures = Figures(metrics, registry, availability, lambda: writer.waiting, settings.max_waiting, sizes)
    return [(OperationsEndpoint(registry, availability, metrics, figures), settings.metrics)]


def _backups(settings: Settings) -> Backups | None:
    """Return what makes backups, None for none. Raises CannotOpenError for what is backed up in another way."""
    if settings.backup_to is None:
        return None
    if is_url(settings.db):
        raise CannotOpenError(
            f"{shown(settings.db)} is backed up by the tools of PostgreSQL: leave out --backup-to, and run pg_dump, or"
            " pg_basebackup with the write-ahead log archived"
        )
    from tallymark_server.operations.backups import Backups

    return Backups(Path(settings.db), settings.backup_to, settings.backup_every, settings.backup_keep)


def _open_for_all(settings: Settings) -> list[asyncio.Task[None]]:
    """Begin to look whether access is set up meanwhile, if others can do that: then this server must not go on."""
    return (
        [asyncio.create_task(_end_with_access(settings.db))] if settings.access is None and is_url(settings.db) else []
    )


async def _end_with_access(db: str) -> None:
    await wait_for_access(db)
    raise CannotOpenError(
        f"access control of {shown(db)} was turned on, and this server began without: start it again, and it lets only"
        " known callers in"
    )


def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()


async def _stop(listeners: Sequence[HttpServer]) -> None:
    for listener in listeners:
        await listener.stop()


def _sizes(db: str) -> dict[str, int]:
    """Return the sizes of a file and of its log, in bytes."""
    if is_url(db):
        return {}
    file = Path(db).resolve()
    files = {"database": file, "log": file.with_name(f"{file.name}-wal")}
    return {name: file.stat().st_size if file.exists() else 0 for name, file in files.items()}


async def _failed(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait for the first of the tasks to end. Raises its exception."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


def _address(host: str, port: int) -> str:
    if host.startswith(PREFIX):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _url(host: str, port: int, scheme: str) -> str:
    if host.startswith(PREFIX):
        return host
    # A browser on this machine reaches a server that listens everywhere.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared
    return f"{scheme}://{_address(host, port)}/"


async def _drain(writer: Writer, grace: float) -> None:
    """Refuse late calls until none arrives, so that they get a message: gRPC would cut them without one."""
    clock = asyncio.get_running_loop().time
    until = clock() + min(grace, DRAIN_LIMIT)
    answered = -1
    while answered != writer.refused_while_stopping and clock() < until:
        answered = writer.refused_while_stopping
        await asyncio.sleep(DRAIN_QUIET)


def _raise_file_limit() -> None:
    """Raise the limit of open files to the hard limit: each connection needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems refuse the limit that they report
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _log_processors(settings: Settings) -> Sequence[Processor]:
    """Return what adds to the lines of the log."""
    if not settings.otel:
        return ()
    from tallymark_server.operations.tracing import trace_ids

    return (trace_ids,)


async def serve(settings: Settings, announce: Callable[[str, str, str], None]) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP.

    `announce` is called with the addresses of the server, of its dashboard and of its metrics once they accept calls.
    """
    telemetry.configure(settings.log_level, settings.log_format, _log_processors(settings))
    sys.setswitchinterval(SWITCH_INTERVAL)
    _raise_file_limit()
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under nohup, closing the terminal must not stop the server.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stopped.set)
    async with running(settings) as server:
        # All objects of this point live until the end, so the garbage collector can skip them.
        gc.freeze()
        announce(server.address, server.dashboard, server.metrics)
        _log.info(
            "serving",
            address=server.address,
            dashboard=server.dashboard,
            metrics=server.metrics,
            db=shown(settings.db),
            projects=settings.projects,
            pid=os.getpid(),
        )
        stop_requested = asyncio.create_task(stopped.wait())
        await asyncio.wait((stop_requested, server.failed), return_when=asyncio.FIRST_COMPLETED)
        stop_requested.cancel()
        _log.info("stopping")
    if not stopped.is_set():
        await server.failed
    _log.info("stopped")
