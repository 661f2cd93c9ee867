"""Whether the storage takes changes, as far as the last write or check has shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from tallymark_server.domain.errors import DataLoss, Unavailable

# After how many seconds a lost storage is tried again.
RETRY = 1.0
# How often, in seconds, storage on another machine is tried that nobody has written to meanwhile.
LOOK = 2.0

_log = structlog.get_logger()


class Availability:
    """Whether the storage takes changes. `problem` says why it does not, and is empty while it does."""

    def __init__(self) -> None:
        self.problem = ""
        self._lost = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    def listen(self, changed: Callable[[], None]) -> None:
        """Call the function whenever the storage is lost or regained."""
        self._listeners.append(changed)

    def lose(self, problem: str) -> None:
        """Note that the storage takes no changes now, and why."""
        if not self.problem:
            _log.error("not ready", problem=problem)
            self.problem = problem
            self._lost.set()
            self._tell()

    def regain(self) -> None:
        """Note that the storage takes changes."""
        if self.problem:
            _log.info("ready again")
            self.problem = ""
            self._lost.clear()
            self._tell()

    async def watch_over(self, check: Callable[[], Awaitable[None]], look: float | None = None) -> None:
        """Note that a lost storage is there again once the check succeeds, which is tried every RETRY seconds.

        With `look`, check every so many seconds, too, whether it is lost: otherwise only writes show that.
        """
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(look):
                    await self._lost.wait()
            if self._lost.is_set():
                await asyncio.sleep(RETRY)
            try:
                await check()
            except (Unavailable, DataLoss) as error:
                self.lose(str(error))
            else:
                self.regain()

    def _tell(self) -> None:
        for changed in self._listeners:
            changed()
