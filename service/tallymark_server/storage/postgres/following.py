"""Sends other servers notices of logs that have grown, and hears theirs.

A notice is sent beside the commit, not within it, where it would make commits wait for each other. So it may be lost,
and where a pooler is in between it may never be heard: what is true is found by looking at the ends of the logs.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping

import psycopg
import structlog

from tallymark_server.domain.errors import StorageUnavailable
from tallymark_server.storage.database_url import shown
from tallymark_server.storage.postgres.connections import connect
from tallymark_server.storage.postgres.errors import told
from tallymark_server.storage.postgres.exchange import Call
from tallymark_server.storage.postgres.lending import Connections

# How often to look at the ends of logs, in seconds: while notices are heard, and while they are not.
SELDOM = 1.0
OFTEN = 0.1
# At most one notice is sent in so many seconds, about all logs that have grown meanwhile.
PAUSE = 0.005
# How long to wait for the server before the next attempt to listen.
RETRY_DELAY = 1.0
# PostgreSQL takes notices of less than 8,000 bytes. One that would be longer names no projects, and is about all.
_MAX_NOTICE = 7_900
_NOTIFY = b"SELECT pg_notify('tallymark', $1)"
_LISTEN = b"LISTEN tallymark"
_log = structlog.get_logger()


class Notices:
    """Sends notices over a connection of its own. `sender` is what they begin with."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._grown: set[str] = set()
        self._due = asyncio.Event()
        self.sender = secrets.token_hex(8)

    def add(self, projects: Iterable[str]) -> None:
        """Send a notice about these projects soon."""
        self._grown.update(projects)
        self._due.set()

    async def send(self) -> None:
        """Send notices until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            grown, self._grown = self._grown, set()
            try:
                async with self._connections.lend() as exchange:
                    await exchange([Call(_NOTIFY, (self._notice(grown),))])
            except psycopg.Error:
                # Whoever follows looks for itself.
                await asyncio.sleep(RETRY_DELAY)
            await asyncio.sleep(PAUSE)

    def _notice(self, projects: Iterable[str]) -> str:
        notice = "\n".join((self.sender, *projects))
        return notice if len(notice.encode()) < _MAX_NOTICE else f"{self.sender}\n"


class Follower:
    """Rings for logs that other servers have added to.

    Args:
        url: where to listen
        notices: what this server sends, and hears if listening works
        ends: returns the last revisions of those of the projects that exist
        watched: returns the projects that somebody waits for
        ring: wakes those who wait for these projects
    """

    def __init__(
        self,
        url: str,
        notices: Notices,
        ends: Callable[[list[str]], Awaitable[Mapping[str, int]]],
        watched: Callable[[], Iterable[str]],
        ring: Callable[[Iterable[str]], None],
    ) -> None:
        self._url = url
        self._notices = notices
        self._ends = ends
        self._watched = watched
        self._ring = ring
        self._seen: dict[str, int] = {}
        self._hears = False

    async def follow(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._look())

    async def _listen(self) -> None:
        while True:
            try:
                async with await connect(self._url) as connection:
                    await connection.execute(_LISTEN, prepare=False)
                    # Heard by this server too, if anything is heard.
                    self._notices.add(())
                    async for notice in connection.notifies():
                        self._hear(notice.payload)
            except psycopg.Error as error:
                _log.warning("notices are not heard", db=shown(self._url), problem=told(error))
            self._hears = False
            await asyncio.sleep(RETRY_DELAY)

    def _hear(self, notice: str) -> None:
        self._hears = True
        sender, *projects = notice.split("\n")
        if sender != self._notices.sender:
            self._ring(self._watched() if projects == [""] else projects)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(SELDOM if self._hears else OFTEN)
            watched = list(self._watched())
            try:
                ends = await self._ends(watched) if watched else {}
            except StorageUnavailable:
                await asyncio.sleep(RETRY_DELAY)
                continue
            self._ring([project for project, revision in ends.items() if self._seen.get(project) != revision])
            self._seen = dict(ends)
