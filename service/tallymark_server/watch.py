"""The signal and the loop with which readers follow the log.

The bell carries no data: it signals only that the log has grown. Each reader reads the log itself, at its own speed, so
a slow reader delays no other and misses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any, TypeVar

from msgspec import Struct

from tallymark_server.domain.errors import LogReplaced, RevisionInFuture, Stopping
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Model, ModelVersion, Project, Resource, Stage
from tallymark_server.observer import Position
from tallymark_server.storage.contract import Storage

T = TypeVar("T")
PAGE = 500


class Bell:
    """Wakes the readers that wait for a project's log to grow."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._closed = asyncio.Event()

    def listen(self, project: str) -> asyncio.Future[None]:
        """Return a future that is done at the next ring for the project. Raises Stopping once the bell is closed."""
        self.check()
        return self._waiting.setdefault(project, asyncio.get_running_loop().create_future())

    def ring(self, projects: Iterable[str]) -> None:
        """Wake the readers that wait for these projects."""
        for project in projects:
            if project in self._waiting:
                self._waiting.pop(project).set_result(None)

    def watched(self) -> list[str]:
        """Return the projects that readers wait for."""
        return list(self._waiting)

    def close(self) -> None:
        """Wake all readers, which then get Stopping."""
        self._closed.set()
        self.ring(list(self._waiting))

    def check(self) -> None:
        """Raise Stopping once the bell is closed."""
        if self._closed.is_set():
            raise Stopping

    async def unless_closed(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of the work. Cancels it and raises Stopping once the bell is closed."""
        working, closed = asyncio.create_task(work), asyncio.create_task(self._closed.wait())
        try:
            await asyncio.wait((working, closed), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise Stopping
            return working.result()
        finally:
            working.cancel()
            closed.cancel()
            await asyncio.wait((working, closed))


class Progress(Struct, frozen=True):
    """Events, possibly none, and the revision that the log has been read up to."""

    log_id: str
    revision: int
    events: list[Event]


class Interest(Struct, frozen=True, kw_only=True):
    """Which events a reader wants.

    Events after a revision (None: from now on) of the log of that id, if one is given; only those about one model, by
    its id, only those of some kinds, and only changes into or out of some stages, if any are given.
    """

    after: int | None = None
    log_id: str = ""
    model_id: int | None = None
    kinds: frozenset[Kind] = frozenset()
    stages: frozenset[Stage] = frozenset()

    def includes(self, event: Event) -> bool:
        """Return whether the reader wants the event."""
        if self.kinds and event.kind not in self.kinds:
            return False
        if self.stages and not (event.kind is Kind.STAGE_CHANGED and self.stages & _stages_of(event)):
            return False
        return self.model_id is None or self.model_id == _model_of(event.image)


def _model_of(image: Resource) -> int:
    """Return the id of the resource's model, or of the resource if it is a model; 0 for none."""
    match image:
        case Model():
            return image.id
        case Project():
            return 0
        case _:
            return image.model_id


def _stages_of(event: Event) -> set[Stage | None]:
    """Return the stages of the version before and after the event."""
    return {event.previous_stage, event.image.stage if isinstance(event.image, ModelVersion) else None}


async def watch(
    storage: Storage, bell: Bell, project: str, interest: Interest, heartbeat: float, position: Position
) -> AsyncIterator[Progress]:
    """Yield every event that the reader wants, once and in order, without end.

    The first message has the revision at which the watch begins. After `heartbeat` seconds without a wanted event, a
    message has the revision that the log has been read up to; `position` keeps that of the last message that was sent.
    Raises LogReplaced, RevisionInFuture or ProjectNotFound, and Stopping when the server stops.
    """
    head = await storage.head(project)
    if interest.log_id and interest.log_id != head.log_id:
        raise LogReplaced(head.log_id, min(1, head.revision), head.revision)
    cursor = head.revision if interest.after is None else interest.after
    if cursor > head.revision:
        raise RevisionInFuture(cursor, min(1, head.revision), head.revision)
    yield Progress(head.log_id, cursor, [])
    position.revision = cursor
    clock = asyncio.get_running_loop().time
    due = clock() + heartbeat
    while True:
        # Listen before reading, so that an event in between rings, and is read in the next round.
        rung = bell.listen(project)
        events = (await storage.events(project, cursor, PAGE)).items
        wanted = [event for event in events if interest.includes(event)]
        if events:
            cursor = events[-1].revision
        else:
            await asyncio.wait((rung,), timeout=max(0.0, due - clock()))
        if wanted or clock() >= due:
            yield Progress(head.log_id, cursor, wanted)
            due = clock() + heartbeat
        position.revision = cursor
