"""Do the long work of a call in slices, so that other calls are answered in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from google.protobuf.message import Message

from tallymark_server.rpc.callers import Context, actor_of
from tallymark_server.rpc.decoder import MAX_INLINE

M = TypeVar("M", bound=Message)
T = TypeVar("T")
R = TypeVar("R")
# The length of a slice, in seconds.
SLICE = 0.01


async def in_turns(items: Iterable[T], work: Callable[[T], R]) -> list[R]:
    """Return the results of the work for all items."""
    made: list[R] = []
    until = time.perf_counter() + SLICE
    for item in items:
        made.append(work(item))
        if time.perf_counter() > until:
            await asyncio.sleep(0)
            until = time.perf_counter() + SLICE
    return made


async def command_of(make: Callable[[M, str], R], request: M, context: Context) -> R:
    """Return the command of the request, built in a thread if the request is large."""
    actor = actor_of(context)
    if request.ByteSize() > MAX_INLINE:
        return await asyncio.to_thread(make, request, actor)
    return make(request, actor)
