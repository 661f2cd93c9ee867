"""The line: for whom it waits before it begins a batch."""

from __future__ import annotations

import asyncio

import pytest

from tallymark_server import writer
from tallymark_server.writer import FEW, MAX_DOUBT, QUIET_TURNS, Gathering


async def begins_at_once(gathering: Gathering, waiting: int) -> bool:
    """Whether the line begins without a wait; if not, the wait has ended in vain afterwards."""
    task = asyncio.create_task(gathering.wait(range(waiting)))
    await asyncio.sleep(0)
    at_once = task.done()
    await task
    return at_once


async def test_one_caller_alone_waits_for_nobody() -> None:
    """After an answer to one, the next that comes is taken at once."""
    gathering = Gathering(1000)
    assert await begins_at_once(gathering, 1)
    gathering.expect(1)
    assert await begins_at_once(gathering, 1)


async def test_who_was_answered_together_goes_together_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line begins when as many have come as were answered, and not before."""
    monkeypatch.setattr(writer, "PATIENCE", 60)
    gathering = Gathering(1000)
    gathering.expect(3)
    waiting = asyncio.create_task(gathering.wait(range(1)))
    await asyncio.sleep(0)
    gathering.arrive(2)
    await asyncio.sleep(0)
    assert not waiting.done()
    gathering.arrive(3)
    await waiting


async def test_who_does_not_come_again_is_waited_for_ever_more_seldom() -> None:
    """After each wait in vain twice as many batches begin at once, up to a bound."""
    gathering = Gathering(1000)
    gathering.expect(2)
    assert not await begins_at_once(gathering, 1)
    passed = []
    for _ in range(7):
        passed.append(0)
        while await begins_at_once(gathering, 1):
            passed[-1] += 1
    assert passed == [2, 4, 8, 16, 32, 64, 64]
    assert max(passed) == MAX_DOUBT


async def test_of_many_the_line_takes_whoever_comes_until_it_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """With many callers, each that comes keeps the line open for some turns of the loop more."""
    monkeypatch.setattr(writer, "MANY_PATIENCE", 60)
    gathering = Gathering(1000)
    gathering.expect(FEW + 1)
    waiting = [0]
    task = asyncio.create_task(gathering.wait(waiting))
    for _ in range(QUIET_TURNS):
        await asyncio.sleep(0)
    waiting.append(1)
    for _ in range(QUIET_TURNS):
        assert not task.done()
        await asyncio.sleep(0)
    await task


async def test_no_more_are_waited_for_than_may_wait() -> None:
    """Where few may wait, the line begins when these are there: others are refused meanwhile, and never come."""
    gathering = Gathering(2)
    gathering.expect(5)
    assert not await begins_at_once(gathering, 1)
    gathering = Gathering(2)
    gathering.expect(5)
    assert await begins_at_once(gathering, 2)
