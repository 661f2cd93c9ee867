"""Backups by themselves: one process after the other makes, verifies and keeps them, while the service serves."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from tallymark_server.operations.backup_process import Order, Outcome
from tallymark_server.storage.side_process import completed

if TYPE_CHECKING:
    from tallymark_server.operations.metrics import Metrics

_PROGRAM = "tallymark_server.operations.backup_process"
# After how many seconds a backup that failed is tried again, unless the next is due sooner.
RETRY = 60.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Backups:
    """Backups of the file `db` to a folder or URL, one every so many seconds; the newest `keep` are kept."""

    db: Path
    to: str
    every: float
    keep: int

    async def serve(self, metrics: Metrics | None) -> None:
        """Make a backup whenever one is due, until cancelled."""
        while True:
            begun = time.monotonic()
            outcome = await self._make()
            if outcome.problem:
                _log.error("backup failed", problem=outcome.problem)
            elif outcome.made:
                _log.info("backed up", name=outcome.made, size=outcome.size, removed=outcome.removed)
            if metrics is not None and (outcome.made or outcome.problem):
                metrics.backups.labels("failure" if outcome.problem else "success").inc()
            if metrics is not None and outcome.newest:
                metrics.newest_backup.set(outcome.newest)
            if metrics is not None and outcome.made:
                metrics.backup_duration.set(time.monotonic() - begun)
            await asyncio.sleep(min(RETRY, self.every) if outcome.problem else outcome.due)

    async def _make(self) -> Outcome:
        order = msgspec.json.encode(Order(self.to, self.every, self.keep)).decode()
        done = await completed(_PROGRAM, str(self.db.resolve()), order)
        if done.returncode:
            return Outcome(problem=f"it ended with code {done.returncode}: {done.stderr.decode(errors='replace')}")
        return msgspec.json.decode(done.stdout, type=Outcome)
