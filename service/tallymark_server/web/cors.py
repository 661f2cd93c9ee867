"""The CORS protocol for origins that the operator allows: https://fetch.spec.whatwg.org/#http-cors-protocol."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from tallymark_server.web.protocol_errors import is_call

# The headers of answers that clients of gRPC-Web and Connect read.
EXPOSED = (
    "content-encoding",
    "connect-content-encoding",
    "grpc-encoding",
    "grpc-status",
    "grpc-message",
    "grpc-status-details-bin",
)
# In seconds; how long a browser may cache a preflight response.
MAX_AGE = 7200


class Origins:
    """Middleware that answers preflight requests, only for calls of methods from allowed origins."""

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._shared = CORSMiddleware(
            app,
            allow_origins=sorted(self._origins),
            allow_methods=["GET", "POST"],
            # Metadata may have any name; an unknown header has no effect.
            allow_headers=["*"],
            expose_headers=EXPOSED,
            max_age=MAX_AGE,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = is_call(scope) and Headers(scope=scope).get("origin") in self._origins
        await (self._shared if allowed else self._app)(scope, receive, send)
