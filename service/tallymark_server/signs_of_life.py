"""The signs of life of runs, which servers on one storage share.

The heartbeats of a run arrive at whichever server its program reaches. A server that has heard nothing of a run looks
here before it takes the run for lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from tallymark_server.domain.errors import DataLoss, Unavailable
from tallymark_server.storage.contract import RunKey, Signs, Storage

# Signs that arrive within so many seconds are noted together.
DELAY = 0.2
# The seconds before another attempt to note them.
RETRY_DELAY = 1.0
# So many are noted in one transaction.
BATCH = 1000
_log = structlog.get_logger()


class SignsOfLife:
    """What this server notes for others, and looks up. `forget` is called with the runs that expect no more signs."""

    def __init__(self, storage: Storage, forget: Callable[[RunKey], None]) -> None:
        self._signs = storage.signs
        self._forget = forget
        self._heard: set[RunKey] = set()
        self._due = asyncio.Event()

    @property
    def are_shared(self) -> bool:
        """Whether other servers may use the storage, too."""
        return self._signs is not None

    def hear(self, run: RunKey) -> None:
        """Note soon that the run is alive."""
        if self._signs is not None:
            self._heard.add(run)
            self._due.set()

    async def note(self) -> None:
        """Note what was heard, until cancelled."""
        while self._signs is not None:
            await self._due.wait()
            await asyncio.sleep(DELAY)
            self._due.clear()
            # In one order, so that servers do not wait for each other in a circle.
            heard = sorted(self._heard)
            self._heard.clear()
            for begin in range(0, len(heard), BATCH):
                await self._note(self._signs, heard[begin : begin + BATCH])

    async def _note(self, signs: Signs, runs: Sequence[RunKey]) -> None:
        try:
            for run in await signs.note(runs):
                self._forget(run)
        except (Unavailable, DataLoss) as error:
            _log.warning("signs of life cannot be noted, which is tried again", problem=str(error))
            self._heard.update(runs)
            self._due.set()
            await asyncio.sleep(RETRY_DELAY)

    async def silences(self, runs: Sequence[RunKey]) -> dict[RunKey, float]:
        """Return for how many seconds the runs have been silent to all servers, without those never heard of.

        Raises Unavailable or DataLoss.
        """
        return {} if self._signs is None else await self._signs.silences(runs)
