"""Protection from other sites.

A browser sends the cookie of a session by itself, and without access control whoever reaches the port may do anything.
So requests of a browser must come from pages of this server, and no page of another site may be able to imitate one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tallymark_server.domain.errors import ForeignOrigin
from tallymark_server.web.entry import SESSION_COOKIES
from tallymark_server.web.protocol_errors import is_call, refusal

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
# Browsers then come by TLS only, for a year.
STRICT = {"strict-transport-security": "max-age=31536000"}


class Safety:
    """Middleware that refuses requests of other sites, and adds security headers to every response.

    `names` are the host names of this server, beside addresses and localhost, and `origins` those of other sites whose
    pages may call methods.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check(scope, Headers(scope=scope))
        except ForeignOrigin as foreign:
            status = 421 if foreign.metadata["field"] == "host" else 403
            await refusal(scope, foreign, status)(scope, receive, _with_headers(scope, send))
            return
        await self._app(scope, receive, _with_headers(scope, send))

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            # DNS rebinding: an attacker's host name can lead here, which would make the attacker's page same-origin.
            rule = "this server does not go by that name; if it should, start it with --http-name NAME"
            raise ForeignOrigin("host", host, rule)
        call, origin, site = is_call(scope), headers.get("origin"), headers.get("sec-fetch-site")
        if call and origin in self._origins:
            return
        # A read from another site has no effect, but calls may take long, and no page links to a call.
        harmless = scope["method"] in SAFE_METHODS and (not call or (site == "none" and origin is None))
        if not harmless and not _same_origin(headers, host):
            field = "origin" if origin is not None or site is None else "sec-fetch-site"
            rule = "calls and changes are taken from this server's own pages, not from other sites"
            raise ForeignOrigin(
                field, headers.get(field, ""), f"{rule}; its operator allows one with --http-origin ORIGIN"
            )
        if site in ("cross-site", "same-site") and not _is_visit(headers):
            # The other page could not read the response, and would only cost time.
            raise ForeignOrigin("sec-fetch-site", site, "other sites may lead people to pages here, not embed them")

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            _ = urlsplit(f"//{host}").port
        except ValueError:
            return False
        if name in self._names or _is_localhost(name):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _is_localhost(host: str) -> bool:
    name = host.partition(":")[0]
    return name == "localhost" or name.endswith(".localhost")


def _same_origin(headers: Headers, host: str) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    if origin is None:
        # Browsers send one of both. What has a session without them may be an old one, led here by another site.
        return not any(f"{name}=" in headers.get("cookie", "") for name in SESSION_COOKIES.values())
    try:
        return origin != "null" and urlsplit(origin).netloc == host
    except ValueError:
        return False


def _is_visit(headers: Headers) -> bool:
    """Return whether a browser navigates to the page, as after a click on a link."""
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest", "document") == "document"


def _with_headers(scope: Scope, send: Send) -> Send:
    # On localhost it would forbid this machine's other servers to speak HTTP without TLS.
    strict = scope["scheme"] == "https" and not _is_localhost(Headers(scope=scope).get("host", ""))
    added = {**HEADERS, **STRICT} if strict else HEADERS

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in added.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
