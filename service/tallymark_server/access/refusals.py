"""Refusals of unknown callers: few at a time, and beyond a bound their connections are closed.

A refusal takes as long as a short call, and whoever gets one at once can send the next at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

from tallymark_server.access.pacing import Pace

# How many unknown callers are refused in how many seconds; further ones wait for the next interval.
REFUSALS_PER_INTERVAL, REFUSAL_INTERVAL = 2, 0.005
# How many calls of unknown callers are refused in each second: those from one address, and all.
MAX_REFUSALS_PER_ADDRESS, MAX_REFUSALS, WINDOW = 100, 400, 1.0
# How many calls beyond these bounds wait for the next second.
MAX_WAITING = 256
# Connections of known callers that are remembered, more than there can be at a time.
MAX_ACCEPTED = 16_384
# For how many seconds connections are collected before they are closed together, since that searches all files.
CLOSE_DELAY = 0.05


class _Waiting(NamedTuple):
    """A call that waits to be refused."""

    connection: str
    address: str
    turn: asyncio.Future[None]


class Refusals:
    """The refusals of unknown callers, and the connections over which known callers have come."""

    def __init__(self) -> None:
        self._accepted: dict[str, None] = {}
        self._refused: Counter[str] = Counter()
        self._waiting: deque[_Waiting] = deque()
        # The connections with calls that wait, or were reset while they waited in this second.
        self._held: set[str] = set()
        self._window: asyncio.TimerHandle | None = None
        self._pace = Pace(REFUSALS_PER_INTERVAL, REFUSAL_INTERVAL)
        self._unwanted: set[str] = set()
        self._closing: asyncio.Task[None] | None = None
        self._until_closed: set[asyncio.Future[None]] = set()

    @property
    def waiting(self) -> int:
        """How many calls wait for the next second."""
        return sum(not each.turn.done() for each in self._waiting)

    def accept(self, connection: str) -> None:
        """Note that a known caller has come over this connection, which is never closed for what is refused on it."""
        if connection in self._accepted:
            return
        if len(self._accepted) >= MAX_ACCEPTED:
            del self._accepted[next(iter(self._accepted))]
        self._accepted[connection] = None

    def has_accepted(self, connection: str) -> bool:
        """Return whether a known caller has come over this connection."""
        return connection in self._accepted

    async def turn(self, connection: str, address: str) -> bool:
        """Wait until a call over this connection may be refused.

        Return False if the connection is to be closed instead: beyond the bounds, one on which a call waits already, or
        any if too many calls wait, unless a known caller has come over it.
        """
        if not self._counted(address):
            is_full = len(self._waiting) >= MAX_WAITING
            if not self.has_accepted(connection) and (is_full or connection in self._held):
                return False
            if not is_full:
                await self._wait(connection, address)
        await self._pace.turn()
        return True

    async def close(self, connection: str, close: Callable[[frozenset[str]], None]) -> None:
        """Close the connection, together with others, by a function that may block."""
        self._unwanted.add(connection)
        if self._closing is None:
            self._closing = asyncio.create_task(self._close_soon(close))
        # Each has a future of its own: to cancel one of thousands that await the same takes too long.
        closed = asyncio.get_running_loop().create_future()
        self._until_closed.add(closed)
        try:
            await closed
        finally:
            self._until_closed.discard(closed)

    async def _close_soon(self, close: Callable[[frozenset[str]], None]) -> None:
        await asyncio.sleep(CLOSE_DELAY)
        unwanted = frozenset(each for each in self._unwanted if not self.has_accepted(each))
        self._unwanted.clear()
        self._closing, awaited, self._until_closed = None, self._until_closed, set()
        try:
            await asyncio.to_thread(close, unwanted)
        finally:
            for each in awaited:
                if not each.done():
                    each.set_result(None)

    def _counted(self, address: str) -> bool:
        """Count a refusal, and return True, unless it exceeds a bound."""
        if self._window is None:
            self._window = asyncio.get_running_loop().call_later(WINDOW, self._next_window)
        if self._refused[address] >= MAX_REFUSALS_PER_ADDRESS or self._refused.total() >= MAX_REFUSALS:
            return False
        self._refused[address] += 1
        return True

    async def _wait(self, connection: str, address: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(connection, address, turn))
        self._held.add(connection)
        await turn

    def _next_window(self) -> None:
        """Let calls that wait go on, the oldest first, as far as the bounds of a new second allow."""
        self._refused.clear()
        self._window = None
        waiting = [each for each in self._waiting if not each.turn.done()]
        self._waiting.clear()
        for each in waiting:
            if self._counted(each.address):
                each.turn.set_result(None)
            else:
                self._waiting.append(each)
        self._held = {each.connection for each in self._waiting}
