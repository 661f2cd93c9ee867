"""The page where people sign in, by a token or at an identity provider, and the end of their sessions."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tallymark_server.domain.errors import MalformedRequest, UnknownCaller
from tallymark_server.identity.sessions import HOURS, Sessions
from tallymark_server.web.actions.forms import sent
from tallymark_server.web.addresses import query
from tallymark_server.web.entry import session_cookie, session_in
from tallymark_server.web.rendering import render
from tallymark_server.web.request import THEME_COOKIE, THEMES

if TYPE_CHECKING:
    from tallymark_server.identity.provider import Attempt, Provider

PATH, OUT = "/sign-in", "/sign-out"
# The seconds that somebody may take at a provider.
PATIENCE = 600
# The longest address that is shown after signing in.
MAX_THEN = 2000


class SignIn:
    """Signs people in and out. `providers` are by the names of their issuers."""

    def __init__(self, sessions: Sessions, providers: Mapping[str, Provider]) -> None:
        self._sessions = sessions
        self._providers = providers

    def routes(self) -> list[Route]:
        """Return the routes, which anybody may request."""
        return [
            Route(PATH, self._page),
            Route(PATH, self._take_token, methods=["POST"]),
            Route(f"{PATH}/{{provider}}", self._begin),
            Route(f"{PATH}/{{provider}}/callback", self._finish),
            Route(OUT, self._sign_out, methods=["POST"]),
        ]

    async def _page(self, request: Request) -> Response:
        return self._shown(request, local(request.query_params.get("then", "")))

    async def _take_token(self, request: Request) -> Response:
        try:
            form = await sent(request)
        except MalformedRequest:
            return self._shown(request, "/", "the form has not arrived whole; send it again", 400)
        then = local(form.text("then"))
        try:
            cookie = await self._sessions.begin_for_token(form.text("token"))
        except UnknownCaller:
            problem = "this token is not valid here: it is unknown, expired or revoked"
            return self._shown(request, then, problem, 401)
        return await self._signed_in(request, cookie, then)

    async def _begin(self, request: Request) -> Response:
        from tallymark_server.identity.provider import SignInError

        provider = self._providers.get(request.path_params["provider"])
        if provider is None:
            return self._shown(request, "/", "there is no such provider", 404)
        then = local(request.query_params.get("then", ""))
        try:
            url, attempt = await provider.begin(_callback(request), then)
        except SignInError as error:
            return self._shown(request, then, str(error), 502)
        response = RedirectResponse(url, 303, {"cache-control": "no-store"})
        _set(response, request, _attempt_cookie(request), _packed(provider, attempt), PATIENCE)
        return response

    async def _finish(self, request: Request) -> Response:
        from tallymark_server.identity.provider import SignInError

        provider = self._providers.get(request.path_params["provider"])
        attempt = None if provider is None else _unpacked(provider, request.cookies.get(_attempt_cookie(request), ""))
        if provider is None or attempt is None:
            problem = "this sign-in was begun in another browser, or too long ago; sign in again"
            return self._shown(request, "/", problem, 400)
        given = request.query_params
        try:
            if "error" in given:
                raise SignInError(f"{provider.issuer.shown} has not let you in: {given['error'][:200]}")
            url, state, code = _callback(request), given.get("state", ""), given.get("code", "")
            identity = await provider.finish(url, attempt, state, code)
            response = await self._signed_in(request, await self._sessions.begin_for(identity), attempt.then)
        except SignInError as error:
            response = self._shown(request, attempt.then, str(error), 401)
        # It counts once, whatever comes of it.
        response.delete_cookie(_attempt_cookie(request), **_attributes(request))
        return response

    async def _sign_out(self, request: Request) -> Response:
        if cookie := session_in(request.scope):
            await self._sessions.end(cookie)
        response = RedirectResponse(PATH, 303, {"cache-control": "no-store"})
        response.delete_cookie(session_cookie(request.scope), **_attributes(request))
        return response

    async def _signed_in(self, request: Request, cookie: str, then: str) -> Response:
        # The session that the browser had is of somebody else, or of before.
        if before := session_in(request.scope):
            await self._sessions.end(before)
        response = RedirectResponse(then, 303, {"cache-control": "no-store"})
        _set(response, request, session_cookie(request.scope), cookie, HOURS * 3600)
        return response

    def _shown(self, request: Request, then: str, problem: str = "", status: int = 200) -> Response:
        theme = request.cookies.get(THEME_COOKIE, "")
        links = [
            (each.issuer.shown, f"{PATH}/{name}{query(then=None if then == '/' else then)}")
            for name, each in self._providers.items()
        ]
        facts: dict[str, Any] = {"then": then, "problem": problem, "providers": links}
        text = render("sign_in.html", **facts, theme=theme if theme in THEMES else "system")
        return Response(text, status, {"cache-control": "no-store"}, "text/html")


def sign_in_address(scope: Mapping[str, Any]) -> str:
    """Return the address of the page of signing in, which then leads back to the one that was requested."""
    then = scope["path"]
    if scope["query_string"]:
        then += f"?{scope['query_string'].decode('latin-1')}"
    return PATH + query(then=None if then == "/" else local(then))


def local(then: str) -> str:
    """Return an address of this server, `/` for one that leads elsewhere."""
    # Browsers take \ for /, ignore tabs and ends of lines, and read // as the beginning of a host.
    plain = then.isascii() and then.isprintable() and "\\" not in then and len(then) <= MAX_THEN
    return then if plain and then.startswith("/") and not then.startswith(("//", PATH, OUT)) else "/"


def _callback(request: Request) -> str:
    """Return the address of the second half, by the name of this server that the browser has used."""
    return f"{request.url.scheme}://{request.headers['host']}{PATH}/{request.path_params['provider']}/callback"


def _attempt_cookie(request: Request) -> str:
    return "__Host-tallymark-sign-in" if request.url.scheme == "https" else "tallymark_sign_in"


def _attributes(request: Request) -> dict[str, Any]:
    # Lax, since the browser comes back from the provider, which is another site.
    return {"path": "/", "httponly": True, "samesite": "lax", "secure": request.url.scheme == "https"}


def _set(response: Response, request: Request, name: str, value: str, max_age: int) -> None:
    response.set_cookie(name, value, max_age=max_age, **_attributes(request))


def _packed(provider: Provider, attempt: Attempt) -> str:
    return base64.urlsafe_b64encode(json.dumps([provider.issuer.name, *attempt]).encode()).decode()


def _unpacked(provider: Provider, cookie: str) -> Attempt | None:
    """Return the attempt in the cookie, None if it has none of this provider."""
    from tallymark_server.identity.provider import Attempt

    try:
        name, state, nonce, verifier, then = map(str, json.loads(base64.urlsafe_b64decode(cookie)))
    except (ValueError, TypeError, RecursionError):
        return None
    return Attempt(state, nonce, verifier, local(then)) if name == provider.issuer.name and state else None
