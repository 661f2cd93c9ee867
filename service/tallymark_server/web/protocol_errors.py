"""Errors over HTTP, in the format of the caller's protocol, or else as text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import Scope

from tallymark_server.domain.errors import RegistryError, ResourceExhausted
from tallymark_server.web import envelopes
from tallymark_server.web.errors import as_connect, http_status

JSON = "application/json"
# `/package.Service/Method`; no page of the dashboard has a dot in the first segment of its path.
_CALL = re.compile(r"/\w+(?:\.\w+)+/\w+", re.ASCII)


def is_call(scope: Scope) -> bool:
    """Return whether the request calls a method, rather than a page."""
    return _CALL.fullmatch(scope["path"]) is not None


def refusal(
    scope: Scope, error: RegistryError, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the response with the error. `status` replaces the code's status where HTTP has a more exact one."""
    if isinstance(error, ResourceExhausted):
        headers = {**(headers or {}), "retry-after": str(-(-error.retry_after_ms // 1000))}
    if not is_call(scope):
        return PlainTextResponse(f"{error}\n", status or http_status(error), headers)
    kind = media_type(Headers(scope=scope))
    if kind.startswith((envelopes.CONNECT, envelopes.GRPC_WEB)):
        # Clients read the end of a stream only in a response with status 200.
        return Response(envelopes.end_of(kind, error), 200, headers, kind)
    return Response(json.dumps(as_connect(error)), status or http_status(error), headers, JSON)


def media_type(headers: Headers) -> str:
    """Return the content type of the request without parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()
