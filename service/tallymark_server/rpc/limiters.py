"""Limits on what is worked on at the same time: long answers, streams that start, and large requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from tallymark_server.domain.errors import Overloaded

# How many long answers are built at the same time. More would not be ready sooner, would need more memory, and would
# keep the event loop from short calls for longer.
MAX_LONG = 2
# How many streams start in how many seconds; further ones wait for the next interval.
STREAMS_PER_INTERVAL, STREAM_INTERVAL = 8, 0.005
# How many requests of more than 64 kB are processed at the same time, since each needs several times its size, and how
# many bytes of them may wait.
MAX_LARGE, MAX_LARGE_BYTES = 4, 64 * 1024 * 1024

Handle = Callable[[Any, Any], Awaitable[Message]]


class AnswerLimiter:
    """Limits how many long answers are built at the same time."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(MAX_LONG)

    def limited(self, method: MethodDescriptor, handle: Handle) -> Handle:
        """Return the method, which waits for its turn if it returns long answers."""
        if not method.name.startswith(("List", "Query")):
            return handle

        async def handled(request: Any, context: Any) -> Message:
            async with self._turns:
                return await handle(request, context)

        return handled


class LargeRequestLimiter:
    """Limits how many large requests are processed at the same time, and how many bytes of them wait."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(MAX_LARGE)
        self._bytes = 0

    @asynccontextmanager
    async def turn(self, size: int) -> AsyncIterator[None]:
        """Wait until a request of that many bytes may be processed. Raises Overloaded."""
        if self._bytes + size > MAX_LARGE_BYTES:
            raise Overloaded(self._bytes, "bytes of large requests are worked on")
        self._bytes += size
        try:
            async with self._turns:
                yield
        finally:
            self._bytes -= size
