"""Calls under way: what arrives by halves and what nobody reads has a bound in memory, and an end in time.

The core of gRPC keeps each answer until its caller has read it, and each part of a request until the rest has come, and
offers no bound for either. So every call is counted here, and those that make no progress give way to others.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import stat
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from tallymark_server.domain.errors import CallTimedOut, Overloaded
from tallymark_server.rpc.callers import Context

# Each costs about 24 kB, even if nothing is ever sent over it.
MAX_CALLS = 4_096
# Connections to each port; each costs about as much.
MAX_CONNECTIONS = 4_096
# So many requests may arrive at the same time, each of up to 4 MiB; further ones wait until one has arrived.
MAX_ARRIVING = 12
# So many requests of more than 64 kB are worked on at the same time, since each takes several times its size; so many
# bytes of them may be there and wait.
MAX_LARGE, MAX_LARGE_BYTES = 4, 64 * 1024 * 1024
# Of answers that are sent and not read yet, in bytes; gRPC keeps each of them twice.
MAX_UNREAD = 32 * 1024 * 1024
# In seconds: how long a request may take to arrive, and an answer, or a message of a stream, to be read.
ARRIVAL_DEADLINE, READ_DEADLINE = 10.0, 30.0
# An answer that has not been read for so many seconds gives way to another when there is no room for both.
PATIENCE = 1.0
# In milliseconds, how often calls that make no progress are looked for; a request not there at the third look
# gives way to one that waits. A look that comes later than it should counts only one time in ten: while the event loop
# is busy, requests wait through no fault of their callers.
LOOK_MS = 15
LOOKS = 2
PUNCTUAL = 0.01
BUSY = 10
# So many streams begin in so many seconds; others wait for the next so many seconds.
PACED_STREAMS, PACE = 8, 0.005
# So many long answers are made at the same time. More would not be ready sooner, hold memory while they are made, and
# leave the event loop to short calls only after each has had its turn.
MAX_LONG = 2

_log = structlog.get_logger()

Handle = Callable[[Any, Any], Awaitable[Message]]


class Turns:
    """Has few long answers made at the same time, each when its turn comes."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(MAX_LONG)

    def of(self, method: MethodDescriptor, handle: Handle) -> Handle:
        """Return what answers the method: what was given, or, if it answers with many things, in its turn."""
        if not method.name.startswith(("List", "Query")):
            return handle

        async def handled(request: Any, context: Any) -> Message:
            async with self._turns:
                return await handle(request, context)

        return handled


class _Pace:
    """Has few streams begin at a time: thousands that come at once must not stand before a short call."""

    def __init__(self) -> None:
        self._begun = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self) -> None:
        """Wait until the stream may begin."""
        if self._timer is None:
            self._timer = self._loop.call_later(PACE, self._go_on)
        if self._begun < PACED_STREAMS:
            self._begun += 1
            return
        turn = self._loop.create_future()
        self._waiting.append(turn)
        await turn

    def _go_on(self) -> None:
        self._begun, self._timer = 0, None
        while self._waiting and self._begun < PACED_STREAMS:
            turn = self._waiting.popleft()
            if not turn.done():
                self._begun += 1
                turn.set_result(None)
        if self._begun:
            self._timer = self._loop.call_later(PACE, self._go_on)


class _Sending:
    """Bytes that are sent, since when, to whom, and the task that goes on when they are read, of a stream."""

    __slots__ = ("peer", "since", "size", "task")

    def __init__(self, peer: str, size: int, since: float, task: asyncio.Task[Any] | None) -> None:
        self.peer, self.size, self.since, self.task = peer, size, since, task


class Traffic:
    """The calls under way, what of their requests has not arrived, and what of their answers is not read."""

    def __init__(self, *, read_deadline: float = READ_DEADLINE, arrival_deadline: float = ARRIVAL_DEADLINE) -> None:
        self.calls = 0
        self.unread = 0
        self._read_deadline = read_deadline
        self._max_looks = round(arrival_deadline * 1000 / LOOK_MS)
        # How often each that has not arrived was looked at, the oldest first.
        self._arriving: dict[asyncio.Task[Any], int] = {}
        self._pace = _Pace()
        self._late: set[asyncio.Task[Any]] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._last_first = False
        self._sending: dict[Context, _Sending] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._looks_while_busy = 0
        self._large = asyncio.Semaphore(MAX_LARGE)
        self._large_bytes = 0
        self._loop = asyncio.get_running_loop()

    async def request(self, context: Context, *, paced: bool = False) -> Any:
        """Return the request of a call that begins, decoded if it is small; grpc.aio.EOF for none.

        Raise Overloaded, CallTimedOut.
        """
        if self.calls >= MAX_CALLS:
            raise Overloaded(self.calls, "calls are under way")
        self.calls += 1
        context.add_done_callback(self._end)  # type: ignore[arg-type]  # the stubs - have the callback of a client
        if paced:
            await self._pace.turn()
        if len(self._arriving) >= MAX_ARRIVING or self._waiting:
            await self._turn()
        task = asyncio.current_task()
        assert task is not None, "a call is a task"  # noqa: S101
        self._arriving[task] = 0
        if self._timer is None:
            self._look_soon()
        try:
            return await context.read()
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            self._late.discard(task)
            task.uncancel()
            if self._arriving[task] > self._max_looks:
                raise CallTimedOut(self._max_looks * LOOK_MS, "the request took longer to arrive") from None
            raise Overloaded(len(self._arriving), "requests have not arrived whole") from None
        finally:
            del self._arriving[task]
            if self._waiting:
                self._next()

    @asynccontextmanager
    async def large(self, size: int) -> AsyncIterator[None]:
        """Work on a large request, of so many bytes, as soon as few others are worked on. Raise Overloaded."""
        if self._large_bytes + size > MAX_LARGE_BYTES:
            raise Overloaded(self._large_bytes, "bytes of large requests are worked on")
        self._large_bytes += size
        try:
            async with self._large:
                yield
        finally:
            self._large_bytes -= size

    def answer(self, context: Context, data: bytes) -> bytes:
        """Return the answer, which counts until it is read. Raise Overloaded if there is no room for it."""
        if len(data) > 4096:
            self._begin(context, len(data))
        return data

    async def send(self, context: Context, data: bytes) -> None:
        """Send a message of a stream. Raise Overloaded if there is no room for it."""
        self._begin(context, len(data), asyncio.current_task())
        writing = asyncio.ensure_future(context.write(data))
        try:
            # gRPC never frees a message whose write is cancelled; a write ends by itself with its connection.
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            writing.add_done_callback(_forget)
            raise
        finally:
            self._read(context)

    def _begin(self, context: Context, size: int, task: asyncio.Task[Any] | None = None) -> None:
        now = self._loop.time()
        if self.unread + size > MAX_UNREAD:
            self._cut(now - PATIENCE, self.unread + size - MAX_UNREAD)
            raise Overloaded(len(self._sending), "answers have not been read")
        self._sending[context] = _Sending(context.peer(), size, now, task)
        self.unread += size
        if self._timer is None:
            self._look_soon()

    def _read(self, context: Context) -> None:
        sent = self._sending.pop(context, None)
        if sent is not None:
            self.unread -= sent.size

    def _end(self, context: Context) -> None:
        self.calls -= 1
        if self._sending:
            self._read(context)

    async def _turn(self) -> None:
        """Wait until fewer requests are arriving."""
        turn = self._loop.create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._next()
            raise

    def _next(self) -> None:
        """Let one of those who wait go on: by turns who came last, who mostly still wants it, and who came first."""
        while self._waiting:
            self._last_first = not self._last_first
            turn = self._waiting.pop() if self._last_first else self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _look_soon(self) -> None:
        self._due = self._loop.time() + LOOK_MS / 1000
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        """Give the places of those who make no progress to those who wait."""
        now = self._loop.time()
        busy = now > self._due + PUNCTUAL
        self._looks_while_busy = self._looks_while_busy + 1 if busy else 0
        counts = not busy or self._looks_while_busy % BUSY == 0
        wanted = len(self._waiting) if counts else 0
        for task, looks in self._arriving.items():
            self._arriving[task] = looks + counts
            if (wanted > 0 and looks >= LOOKS) or looks >= self._max_looks:
                wanted -= 1
                self._late.add(task)
                task.cancel()
        self._cut(now - self._read_deadline, None)
        self._timer = None
        if self._arriving or self._sending:
            self._look_soon()

    def _cut(self, begun: float, size: int | None) -> None:
        """End what was begun before that moment and is not read yet, the oldest first: all, or so many bytes."""
        peers = set()
        for sending in self._sending.values():
            if sending.since > begun or (size is not None and size <= 0):
                break
            if sending.since == 0:
                continue
            size = None if size is None else size - sending.size
            peers.add(sending.peer)
            # Told once: the end comes when the core of gRPC has noticed.
            sending.since = 0
            if sending.task is not None:
                sending.task.cancel()
        for peer in peers:
            _log.warning("ended a connection over which answers are not read", peer=peer)
        if peers:
            hang_up(frozenset(peers))


def max_connections() -> int:
    """Return how many connections each port takes: at most a third of the files that this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(16, min(MAX_CONNECTIONS, soft // 3))


def _forget(ended: asyncio.Future[Any]) -> None:
    """Take note of how a write has ended, of which nobody waits for the end."""
    if not ended.cancelled():
        ended.exception()


def hang_up(peers: frozenset[str]) -> None:
    """Close the connections of peers, as gRPC names them: the answers that they do not read are kept until then.

    gRPC has no way to do so, nor to give up a single answer. Over a Unix socket peers have no names; there nothing is
    closed, and what its owner does not read counts for as long as the owner's connection lives.
    """
    for name in Path("/dev/fd").iterdir():
        with suppress(OSError):
            # A copy stays what it is, even if the connection is closed at this moment and its number given to another.
            number = os.dup(int(name.name))
            try:
                if os.fstat(number).st_mode & stat.S_IFSOCK == stat.S_IFSOCK:
                    _shut_down(number, peers)
            finally:
                os.close(number)


def _shut_down(number: int, peers: frozenset[str]) -> None:
    connection = socket.socket(fileno=number)
    try:
        if _named(connection) in peers:
            connection.shutdown(socket.SHUT_RDWR)
    finally:
        connection.detach()


def _named(connection: socket.socket) -> str:
    """Return the peer of a connection as gRPC names it. Raise OSError."""
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return ""
    host, port, *_ = connection.getpeername()
    # gRPC listens for both families with one socket, and shows who comes by the older one as such.
    host = host.removeprefix("::ffff:") if "." in host else f"[{host}]"
    return f"ipv4:{host}:{port}" if "." in host else f"ipv6:{quote(host, safe=':')}:{port}"
