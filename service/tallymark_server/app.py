"""Puts the rooms together, starts them and stops them in order. The only place that knows them all."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from tallymark_server import telemetry
from tallymark_server.registry import Registry
from tallymark_server.rpc.serving import GrpcServer
from tallymark_server.settings import Settings
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.watching import Bell
from tallymark_server.writer import Writer

# The storage's thread and the event loop take turns at the interpreter: with the default of 5 ms each statement of a
# busy server would wait that long.
SWITCH_INTERVAL = 0.0005
# A stopping server goes on telling new calls so until none has come for this long, in seconds.
FAREWELL = 0.2

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers. `failed` is done when it can go on no longer."""

    host: str
    port: int
    failed: asyncio.Future[None]

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """A server that answers, until the context is left; then what waits in line is answered, and streams are ended.

    CannotOpenError, CannotListenError.
    """
    async with open_sqlite(settings.db, settings.projects) as storage:
        bell = Bell()
        writer = Writer(storage, bell, lambda: time.time_ns() // 1000, settings.max_waiting)
        server = GrpcServer(Registry(storage, writer, bell, settings.heartbeat))
        line = asyncio.create_task(writer.serve())
        try:
            port = await server.start(settings.host, settings.port)
            yield Running(settings.host, port, asyncio.ensure_future(asyncio.shield(line)))
            await server.refuse()
        finally:
            writer.stop()
            bell.close()
            await asyncio.wait((line,))
            await _tell_the_late(writer, settings.grace)
            await server.stop(settings.grace)


async def _tell_the_late(writer: Writer, grace: float) -> None:
    """Wait until calls on their way have been told of the stop: gRPC would cut them without a word of ours."""
    clock = asyncio.get_running_loop().time
    until = clock() + grace
    told = -1
    while told != writer.turned_away and clock() < until:
        told = writer.turned_away
        await asyncio.sleep(FAREWELL)


async def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. `announce` is told the address when the server answers."""
    telemetry.configure(settings.log_level, settings.log_format)
    sys.setswitchinterval(SWITCH_INTERVAL)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with running(settings) as server:
        # What lives now lives to the end: the collector need not look at it again.
        gc.freeze()
        announce(server.address)
        _log.info("serving", address=server.address, db=str(settings.db), projects=settings.projects, pid=os.getpid())
        asked = asyncio.create_task(stopped.wait())
        await asyncio.wait((asked, server.failed), return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        _log.info("stopping")
    if not stopped.is_set():
        await server.failed
    _log.info("stopped")
