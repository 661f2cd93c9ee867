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
    """A running server. `dashboard` is its address, or empty. `failed` is done when the server cannot go on."""

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
    """Run the server until the context is left, then answer the commands in the queue and end the streams.

    `wall` is the machine's clock, in microseconds since 1970. Raises CannotOpenError or CannotListenError.
    """
    async with open_sqlite(settings.db, settings.projects) as storage:
        bell = Bell()
        clock = GuardedClock(await storage.newest_time(), round(settings.max_clock_jump * MICROS_PER_HOUR), wall)
        writer = Writer(storage, bell, clock, settings.max_waiting)
        heartbeats = Heartbeats(storage, writer, clock.estimate)
        registry = Registry(storage, writer, bell, heartbeats, settings.heartbeat)
        server = GrpcServer(registry, settings.max_connection_age, settings.grace)
        web = HttpServer(registry, settings.http_names, settings.http_origins)
        deciding, losing = asyncio.create_task(writer.serve()), asyncio.create_task(heartbeats.serve())
        try:
            dashboard = "" if settings.http is None else _url(settings.http[0], web.listen(*settings.http))
            port = await server.start(settings.host, settings.port)
            tasks = (
                [deciding, losing, asyncio.create_task(web.serve(port or settings.host))]
                if dashboard
                else [deciding, losing]
            )
            yield Running(settings.host, port, dashboard, asyncio.ensure_future(_failed(tasks)))
            server.refuse()
        finally:
            losing.cancel()
            writer.stop()
            bell.close()
            await web.stop()
            await asyncio.wait((deciding,))
            await _drain(writer, settings.grace)
            await server.stop(settings.grace)


async def _failed(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait for the first of the tasks to end. Raises its exception."""
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
    # A browser on this machine reaches a server that listens everywhere.
    return f"http://{_address({'0.0.0.0': '127.0.0.1', '::': '::1'}.get(host, host), port)}/"  # noqa: S104 - compared


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


async def serve(settings: Settings, announce: Callable[[str, str], None]) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP.

    `announce` is called with the addresses of the server and of its dashboard once they accept calls.
    """
    telemetry.configure(settings.log_level, settings.log_format)
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
        announce(server.address, server.dashboard)
        _log.info(
            "serving",
            address=server.address,
            dashboard=server.dashboard,
            db=str(settings.db),
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
