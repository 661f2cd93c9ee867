"""The caller of a method."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import grpc.aio

from tallymark_server.domain import naming
from tallymark_server.domain.errors import InvalidField

Context = grpc.aio.ServicerContext[Any, Any]


def actor_of(context: Context) -> str:
    """Return the caller's name from the request header `tallymark-actor`. Raises InvalidField."""
    for key, value in context.invocation_metadata() or ():
        if key == "tallymark-actor":
            return _actor_named(value if isinstance(value, str) else value.decode("latin-1"))
    return "anonymous"


@lru_cache(maxsize=1024)
def _actor_named(header: str) -> str:
    try:
        if not header.isascii():
            raise UnicodeError
        name = unquote(header, errors="strict")
    except UnicodeError:
        raise InvalidField(
            "tallymark-actor", header, "it takes UTF-8 that is percent-encoded, as %C3%AB for ë and %20 for a space"
        ) from None
    return naming.plain_label(name, "tallymark-actor")
