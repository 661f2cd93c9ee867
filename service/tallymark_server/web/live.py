"""The stream by which open pages hear that something changed.

It carries no content, only which model and version changed, and how: each page then asks for itself anew, with its own
filter, sort and place. So what is shown is always what a reload would show.

One reader follows the log of a project, however many pages are open. It keeps the last changes, and each page takes
from them what it lacks, at its own speed. A page that lacks more than is kept is told to ask for itself anew, which
loses nothing; so neither a slow page nor a restart needs a queue.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import structlog

from tallymark_server.domain.errors import Overloaded, RegistryError, Stopping
from tallymark_server.domain.events import Event
from tallymark_server.domain.model import Model, Project, Run
from tallymark_server.registry import Registry
from tallymark_server.watch import Interest

KEPT_CHANGES = 1024
# More at once than this are told as one.
TOLD = 20
# A page is told at once, and then not for so many seconds, which are more when many pages are open: it would not ask
# anew any sooner, and while the log grows fast, telling is not to slow down what is told of.
PACE = 0.05
SILENCE = 15.0
MAX_VIEWERS = 1000
# So many pages may ask anew at the same moment; with more, each waits a random part of so many milliseconds a page.
AT_ONCE = 20
SPREAD = 2
RETRY = 1.0

_log = structlog.get_logger()


class Change(NamedTuple):
    """That something happened to a version, to a model as a whole (number 0), or in a run, empty for none."""

    revision: int
    model_id: int
    model: str
    number: int
    kind: str
    run: str = ""


class Follower:
    """The one reader of a project's log."""

    def __init__(self, registry: Registry, project: str) -> None:
        self._registry = registry
        self._project = project
        self._kept: deque[Change] = deque(maxlen=KEPT_CHANGES)
        self._began = asyncio.Event()
        self._grown: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._from = 0
        self.ended = False
        self.log_id = ""
        self.revision = 0
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        while not self.ended:
            interest = Interest(after=self.revision if self.log_id else None, log_id=self.log_id)
            try:
                async for progress in self._registry.watch(self._project, "", interest):
                    if not self.log_id:
                        self._from = progress.revision
                    self.log_id, self.revision = progress.log_id, progress.revision
                    self._kept.extend(map(_change, progress.events))
                    self._began.set()
                    self._ring()
            except Stopping:
                self.end()
            except RegistryError as error:
                _log.warning("the dashboard cannot follow the log", project=self._project, reason=error.reason)
                await asyncio.sleep(RETRY)

    def _ring(self) -> None:
        rung, self._grown = self._grown, asyncio.get_running_loop().create_future()
        rung.set_result(None)

    def end(self) -> None:
        """End every stream."""
        self.ended = True
        self._began.set()
        self._ring()

    async def close(self) -> None:
        """End every stream, and the reading."""
        self.end()
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def begun(self) -> None:
        """Done when it is known where the log stands."""
        await self._began.wait()

    def since(self, cursor: int) -> list[Change] | None:
        """What happened after that revision, oldest first; None if that is no longer known."""
        oldest = self._kept[0].revision - 1 if len(self._kept) == KEPT_CHANGES else self._from
        if not oldest <= cursor <= self.revision:
            return None
        found = []
        for change in reversed(self._kept):
            if change.revision <= cursor:
                break
            found.append(change)
        return found[::-1]

    async def grown(self, longest: float) -> None:
        """Done when the log has grown, or when that much time has passed."""
        await asyncio.wait((self._grown,), timeout=longest)


class Live:
    """The streams of all open pages."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._followers: dict[str, Follower] = {}
        self.viewers = 0

    async def follower(self, project: str) -> Follower:
        """The reader of the project's log, which begins with its first viewer."""
        if project not in self._followers:
            self._followers[project] = Follower(self._registry, project)
        follower = self._followers[project]
        await follower.begun()
        return follower

    def revision(self, project: str) -> int | None:
        """The revision up to which open pages have been told; None when nobody follows the project."""
        follower = self._followers.get(project)
        return follower.revision if follower and not follower.ended else None

    async def close(self) -> None:
        """End every stream."""
        for follower in self._followers.values():
            await follower.close()

    @contextmanager
    def viewing(self) -> Iterator[None]:
        """Count one more page while the block lasts. Raise Overloaded if as many as may be are open."""
        if self.viewers >= MAX_VIEWERS:
            raise Overloaded(self.viewers, "pages are open")
        self.viewers += 1
        try:
            yield
        finally:
            self.viewers -= 1

    async def stream(self, project: str, cursor: str, model_id: int | None, run: str = "") -> AsyncIterator[str]:
        """Send events after the cursor, `REVISION` or `REVISION.LOG`, of a model or of a run if one is named."""
        follower = await self.follower(project)
        yield "retry: 300\n\n"
        place = _place(cursor, follower)
        while not follower.ended:
            heard = await anext_message(follower, place, self.viewers, model_id, run)
            place = follower.revision
            yield heard
            await asyncio.sleep(max(PACE, _spread(self.viewers) / 1000))


async def anext_message(follower: Follower, place: int, viewers: int, model_id: int | None, run: str) -> str:
    """What a page is told next; a comment when there is nothing to tell for long, so that the line stays open."""
    clock = asyncio.get_running_loop().time
    until = clock() + SILENCE
    while not follower.ended:
        changes = follower.since(place)
        spread = _spread(viewers)
        head = f"id: {follower.revision}.{follower.log_id}\n"
        if changes is None:
            return head + _data({"revision": follower.revision, "kind": "refresh", "spread": spread})
        mine = [change for change in changes if model_id in (None, change.model_id) and run in ("", change.run)]
        if len(mine) > TOLD:
            return head + _data({"revision": follower.revision, "kind": "refresh", "spread": spread})
        if mine:
            return head + "".join(_data({**_plain(change), "spread": spread}) for change in mine)
        place = follower.revision
        left = until - clock()
        if left <= 0:
            return f": {follower.revision}\n\n"
        await follower.grown(left)
    return ""


def _spread(viewers: int) -> int:
    return SPREAD * max(0, viewers - AT_ONCE)


def _place(cursor: str, follower: Follower) -> int:
    revision, _, log_id = cursor.partition(".")
    if not cursor:
        return follower.revision
    if not revision.isdecimal() or len(revision) > 18 or log_id not in ("", follower.log_id):
        return -1
    return int(revision)


def _change(event: Event) -> Change:
    match event.image:
        case Model(id=model_id, name=name):
            return Change(event.revision, model_id, name, 0, event.kind.value)
        case Run(id=run, model_id=model_id, model=name, number=number):
            return Change(event.revision, model_id, name or "", number, event.kind.value, run)
        case Project():
            return Change(event.revision, 0, "", 0, event.kind.value)
        case version:
            run = getattr(version, "run", "") or ""
            return Change(event.revision, version.model_id, version.model or "", version.number, event.kind.value, run)


def _plain(change: Change) -> dict[str, object]:
    return {"revision": change.revision, "model": change.model, "number": change.number, "kind": change.kind}


def _data(value: dict[str, object]) -> str:
    return f"data: {json.dumps(value)}\n\n"
