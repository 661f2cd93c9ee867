"""The one reader of the log that all open pages share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import cast

import pytest

from tallymark_server.domain.errors import Overloaded, Stopping
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Model
from tallymark_server.registry import Registry
from tallymark_server.watch import Interest, Progress
from tallymark_server.web.live import KEPT_CHANGES, MAX_VIEWERS, Live
from tallymark_server.web.coalescing import RequestCoalescer


class Log:
    """A log in place of the registry's, which grows when the test says so."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[Progress | None] = asyncio.Queue()
        self.readers = 0

    async def watch(self, project: str, model: str, interest: Interest) -> AsyncIterator[Progress]:
        self.readers += 1
        yield Progress("log", 0, [])
        while (progress := await self.told.get()) is not None:
            yield progress
        raise Stopping

    def grow(self, *revisions: int) -> None:
        image = Model(
            id=1, name="churn", creator="ana", create_time=0, update_time=0, create_revision=1, mod_revision=1
        )
        events = [Event(revision=at, kind=Kind.MODEL_UPDATED, time=0, actor="ana", image=image) for at in revisions]
        self.told.put_nowait(Progress("log", revisions[-1], events))


async def test_many_pages_are_one_reader_of_the_log() -> None:
    """However many pages are open, the log is read once, and its changes are reported to all of them."""
    log = Log()
    live = Live(cast(Registry, log))
    streams = [live.stream("default", "", None) for _ in range(300)]
    for each in streams:
        assert await anext(each) == "retry: 300\n\n"
    heard = [asyncio.ensure_future(anext(each)) for each in streams]
    log.grow(1)
    assert {'"revision": 1' in message for message in await asyncio.gather(*heard)} == {True}
    assert log.readers == 1
    for each in streams:
        await each.aclose()
    await live.close()


async def test_no_more_pages_are_open_than_may_be() -> None:
    """A page beyond the bound is refused, and one that is closed makes room."""
    live = Live(cast(Registry, Log()))
    with ExitStack() as pages:
        for _ in range(MAX_VIEWERS - 1):
            pages.enter_context(live.viewing())
        with live.viewing(), pytest.raises(Overloaded, match="pages are open"):
            pages.enter_context(live.viewing())
        with live.viewing():
            assert live.viewers == MAX_VIEWERS
    assert live.viewers == 0


async def test_a_page_that_missed_too_much_is_told_to_reload() -> None:
    """A page that is far behind takes no memory: it receives one message to reload instead of all changes."""
    log = Log()
    live = Live(cast(Registry, log))
    slow = live.stream("default", "0.log", None)
    await anext(slow)
    log.grow(*range(1, 2 * KEPT_CHANGES))
    message = await anext(slow)
    while '"kind": "refresh"' not in message:
        message = await anext(slow)
    assert message.startswith(f"id: {2 * KEPT_CHANGES - 1}.log\n")
    await slow.aclose()
    await live.close()


async def test_streams_end_with_the_service() -> None:
    """When the reader of the log is closed, every stream ends."""
    log = Log()
    live = Live(cast(Registry, log))
    each = live.stream("default", "", None)
    await anext(each)
    log.told.put_nowait(None)
    assert [message async for message in each] in ([], [""])
    await live.close()


async def test_what_many_ask_for_at_once_is_made_once() -> None:
    """Pages that request the same part at the same revision share one response, even if the first of them leaves."""
    coalescer: RequestCoalescer[int] = RequestCoalescer()
    made: list[int] = []
    ready = asyncio.Event()

    async def make() -> int:
        made.append(len(made))
        await ready.wait()
        return made[-1]

    asking = [asyncio.ensure_future(coalescer.get("/", 1, make)) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()
    ready.set()
    assert await asyncio.gather(*asking[1:]) == [0] * 49
    assert await coalescer.get("/", 2, make) == 1
    assert await coalescer.get("/models/churn", 2, make) == 2


async def test_a_page_is_never_older_than_the_revision_that_it_has_seen() -> None:
    """A page shares only responses that were made after the last change that was reported to it."""
    coalescer: RequestCoalescer[int] = RequestCoalescer()
    made: list[int] = []

    async def make() -> int:
        made.append(len(made))
        return made[-1]

    assert await coalescer.get("/", 10, make, seen_revision=9) == 0
    assert await coalescer.get("/", 17, make, seen_revision=10) == 0
    assert await coalescer.get("/", 17, make, seen_revision=11) == 1
    assert await coalescer.get("/", 18, make) == 2
