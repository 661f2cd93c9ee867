"""Running calls: requests that arrive in parts, and answers that are not read, have bounds in memory and time.

The core of gRPC keeps each answer until its caller has read it, and each part of a request until the rest has arrived,
without a bound for either. So every call is counted here, and calls without progress are ended in favor of others.
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
from tallymark_server.rpc.callers import GrpcContext

# Each costs about 24 kB, even if nothing is ever sent on it.
MAX_CALLS = 4_096
# Connections to each port; each costs about as much.
MAX_CONNECTIONS = 4_096
# How many requests may arrive at the same time, each of up to 4 MiB; further ones wait until one has arrived.
MAX_ARRIVING = 12
# How many requests of more than 64 kB are processed at the same time, since each needs several times its size, and how
# many bytes of them may wait.
MAX_LARGE, MAX_LARGE_BYTES = 4, 64 * 1024 * 1024
# Answers that are sent and not read yet, in bytes; gRPC keeps each of them twice.
MAX_UNREAD = 32 * 1024 * 1024
# In seconds: how long a request may take to arrive, and an answer, or a message of a stream, to be read.
ARRIVAL_DEADLINE, READ_DEADLINE = 10.0, 30.0
# After how many seconds an answer that is not read is dropped if another one needs its room.
MIN_UNREAD_AGE = 1.0
# How often calls without progress are searched for, in milliseconds. A request that has not arrived at the third check
# makes room for one that waits. Late checks count only one time in ten: while the event loop is busy, requests wait
# through no fault of their callers.
LOOK_MS = 15
LOOKS = 2
PUNCTUAL = 0.01
BUSY = 10
# How many streams start in how many seconds; further ones wait for the next interval.
STREAMS_PER_INTERVAL, STREAM_INTERVAL = 8, 0.005
# How many long answers are built at the same time. More would not be ready sooner, would need more memory, and would
# keep the event loop from short calls for longer.
MAX_LONG = 2

_log = structlog.get_logger()

Handle = Callable[[Any, Any], Awaitable[Message]]


class AnswerLimiter:
    """Limits how many long answers are built at the same time."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(MAX_LONG)

    def limited(self, method: MethodDescriptor, handle: Handle) -> Handle:
        """Return the method, which waits for its turn if it returns long answers."""
        if not method.name.startswith(("List", "Query")):
            return handle

        async def handled(request: Any, context: Any) -> Message:
            async with self._turns:
                return await handle(request, context)

        return handled


class _StreamLimiter:
    """Limits how many streams start at a time: thousands at once must not delay a short call."""

    def __init__(self) -> None:
        self._begun = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self) -> None:
        """Wait until the stream may start."""
        if self._timer is None:
            self._timer = self._loop.call_later(STREAM_INTERVAL, self._go_on)
        if self._begun < STREAMS_PER_INTERVAL:
            self._begun += 1
            return
        turn = self._loop.create_future()
        self._waiting.append(turn)
        await turn

    def _go_on(self) -> None:
        self._begun, self._timer = 0, None
        while self._waiting and self._begun < STREAMS_PER_INTERVAL:
            turn = self._waiting.popleft()
            if not turn.done():
                self._begun += 1
                turn.set_result(None)
        if self._begun:
            self._timer = self._loop.call_later(STREAM_INTERVAL, self._go_on)


class _UnreadAnswer:
    """An answer that is sent: its size, time and peer, and the task of a stream that waits until it is read."""

    __slots__ = ("peer", "since", "size", "task")

    def __init__(self, peer: str, size: int, since: float, task: asyncio.Task[Any] | None) -> None:
        self.peer, self.size, self.since, self.task = peer, size, since, task


class Traffic:
    """The running calls, the parts of requests that have not arrived, and the answers that are not read."""

    def __init__(self, *, read_deadline: float = READ_DEADLINE, arrival_deadline: float = ARRIVAL_DEADLINE) -> None:
        self.calls = 0
        self.unread = 0
        self._read_deadline = read_deadline
        self._max_looks = round(arrival_deadline * 1000 / LOOK_MS)
        # How often each request that has not arrived was checked, the oldest first.
        self._arriving: dict[asyncio.Task[Any], int] = {}
        self._pace = _StreamLimiter()
        self._late: set[asyncio.Task[Any]] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._last_first = False
        self._sending: dict[GrpcContext, _UnreadAnswer] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._looks_while_busy = 0
        self._large = asyncio.Semaphore(MAX_LARGE)
        self._large_bytes = 0
        self._loop = asyncio.get_running_loop()

    async def request(self, context: GrpcContext, *, paced: bool = False) -> Any:
        """Return the request of a new call, decoded if it is small; grpc.aio.EOF for none.

        Raises Overloaded or CallTimedOut.
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
        """Wait until a large request of that many bytes may be processed. Raises Overloaded."""
        if self._large_bytes + size > MAX_LARGE_BYTES:
            raise Overloaded(self._large_bytes, "bytes of large requests are worked on")
        self._large_bytes += size
        try:
            async with self._large:
                yield
        finally:
            self._large_bytes -= size

    def answer(self, context: GrpcContext, data: bytes) -> bytes:
        """Return the answer, which counts until it is read. Raises Overloaded if there is no room for it."""
        if len(data) > 4096:
            self._begin(context, len(data))
        return data

    async def send(self, context: GrpcContext, data: bytes) -> None:
        """Send a message of a stream. Raises Overloaded if there is no room for it."""
        self._begin(context, len(data), asyncio.current_task())
        writing = asyncio.ensure_future(context.write(data))
        try:
            # gRPC never frees a message whose write is cancelled; a write ends with its connection anyway.
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            writing.add_done_callback(_retrieve)
            raise
        finally:
            self._read(context)

    def _begin(self, context: GrpcContext, size: int, task: asyncio.Task[Any] | None = None) -> None:
        now = self._loop.time()
        if self.unread + size > MAX_UNREAD:
            self._cut(now - MIN_UNREAD_AGE, self.unread + size - MAX_UNREAD)
            raise Overloaded(len(self._sending), "answers have not been read")
        self._sending[context] = _UnreadAnswer(context.peer(), size, now, task)
        self.unread += size
        if self._timer is None:
            self._look_soon()

    def _read(self, context: GrpcContext) -> None:
        sent = self._sending.pop(context, None)
        if sent is not None:
            self.unread -= sent.size

    def _end(self, context: GrpcContext) -> None:
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
        """Let a waiting request go on, in turns the newest, whose caller mostly still waits, and the oldest."""
        while self._waiting:
            self._last_first = not self._last_first
            turn = self._waiting.pop() if self._last_first else self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _look_soon(self) -> None:
        self._due = self._loop.time() + LOOK_MS / 1000
        self._timer = self._loop.call_at(self._due, self._check_progress)

    def _check_progress(self) -> None:
        """End calls without progress if others wait for their room."""
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
        """End answers from before that time that are not read, the oldest first: all, or that many bytes."""
        peers = set()
        for sending in self._sending.values():
            if sending.since > begun or (size is not None and size <= 0):
                break
            if sending.since == 0:
                continue
            size = None if size is None else size - sending.size
            peers.add(sending.peer)
            # Only once: the call ends when the core of gRPC has noticed.
            sending.since = 0
            if sending.task is not None:
                sending.task.cancel()
        for peer in peers:
            _log.warning("ended a connection over which answers are not read", peer=peer)
        if peers:
            close_connections(frozenset(peers))


def max_connections() -> int:
    """Return how many connections each port accepts: at most a third of the files that this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(16, min(MAX_CONNECTIONS, soft // 3))


def _retrieve(ended: asyncio.Future[Any]) -> None:
    """Retrieve the result of a write that nobody awaits."""
    if not ended.cancelled():
        ended.exception()


def close_connections(peers: frozenset[str]) -> None:
    """Close the connections of these peers, by their gRPC names, to free the answers that they do not read.

    gRPC cannot do so, nor drop a single answer. Peers of a Unix socket have no names: their connections stay open, and
    answers that they do not read count until they close.
    """
    for name in Path("/dev/fd").iterdir():
        with suppress(OSError):
            # A duplicate stays valid even if the connection is closed now and its descriptor is reused.
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
    """Return the peer of a connection as gRPC names it. Raises OSError."""
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return ""
    host, port, *_ = connection.getpeername()
    # gRPC listens for both families with one socket, and names IPv4 peers as such.
    host = host.removeprefix("::ffff:") if "." in host else f"[{host}]"
    return f"ipv4:{host}:{port}" if "." in host else f"ipv6:{quote(host, safe=':')}:{port}"
