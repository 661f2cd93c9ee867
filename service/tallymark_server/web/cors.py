"""Pages of other sites that the operator allows to call: https://fetch.spec.whatwg.org/#http-cors-protocol."""

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
# In seconds; so long a browser need not ask again whether a page may call.
MAX_AGE = 7200


class Origins:
    """Answers browsers that ask whether a page may call, for calls of methods and allowed pages alone."""

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._shared = CORSMiddleware(
            app,
            allow_origins=sorted(self._origins),
            allow_methods=["GET", "POST"],
            # Metadata may have any name; a header that nobody knows has no effect.
            allow_headers=["*"],
            expose_headers=EXPOSED,
            max_age=MAX_AGE,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = is_call(scope) and Headers(scope=scope).get("origin") in self._origins
        await (self._shared if allowed else self._app)(scope, receive, send)
