"""Render a page once for all viewers who request it at the same time.

When something changes, all open pages reload, and most of them are the same page. Each viewer may get any page that was
rendered since the change that its stream reported. If more has changed since then, the stream reports that too, and the
page reloads again.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
MAX_PAGES = 64
# How many seconds relative times of a page, such as `12 s ago`, stay right.
MAX_AGE = 1.0


class Rendering(NamedTuple, Generic[T]):
    """A page that is rendered, or being rendered, and the revision of the log when that began."""

    revision: int
    time: float
    result: asyncio.Task[T]


class RequestCoalescer(Generic[T]):
    """The pages that were rendered last, by the key of their request."""

    def __init__(self) -> None:
        self._renderings: OrderedDict[object, Rendering[T]] = OrderedDict()

    async def get(
        self, key: object, revision: int, render: Callable[[], Awaitable[T]], seen_revision: int | None = None
    ) -> T:
        """Return the page of that key, rendered at `revision`, or at `seen_revision` or later if that is given."""
        least = revision if seen_revision is None else seen_revision
        found = self._renderings.get(key)
        if found is None or found.revision < least or time.monotonic() - found.time > MAX_AGE:
            found = Rendering(revision, time.monotonic(), asyncio.ensure_future(_awaited(render)))
            self._renderings[key] = found
            self._renderings.move_to_end(key)
            while len(self._renderings) > MAX_PAGES:
                self._renderings.popitem(last=False)
        # A viewer who leaves must not cancel it for the others.
        return await asyncio.shield(found.result)


async def _awaited(render: Callable[[], Awaitable[T]]) -> T:
    return await render()
