"""Refusals over HTTP: in the words of the protocol that a caller speaks, and as text to everybody else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import Scope

from tallymark_server.domain.errors import RegistryError
from tallymark_server.web import envelopes
from tallymark_server.web.errors import as_connect, http_status

JSON = "application/json"
# `/package.Service/Method`; no page of the dashboard has a dot in the first part of its address.
_CALL = re.compile(r"/\w+(?:\.\w+)+/\w+", re.ASCII)


def is_call(scope: Scope) -> bool:
    """Return whether the request calls a method, and does not ask for a page."""
    return _CALL.fullmatch(scope["path"]) is not None


def refusal(
    scope: Scope, error: RegistryError, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the answer that tells the error; `status` is used where HTTP has one that is more exact."""
    if not is_call(scope):
        return PlainTextResponse(f"{error}\n", status or http_status(error), headers)
    kind = media_type(Headers(scope=scope))
    if kind.startswith((envelopes.CONNECT, envelopes.GRPC_WEB)):
        # Clients read what ends a stream only in an answer that succeeds.
        return Response(envelopes.end_of(kind, error), 200, headers, kind)
    return Response(json.dumps(as_connect(error)), status or http_status(error), headers, JSON)


def media_type(headers: Headers) -> str:
    """Return the type of the request's body, without parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()
