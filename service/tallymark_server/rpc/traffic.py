"""The running calls: each is counted, and those without progress are ended in favor of others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from tallymark_server.access.pacing import Pace
from tallymark_server.domain.errors import Overloaded
from tallymark_server.rpc import limiters
from tallymark_server.rpc.arrivals import ARRIVAL_DEADLINE, Arrivals
from tallymark_server.rpc.callers import GrpcContext
from tallymark_server.rpc.limiters import LargeRequestLimiter
from tallymark_server.rpc.unread_answers import READ_DEADLINE, UnreadAnswers

# Each costs about 24 kB, even if nothing is ever sent on it.
MAX_CALLS = 4_096
# Of these, the streams of callers that are not known, who may only watch the health.
MAX_UNKNOWN_STREAMS = 64
# Answers of at most that many bytes are not counted.
MAX_SMALL_ANSWER = 4096
# How often calls without progress are searched for, in milliseconds. Late checks count only one time in ten: while the
# event loop is busy, requests wait through no fault of their callers.
LOOK_MS = 15
PUNCTUAL = 0.01
BUSY = 10


class Traffic:
    """The running calls, the parts of requests that have not arrived, and the answers that are not read."""

    def __init__(
        self,
        *,
        read_deadline: float = READ_DEADLINE,
        arrival_deadline: float = ARRIVAL_DEADLINE,
        is_unknown: Callable[[GrpcContext], bool] = lambda _: False,
    ) -> None:
        """`is_unknown` returns whether no known caller has come over the connection of a call."""
        self.calls = 0
        self._arrivals = Arrivals(round(arrival_deadline * 1000 / LOOK_MS), LOOK_MS, self._look_soon)
        self._answers = UnreadAnswers(read_deadline, self._look_soon)
        self._streams = Pace(limiters.STREAMS_PER_INTERVAL, limiters.STREAM_INTERVAL)
        self._unknown_streams = 0
        self.is_unknown = is_unknown
        self._large = LargeRequestLimiter()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._looks_while_busy = 0
        self._loop = asyncio.get_running_loop()

    @property
    def unread(self) -> int:
        """The bytes of answers that are not read."""
        return self._answers.size

    async def request(self, context: GrpcContext, *, paced: bool = False, unknown: bool = False) -> Any:
        """Return the request of a new call, decoded if it is small; grpc.aio.EOF for none.

        Streams are `paced`, and few of them may be of `unknown` callers. Raises Overloaded or CallTimedOut.
        """
        if self.calls >= MAX_CALLS:
            raise Overloaded(self.calls, "calls are under way")
        if paced and unknown:
            self._begin_unknown(context)
        self.calls += 1
        context.add_done_callback(self._end)  # type: ignore[arg-type]  # the stubs - have the callback of a client
        if paced:
            await self._streams.turn()
        return await self._arrivals.read(context, unknown=unknown)

    def large(self, size: int) -> AbstractAsyncContextManager[None]:
        """Wait until a large request of that many bytes may be processed. Raises Overloaded."""
        return self._large.turn(size)

    def answer(self, context: GrpcContext, data: bytes) -> bytes:
        """Return the answer, which counts until it is read. Raises Overloaded if there is no room for it."""
        if len(data) > MAX_SMALL_ANSWER:
            self._answers.add(context, len(data))
        return data

    async def send(self, context: GrpcContext, data: bytes) -> None:
        """Send a message of a stream. Raises Overloaded if there is no room for it."""
        self._answers.add(context, len(data), asyncio.current_task())
        writing = asyncio.ensure_future(context.write(data))
        try:
            # gRPC never frees a message whose write is cancelled; a write ends with its connection anyway.
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            writing.add_done_callback(_retrieve)
            raise
        finally:
            self._answers.remove(context)

    def _begin_unknown(self, context: GrpcContext) -> None:
        """Count a stream of an unknown caller until it ends. Raises Overloaded."""
        if self._unknown_streams >= MAX_UNKNOWN_STREAMS:
            raise Overloaded(self._unknown_streams, "streams of unknown callers are open")
        self._unknown_streams += 1
        context.add_done_callback(self._end_unknown)  # type: ignore[arg-type]  # as above

    def _end_unknown(self, _: GrpcContext) -> None:
        self._unknown_streams -= 1

    def _end(self, context: GrpcContext) -> None:
        self.calls -= 1
        if self._answers:
            self._answers.remove(context)

    def _look_soon(self) -> None:
        if self._timer is None:
            self._due = self._loop.time() + LOOK_MS / 1000
            self._timer = self._loop.call_at(self._due, self._check_progress)

    def _check_progress(self) -> None:
        """End calls without progress if others wait for their room."""
        busy = self._loop.time() > self._due + PUNCTUAL
        self._looks_while_busy = self._looks_while_busy + 1 if busy else 0
        self._arrivals.check(counts=not busy or self._looks_while_busy % BUSY == 0)
        self._answers.check()
        self._timer = None
        if self._arrivals or self._answers:
            self._look_soon()


def _retrieve(ended: asyncio.Future[Any]) -> None:
    """Retrieve the result of a write that nobody awaits."""
    if not ended.cancelled():
        ended.exception()
