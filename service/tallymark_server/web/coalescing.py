"""Answers that many viewers ask for at the same moment, made once.

When something changes, all open pages ask anew, most of them for the same page. Each may have any answer that was made
since it was told of the change: what has happened after that, it is told as well, and asks again.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
KEPT = 64
# What an answer says of times, such as `12 s ago`, is right for so many seconds.
FRESH = 1.0


class Made(NamedTuple, Generic[T]):
    """An answer that is made, or being made, for a revision."""

    revision: int
    time: float
    answer: asyncio.Task[T]


class Sharing(Generic[T]):
    """The last answers, by what was asked."""

    def __init__(self) -> None:
        self._made: OrderedDict[object, Made[T]] = OrderedDict()

    async def answer(self, key: object, revision: int, make: Callable[[], Awaitable[T]], told: int | None = None) -> T:
        """What `make` gives, or has just given somebody else for this revision, or for `told` or a later one."""
        least = revision if told is None else told
        found = self._made.get(key)
        if found is None or found.revision < least or time.monotonic() - found.time > FRESH:
            found = Made(revision, time.monotonic(), asyncio.ensure_future(_made(make)))
            self._made[key] = found
            self._made.move_to_end(key)
            while len(self._made) > KEPT:
                self._made.popitem(last=False)
        # Who goes away does not take the answer from the others.
        return await asyncio.shield(found.answer)


async def _made(make: Callable[[], Awaitable[T]]) -> T:
    return await make()
