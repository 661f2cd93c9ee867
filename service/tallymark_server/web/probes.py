"""/healthz and /readyz, from which supervisors see whether the service lives and is ready; everybody gets an answer."""

from __future__ import annotations

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tallymark_server.availability import Availability

LIVE, READY = "/healthz", "/readyz"


class Probes:
    """Middleware that answers /healthz with 200, and /readyz with 200 or, while the storage takes no changes, 503."""

    def __init__(self, app: ASGIApp, availability: Availability) -> None:
        self._app = app
        self._availability = availability

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in (LIVE, READY):
            await self._app(scope, receive, send)
            return
        # What is wrong is in the log: callers of these addresses are not known.
        ready = scope["path"] == LIVE or not self._availability.problem
        answer = PlainTextResponse(
            "ok\n" if ready else "not ready\n", 200 if ready else 503, {"cache-control": "no-store"}
        )
        await answer(scope, receive, send)
