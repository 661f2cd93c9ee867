"""Pacing: thousands of calls at once must not delay a short call."""

from __future__ import annotations

import asyncio
from collections import deque


class Pace:
    """Lets few calls go on in each interval, in the order in which they came."""

    def __init__(self, per_interval: int, interval: float) -> None:
        """Let so many calls go on in each interval, in seconds."""
        self._per_interval, self._interval = per_interval, interval
        self._begun = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self) -> None:
        """Wait until the call may go on."""
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = loop.call_later(self._interval, self._go_on)
        if self._begun < self._per_interval:
            self._begun += 1
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _go_on(self) -> None:
        self._begun, self._timer = 0, None
        while self._waiting and self._begun < self._per_interval:
            turn = self._waiting.popleft()
            if not turn.done():
                self._begun += 1
                turn.set_result(None)
        if self._begun:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._go_on)
