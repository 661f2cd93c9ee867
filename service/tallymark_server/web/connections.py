"""HTTP connections that end when nothing comes or goes over them: none keeps a descriptor, or memory, for ever."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from typing import ClassVar, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

# In seconds; within it the head of a request arrives, or the connection is closed.
HEAD_DEADLINE = 10.0
# In seconds; an answer of which nothing is read for so long is given up. It is kept in memory until then.
READ_DEADLINE = 30.0
# Of all answers that are not read, in bytes; with more, the largest of those that wait for longer than the patience,
# in seconds, are given up.
MAX_UNREAD = 48 * 1024 * 1024
PATIENCE = 1.0
# So many pages are made at the same time: more would not be ready sooner, and each holds up all other calls.
MAX_PAGES = 2
_STREAM = re.compile(r"(/projects/[^/]+)?/live")


class Unread:
    """The connections of a server over which an answer waits to be read, and since when; those that last too long end.

    With more than `max_bytes` waiting, the largest answers are given up first.
    """

    def __init__(self, deadline: float = READ_DEADLINE, max_bytes: int = MAX_UNREAD) -> None:
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._since: dict[asyncio.Transport, float] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, transport: asyncio.Transport) -> None:
        """Count a connection whose peer does not read."""
        self._since[transport] = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(min(PATIENCE, self._deadline), self._look)

    def remove(self, transport: asyncio.Transport) -> None:
        """Count it no more: its peer reads on, or is gone."""
        self._since.pop(transport, None)

    def _look(self) -> None:
        now = self._loop.time()
        sizes = {each: each.get_write_buffer_size() for each in self._since}
        total = sum(sizes.values())
        for transport in sorted(sizes, key=lambda each: -sizes[each]):
            waited = now - self._since[transport]
            if waited >= self._deadline or (total > self._max_bytes and waited >= PATIENCE / 2):
                total -= sizes[transport]
                transport.abort()
        self._timer = self._loop.call_later(min(PATIENCE, self._deadline), self._look) if sizes else None


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that waits so long, and no longer, for the head of each request and for an answer to be read.

    A server has a subclass of its own, with its own `unread`.
    """

    deadline: ClassVar[float] = HEAD_DEADLINE
    unread: ClassVar[Unread]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # its base - has it so
        super().connection_made(transport)
        # Its base declares it as never None, which it is before the first request.
        self._begun: RequestResponseCycle | None = self.cycle
        self._check = self.loop.call_later(self.deadline, self._close_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        self._check.cancel()
        self.unread.remove(self.transport)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.unread.add(self.transport)

    def resume_writing(self) -> None:
        self.unread.remove(self.transport)
        super().resume_writing()

    def _close_if_silent(self) -> None:
        """Close unless a request is under way, or another has begun since the last look."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is self._begun and (cycle is None or cycle.response_complete):
            self.transport.close()
            return
        self._begun = cycle
        self._check = self.loop.call_later(self.deadline, self._close_if_silent)


class Turns:
    """Makes few pages at the same time, each when its turn comes; streams, of which many stay open, have no turns."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._turns = asyncio.Semaphore(MAX_PAGES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if scope["method"] not in ("GET", "HEAD") or _STREAM.fullmatch(path) or path.startswith("/static/"):
            await self._app(scope, receive, send)
            return
        async with AsyncExitStack() as turn:
            await turn.enter_async_context(self._turns)

            async def sending(message: Message) -> None:
                # What is made waits for its caller to read, if it must, and keeps nobody else waiting.
                await turn.aclose()
                await send(message)

            await self._app(scope, receive, sending)
