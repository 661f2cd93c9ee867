"""The bell and the loop by which readers follow the log.

The bell carries no data: it says only that there is more. Each reader reads the log itself, at its own speed, so that a
slow one holds up nobody and misses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from tallymark_server.domain.errors import LogReplaced, RevisionInFuture, Stopping
from tallymark_server.domain.events import Event
from tallymark_server.storage.contract import Storage

PAGE = 500


class Bell:
    """Wakes those who wait for a project's log to grow."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._closed = False

    def listen(self, project: str) -> asyncio.Future[None]:
        """Done at the next ring for the project; Stopping once the bell is closed."""
        if self._closed:
            raise Stopping
        return self._waiting.setdefault(project, asyncio.get_running_loop().create_future())

    def ring(self, projects: Iterable[str]) -> None:
        """Wake those who wait for these projects."""
        for project in projects:
            if project in self._waiting:
                self._waiting.pop(project).set_result(None)

    def close(self) -> None:
        """Wake everybody for good."""
        self._closed = True
        self.ring(list(self._waiting))


@dataclass(frozen=True, slots=True)
class Progress:
    """Events, possibly none, and the revision up to which everything has been told."""

    log_id: str
    revision: int
    events: list[Event]


async def watch(
    storage: Storage, bell: Bell, project: str, after: int | None, log_id: str, heartbeat: float
) -> AsyncIterator[Progress]:
    """Every event after the revision, once and in order, without end.

    The first message tells where the watch begins. A silent log is told of every `heartbeat` seconds. LogReplaced,
    RevisionInFuture, ProjectNotFound; Stopping at the end.
    """
    head = await storage.head(project)
    if log_id and log_id != head.log_id:
        raise LogReplaced(head.log_id)
    cursor = head.revision if after is None else after
    if cursor > head.revision:
        raise RevisionInFuture(cursor, min(1, head.revision), head.revision)
    yield Progress(head.log_id, cursor, [])
    while True:
        # Listen before reading: what happens in between rings, and is read in the next round.
        rung = bell.listen(project)
        events = (await storage.events(project, cursor, PAGE)).items
        if events:
            cursor = events[-1].revision
            yield Progress(head.log_id, cursor, events)
            continue
        done, _ = await asyncio.wait((rung,), timeout=heartbeat)
        if not done:
            yield Progress(head.log_id, cursor, [])
