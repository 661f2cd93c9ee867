"""Who calls."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import grpc.aio

from tallymark_server.domain import naming

Context = grpc.aio.ServicerContext[Any, Any]


def actor_of(context: Context) -> str:
    """Return the name of the caller, by the request header `tallymark-actor`; InvalidField."""
    for key, value in context.invocation_metadata() or ():
        if key == "tallymark-actor":
            return _actor_named(str(value))
    return "anonymous"


@lru_cache(maxsize=1024)
def _actor_named(header: str) -> str:
    return naming.plain_label(unquote(header), "tallymark-actor")
