"""Puts the rooms together, starts them and stops them in order. The only place that knows them all."""

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

import structlog

from tallymark_server import telemetry
from tallymark_server.clock import MICROS_PER_HOUR, GuardedClock, wall_time
from tallymark_server.heartbeats import Heartbeats
from tallymark_server.local_sockets import PREFIX
from tallymark_server.registry import Registry
from tallymark_server.rpc.server import GrpcServer
from tallymark_server.settings import Settings
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.watch import Bell
from tallymark_server.web.server import HttpServer
from tallymark_server.writer import Writer

# The storage's thread and the event loop take turns at the interpreter: with the default of 5 ms each statement of a
# busy server would wait that long.
SWITCH_INTERVAL = 0.0005
# A stopping server goes on answering new calls that it stops until none has come for this long, in seconds, and no
# longer than the second: clients that call again at once must not keep it from stopping.
DRAIN_QUIET, DRAIN_LIMIT = 0.2, 1.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers. `dashboard` is where, empty if nowhere. `failed` is done when it can go on no longer."""

    host: str
    port: int
    dashboard: str
    failed: asyncio.Future[None]

    @property
    def address(self) -> str:
        """HOST:PORT, or unix:PATH."""
        return _address(self.host, self.port)


@asynccontextmanager
async def running(settings: Settings, wall: Callable[[], int] = wall_time) -> AsyncIterator[Running]:
    """A server that answers, until the context is left; then what waits in line is answered, and streams are ended.

    `wall` is the machine's clock, in microseconds since 1970.

    CannotOpenError, CannotListenError.
    """
    async with open_sqlite(settings.db, settings.projects) as storage:
        bell = Bell()
        clock = GuardedClock(await storage.newest_time(), round(settings.max_clock_jump * MICROS_PER_HOUR), wall)
        writer = Writer(storage, bell, clock, settings.max_waiting)
        heartbeats = Heartbeats(storage, writer, clock.estimate)
        registry = Registry(storage, writer, bell, heartbeats, settings.heartbeat)
        server = GrpcServer(registry, settings.max_connection_age, settings.grace)
        web = HttpServer(registry, settings.http_names, settings.http_origins)
        line, losing = asyncio.create_task(writer.serve()), asyncio.create_task(heartbeats.serve())
        try:
            dashboard = "" if settings.http is None else _url(settings.http[0], web.listen(*settings.http))
            port = await server.start(settings.host, settings.port)
            tasks = (
                [line, losing, asyncio.create_task(web.serve(port or settings.host))] if dashboard else [line, losing]
            )
            yield Running(settings.host, port, dashboard, asyncio.ensure_future(_failed(tasks)))
            server.refuse()
        finally:
            losing.cancel()
            writer.stop()
            bell.close()
            await web.stop()
            await asyncio.wait((line,))
            await _drain(writer, settings.grace)
            await server.stop(settings.grace)


async def _failed(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Done when the first of the tasks is, and failed as it is."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


def _address(host: str, port: int) -> str:
    if host.startswith(PREFIX):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _url(host: str, port: int) -> str:
    if host.startswith(PREFIX):
        return host
    # What listens everywhere is found here.
    return f"http://{_address({'0.0.0.0': '127.0.0.1', '::': '::1'}.get(host, host), port)}/"  # noqa: S104 - compared


async def _drain(writer: Writer, grace: float) -> None:
    """Answer calls on their way that the service stops, until none comes: gRPC would cut them without a message."""
    clock = asyncio.get_running_loop().time
    until = clock() + min(grace, DRAIN_LIMIT)
    answered = -1
    while answered != writer.turned_away and clock() < until:
        answered = writer.turned_away
        await asyncio.sleep(DRAIN_QUIET)


def _raise_file_limit() -> None:
    """Open as many files as the system lets this process open: each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems refuse what they name as the limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def serve(settings: Settings, announce: Callable[[str, str], None]) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP.

    `announce` is called with the address, and the dashboard's, when the server answers.
    """
    telemetry.configure(settings.log_level, settings.log_format)
    sys.setswitchinterval(SWITCH_INTERVAL)
    _raise_file_limit()
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under nohup a terminal that is closed is no reason to stop.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stopped.set)
    async with running(settings) as server:
        # What lives now lives to the end: the collector need not look at it again.
        gc.freeze()
        announce(server.address, server.dashboard)
        _log.info(
            "serving",
            address=server.address,
            dashboard=server.dashboard,
            db=str(settings.db),
            projects=settings.projects,
            pid=os.getpid(),
        )
        asked = asyncio.create_task(stopped.wait())
        await asyncio.wait((asked, server.failed), return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        _log.info("stopping")
    if not stopped.is_set():
        await server.failed
    _log.info("stopped")
