"""Read the bodies of HTTP requests within bounds of size, time and memory, before the handlers run."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tallymark_server.access.callers import NOBODY
from tallymark_server.domain.errors import CallTimedOut, InvalidField, Overloaded, RegistryError, ValueTooLarge
from tallymark_server.web.entry import CALLER
from tallymark_server.web.protocol_errors import refusal

MAX_BODY = 4 * 1024 * 1024
# All requests together: a flood of half-sent bodies must not use the memory that others need.
MAX_BODIES = 64 * 1024 * 1024
# Bodies up to this size have room of their own, so that large half-sent bodies cannot block most requests.
SMALL = 16 * 1024
# In seconds; the longest time in which a body may arrive.
DEADLINE = 10.0
# Of somebody who is not known, who may only sign in.
MAX_UNKNOWN = SMALL
WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
# The key in the scope of the function that releases the memory of the body before the response is complete.
LET_GO = "tallymark.let_go"


class NotReadError(Exception):
    """A body was not read completely. `error` says why; `status` is that of the response."""

    def __init__(self, error: RegistryError, status: int) -> None:
        super().__init__(str(error))
        self.error, self.status = error, status


class Bodies:
    """Middleware that reads the whole body of each request, and refuses a body that exceeds a bound."""

    def __init__(self, app: ASGIApp, *, deadline: float = DEADLINE) -> None:
        self._app = app
        self._deadline = deadline
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held, headers = [0], Headers(scope=scope)
        if scope["method"] in WITHOUT_BODY and not _has_body(headers):
            await self._app(scope, receive, send)
            return

        def let_go() -> None:
            self._held -= held[0]
            held[0] = 0

        try:
            _check_length(scope["method"], headers)
            async with asyncio.timeout(self._deadline):
                body = await self._read(receive, held, MAX_UNKNOWN if scope.get(CALLER) is NOBODY else MAX_BODY)
        except (NotReadError, TimeoutError) as problem:
            let_go()
            late = CallTimedOut(round(self._deadline * 1000), "the request took longer to arrive")
            refused = problem if isinstance(problem, NotReadError) else NotReadError(late, 408)
            # The rest of the body is not read, so the connection cannot be used again.
            await refusal(scope, refused.error, refused.status, {"connection": "close"})(scope, receive, send)
            return
        try:
            if body is not None:  # None: the caller left
                receiving = _again([body], receive)
                del body
                await self._app({**scope, LET_GO: let_go}, receiving, send)
        finally:
            let_go()

    async def _read(self, receive: Receive, held: list[int], limit: int) -> bytes | None:
        """Return the body of at most so many bytes, None if the caller leaves first. Raises NotReadError."""
        chunks: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunk: bytes = message.get("body", b"")
            chunks.append(chunk)
            held[0] += len(chunk)
            self._held += len(chunk)
            # Counted while it arrives: the length in the header need not be true.
            if held[0] > limit:
                raise NotReadError(ValueTooLarge("request", limit, "bytes"), 413)
            if self._held > MAX_BODIES and held[0] > SMALL:
                raise NotReadError(Overloaded(MAX_BODIES, "bytes of requests are being sent"), 503)
            if not message.get("more_body", False):
                return b"".join(chunks)


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _check_length(method: str, headers: Headers) -> None:
    length = headers.get("content-length")
    if method in WITHOUT_BODY:
        raise NotReadError(InvalidField("request", f"{method} with a body", "only a POST has a body"), 400)
    if "transfer-encoding" in headers:
        if length is not None:
            # Servers and proxies differ in which of the two they follow, which would allow request smuggling.
            rule = "a request has either content-length or transfer-encoding, not both"
            raise NotReadError(InvalidField("content-length", length, rule), 400)
        return
    if length is None or not length.isdecimal():
        rule = "a request says how long it is, by content-length, or is sent in chunks"
        raise NotReadError(InvalidField("content-length", length or "", rule), 411)
    if len(length) > 9 or int(length) > MAX_BODY:
        raise NotReadError(ValueTooLarge("request", MAX_BODY, "bytes", int(length[:18])), 413)


def _again(bodies: list[bytes], receive: Receive) -> Receive:
    """Return a `receive` that yields the body once, without keeping it, and then passes on later messages."""

    async def receiving() -> Message:
        if not bodies:
            return await receive()
        return {"type": "http.request", "body": bodies.pop(), "more_body": False}

    return receiving
