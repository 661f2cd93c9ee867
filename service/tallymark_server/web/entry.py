"""The entry of the dashboard and of the methods over HTTP: who requests, before anything else of a request is read.

Middleware finds out the caller of every request, so no page, form, stream or method can forget it. What a caller may do
there is checked where the page or the method is known: `routes` and `connect`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tallymark_server.access.callers import NOBODY, Caller, Credentials
from tallymark_server.access.door import Door
from tallymark_server.access.oversight import UNSEEN, Overseen, Traits, reason_of
from tallymark_server.domain.errors import RegistryError, Unauthenticated
from tallymark_server.observer import CANCELLED, OK
from tallymark_server.rpc.callers import bearer_in
from tallymark_server.rpc.status import code_name
from tallymark_server.web.protocol_errors import is_call, refusal

# Paths that anybody may request, also with what is below those that end in a slash: the style of the page of signing
# in, and that page.
STATIC_PATHS = ("/static/", "/favicon.ico")
OPEN_PATHS = (*STATIC_PATHS, "/sign-in", "/sign-in/", "/sign-out")
# The cookie of a session by the scheme. With the prefix, which only https has, no other host can set it.
SESSION_COOKIES = {"https": "__Host-tallymark", "http": "tallymark_session"}
# The end of the path of an open page's stream.
LIVE = "/live"
# The keys of the scope with the caller, and what the request presented.
CALLER, CREDENTIALS = "tallymark.caller", "tallymark.credentials"

# Returns the response to a request for a page by somebody who is not known.
SignedOut = Callable[[Scope, RegistryError], Awaitable[Response]]


class Entry:
    """Middleware that puts the caller into the scope, and refuses requests whose caller is not known."""

    def __init__(self, app: ASGIApp, door: Door, signed_out: SignedOut) -> None:
        self._app = app
        self._door = door
        self._signed_out = signed_out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = UNSEEN if _is_among(scope["path"], STATIC_PATHS) else self._seen(scope)
        if _is_among(scope["path"], OPEN_PATHS):
            await self._watched({**scope, CALLER: NOBODY}, receive, send, seen)
            return
        try:
            credentials = credentials_of(scope)
            caller = await self._door.who(credentials)
            if not self._door.is_open:
                self._door.refusals.accept(connection_of(scope))
            if not is_call(scope):
                seen.admit(caller.name)
        except RegistryError as error:
            seen.end(code_name(error), reason_of(error))
            keep = True
            if isinstance(error, Unauthenticated):
                address = peer_of(scope).rpartition(":")[0]
                keep = await self._door.refusals.turn(connection_of(scope), address)
            await (await self._refusal(scope, error, keep=keep))(scope, receive, send)
            return
        inner = {**scope, CALLER: caller, CREDENTIALS: credentials}
        await self._watched(inner, receive, send, UNSEEN if is_call(scope) else seen)

    def _seen(self, scope: Scope) -> Overseen:
        """Return the oversight of a page; of a call, that of its refusal here, since the method has its own."""
        if not self._door.oversight.is_active:
            return UNSEEN
        # Not the query, which may hold what a sign-in sends.
        path: str = scope["path"]
        name = path.rpartition("/")[2] if is_call(scope) else scope["method"]
        traits = Traits(name, "http", path.endswith(LIVE), lambda at: at, None, lambda _: 0)
        seen = self._door.oversight.begin(traits, peer_of(scope))
        seen.request("" if is_call(scope) else path)
        return seen

    async def _watched(self, scope: Scope, receive: Receive, send: Send, seen: Overseen) -> None:
        if seen is UNSEEN:
            await self._app(scope, receive, send)
            return
        code = CANCELLED

        async def noted(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                status: int = message["status"]
                code = OK if status < HTTPStatus.BAD_REQUEST else str(status)
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            seen.end(code)

    async def _refusal(self, scope: Scope, error: RegistryError, *, keep: bool) -> Response:
        # A body is not read, so the connection cannot be used again.
        headers = {} if keep and scope["method"] in ("GET", "HEAD") else {"connection": "close"}
        if not is_call(scope):
            response = await self._signed_out(scope, error)
            response.headers.update(headers)
            return response
        if isinstance(error, Unauthenticated):
            headers["www-authenticate"] = "Bearer"
        return refusal(scope, error, headers=headers)


def _is_among(path: str, paths: Iterable[str]) -> bool:
    """Return whether it is one of the paths, or below one that ends in a slash."""
    return any(path.startswith(each) if each.endswith("/") else path == each for each in paths)


def caller_of(scope: Scope) -> Caller:
    """Return the caller of a request that has passed the entry."""
    caller: Caller = scope[CALLER]
    return caller


def session_cookie(scope: Scope) -> str:
    """Return the name of the cookie of a session."""
    return SESSION_COOKIES[scope["scheme"]]


def session_in(scope: Scope) -> str | None:
    """Return the cookie of the session that a request presents, None for none."""
    wanted = session_cookie(scope)
    # Starlette's reader would take more for blanks than browsers do, and so a name with one before the prefix for ours.
    pairs = (part.strip(" \t").partition("=") for part in Headers(scope=scope).get("cookie", "").split(";"))
    return next((value for name, _, value in pairs if name == wanted and value), None)


def credentials_of(scope: Scope) -> Credentials:
    """Return what a request presents. Raises UnknownCaller if its header authorization has no bearer token."""
    header = Headers(scope=scope).get("authorization")
    # A page of another site cannot set the header, but browsers send cookies by themselves: methods take none.
    session = None if is_call(scope) else session_in(scope)
    # Of a connection with a verified certificate, the name in it.
    name = scope.get("state", {}).get("certificate", "")
    bearer = None if header is None else bearer_in(header)
    return Credentials(bearer, session, (name,) if name else (), peer_of(scope))


def connection_of(scope: Scope) -> str:
    """Return the name of the connection of a request: its own peer, also if that is a proxy."""
    connection: str = scope.get("state", {}).get("connection", "")
    return connection or peer_of(scope)


def peer_of(scope: Scope) -> str:
    """Return the address from which a request comes, empty for that of a Unix socket."""
    host, port = scope.get("client") or ("", 0)
    return f"{host}:{port}" if host else ""
