"""HTTP connections with timeouts, so that none keeps a descriptor or memory for ever."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from typing import ClassVar, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from tallymark_server.certificates import name_of

# In seconds; a connection on which no request head arrives within it is closed.
HEAD_DEADLINE = 10.0
# In seconds; an answer is dropped if nothing of it is read for this long. It is in memory until then.
READ_DEADLINE = 30.0
# All answers that are not read, in bytes. Above it, the largest of those that wait for longer than MIN_UNREAD_AGE, in
# seconds, are dropped.
MAX_UNREAD = 48 * 1024 * 1024
MIN_UNREAD_AGE = 1.0
# How many pages are rendered at the same time: more would not be ready sooner, and each delays all other calls.
MAX_PAGES = 2
_STREAM = re.compile(r"(/projects/[^/]+)?/live")


class Unread:
    """The connections of a server with unread answers, and since when. Those that last too long are closed.

    With more than `max_bytes` unread, the largest answers are dropped first.
    """

    def __init__(self, deadline: float = READ_DEADLINE, max_bytes: int = MAX_UNREAD) -> None:
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._since: dict[asyncio.Transport, float] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, transport: asyncio.Transport) -> None:
        """Add a connection whose peer does not read."""
        self._since[transport] = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(min(MIN_UNREAD_AGE, self._deadline), self._check)

    def remove(self, transport: asyncio.Transport) -> None:
        """Remove a connection whose peer reads again, or has left."""
        self._since.pop(transport, None)

    def _check(self) -> None:
        now = self._loop.time()
        sizes = {each: each.get_write_buffer_size() for each in self._since}
        total = sum(sizes.values())
        for transport in sorted(sizes, key=lambda each: -sizes[each]):
            waited = now - self._since[transport]
            if waited >= self._deadline or (total > self._max_bytes and waited >= MIN_UNREAD_AGE / 2):
                total -= sizes[transport]
                transport.abort()
        self._timer = self._loop.call_later(min(MIN_UNREAD_AGE, self._deadline), self._check) if sizes else None


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with timeouts for the head of each request and for unread answers.

    A server has a subclass of its own, with its own `unread`.
    """

    deadline: ClassVar[float] = HEAD_DEADLINE
    unread: ClassVar[Unread]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # its base - has it so
        super().connection_made(transport)
        host, port = self.client or ("", 0)
        self.app_state = {**self.app_state, "connection": f"{host}:{port}" if host else ""}
        connection = transport.get_extra_info("ssl_object")
        if connection is not None:
            self.app_state = {**self.app_state, "certificate": name_of(connection.getpeercert())}
        # Declared as never None, but it is None before the first request.
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
        """Close the connection unless a request is running, or has begun since the last check."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is self._begun and (cycle is None or cycle.response_complete):
            self.transport.close()
            return
        self._begun = cycle
        self._check = self.loop.call_later(self.deadline, self._close_if_silent)


class RenderLimiter:
    """Limits how many pages are rendered at the same time. Streams, which stay open, are not counted."""

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
                # A rendered page that waits to be read must not delay others.
                await turn.aclose()
                await send(message)

            await self._app(scope, receive, sending)
