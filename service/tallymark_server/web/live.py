"""The stream that reports changes to open pages.

It carries no content, only which model and version changed, and how: each page then reloads itself, with its own
filter, order and position. So a page always shows what a reload would show.

One reader follows the log of a project, however many pages are open. It keeps the last changes, and each page reads the
ones that it lacks, at its own speed. A page that lacks more than those just reloads, which loses nothing. So neither a
slow page nor a restart needs a queue.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import structlog

from tallymark_server.domain.errors import Overloaded, RegistryError, Stopping
from tallymark_server.domain.events import Event
from tallymark_server.domain.model import Model, Project, Run
from tallymark_server.registry import Registry
from tallymark_server.watch import Interest

KEPT_CHANGES = 1024
# More changes at once are reported as one.
MAX_REPORTED = 20
# After a report, a page gets none for this many seconds, longer when many pages are open: it would not reload sooner,
# and while the log grows fast, reports must not slow down the changes.
MIN_INTERVAL = 0.05
KEEPALIVE_INTERVAL = 15.0
MAX_VIEWERS = 1000
# How many pages may reload at once; with more, each waits a random part of so many milliseconds for each page.
MAX_RELOADS_AT_ONCE = 20
SPREAD_PER_PAGE = 2
RETRY_DELAY = 1.0

_log = structlog.get_logger()


class Change(NamedTuple):
    """A change of a version, of a model as a whole (number 0), or in a run (empty for none)."""

    revision: int
    model_id: int
    model: str
    number: int
    kind: str
    run: str = ""


class Follower:
    """The only reader of a project's log for all open pages."""

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
                await asyncio.sleep(RETRY_DELAY)

    def _ring(self) -> None:
        rung, self._grown = self._grown, asyncio.get_running_loop().create_future()
        rung.set_result(None)

    def end(self) -> None:
        """End every stream."""
        self.ended = True
        self._began.set()
        self._ring()

    async def close(self) -> None:
        """End every stream, and stop reading."""
        self.end()
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def begun(self) -> None:
        """Wait until the end of the log is known."""
        await self._began.wait()

    def since(self, cursor: int) -> list[Change] | None:
        """Return the changes after that revision, oldest first, None if some are no longer kept."""
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
        """Wait until the log has grown, or that many seconds have passed."""
        await asyncio.wait((self._grown,), timeout=longest)


class Live:
    """The streams of all open pages."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._followers: dict[str, Follower] = {}
        self.viewers = 0

    async def follower(self, project: str) -> Follower:
        """Return the reader of the project's log, which starts with its first viewer."""
        if project not in self._followers:
            self._followers[project] = Follower(self._registry, project)
        follower = self._followers[project]
        await follower.begun()
        return follower

    def revision(self, project: str) -> int | None:
        """Return the revision that changes were reported up to, None if no page follows the project."""
        follower = self._followers.get(project)
        return follower.revision if follower and not follower.ended else None

    async def close(self) -> None:
        """End every stream."""
        for follower in self._followers.values():
            await follower.close()

    @contextmanager
    def viewing(self) -> Iterator[None]:
        """Count one more open page during the block. Raises Overloaded if too many are open."""
        if self.viewers >= MAX_VIEWERS:
            raise Overloaded(self.viewers, "pages are open")
        self.viewers += 1
        try:
            yield
        finally:
            self.viewers -= 1

    async def stream(self, project: str, cursor: str, model_id: int | None, run: str = "") -> AsyncGenerator[str, None]:
        """Send events after the cursor, `REVISION` or `REVISION.LOG`, of a model or of a run if one is named."""
        follower = await self.follower(project)
        yield "retry: 300\n\n"
        place = _place(cursor, follower)
        while not follower.ended:
            heard = await anext_message(follower, place, self.viewers, model_id, run)
            place = follower.revision
            yield heard
            await asyncio.sleep(max(MIN_INTERVAL, _spread(self.viewers) / 1000))


async def anext_message(follower: Follower, place: int, viewers: int, model_id: int | None, run: str) -> str:
    """Return the next message for a page, or a comment after a long silence, which keeps the connection open."""
    clock = asyncio.get_running_loop().time
    until = clock() + KEEPALIVE_INTERVAL
    while not follower.ended:
        changes = follower.since(place)
        spread = _spread(viewers)
        head = f"id: {follower.revision}.{follower.log_id}\n"
        if changes is None:
            return head + _data({"revision": follower.revision, "kind": "refresh", "spread": spread})
        mine = [change for change in changes if model_id in (None, change.model_id) and run in ("", change.run)]
        if len(mine) > MAX_REPORTED:
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
    return SPREAD_PER_PAGE * max(0, viewers - MAX_RELOADS_AT_ONCE)


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
