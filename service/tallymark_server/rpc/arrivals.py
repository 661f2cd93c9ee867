"""Requests that have begun and have not arrived whole: few at a time, and those without progress give way to others.

The core of gRPC keeps each part of a request until the rest has arrived, without a bound in memory or time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from tallymark_server.domain.errors import CallTimedOut, Overloaded
from tallymark_server.rpc.callers import GrpcContext

# How many requests may arrive at the same time, each of up to 4 MiB; further ones wait until one has arrived.
MAX_ARRIVING = 12
# How many seconds a request may take to arrive.
ARRIVAL_DEADLINE = 10.0
# A request that has not arrived at the third check makes room for one that waits; that of an unknown caller at the
# second, and before all others.
LOOKS, LOOKS_OF_UNKNOWN = 2, 1


class Arrivals:
    """The requests that have not arrived, and the calls that wait until fewer do."""

    def __init__(self, max_looks: int, look_milliseconds: int, on_begin: Callable[[], None]) -> None:
        """End a request after that many checks. Each request calls `on_begin`, so that checks are made."""
        self._max_looks = max_looks
        self._deadline = max_looks * look_milliseconds
        self._on_begin = on_begin
        # How often each request was checked, the oldest first.
        self._looks: dict[asyncio.Task[Any], int] = {}
        self._late: set[asyncio.Task[Any]] = set()
        # Those of callers over whose connections no known caller has come.
        self._unknown: set[asyncio.Task[Any]] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._last_first = False
        self._loop = asyncio.get_running_loop()

    def __bool__(self) -> bool:
        return bool(self._looks)

    async def read(self, context: GrpcContext, *, unknown: bool = False) -> Any:
        """Return the request of a call, grpc.aio.EOF for none. Raises Overloaded or CallTimedOut."""
        if len(self._looks) >= MAX_ARRIVING or self._waiting:
            await self._turn()
        task = asyncio.current_task()
        assert task is not None, "a call is a task"  # noqa: S101
        self._looks[task] = 0
        if unknown:
            self._unknown.add(task)
        self._on_begin()
        try:
            return await context.read()
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            self._late.discard(task)
            task.uncancel()
            if self._looks[task] > self._max_looks:
                raise CallTimedOut(self._deadline, "the request took longer to arrive") from None
            raise Overloaded(len(self._looks), "requests have not arrived whole") from None
        finally:
            del self._looks[task]
            self._unknown.discard(task)
            if self._waiting:
                self._next()

    def check(self, *, counts: bool) -> None:
        """End requests that are late, and, if the check counts, those whose room others wait for."""
        wanted = len(self._waiting) if counts else 0
        # Sorting keeps the order of time among equals.
        tasks = sorted(self._looks, key=lambda task: task not in self._unknown) if self._unknown else list(self._looks)
        for task in tasks:
            looks = self._looks[task]
            self._looks[task] = looks + counts
            enough = LOOKS_OF_UNKNOWN if task in self._unknown else LOOKS
            if (wanted > 0 and looks >= enough) or looks >= self._max_looks:
                wanted -= 1
                self._late.add(task)
                task.cancel()

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
