"""The writer: how long it waits for callers before it begins a batch."""

from __future__ import annotations

import asyncio

import pytest

from tallymark_server import writer
from tallymark_server.writer import MAX_IDLE_CALLERS, MAX_BACKOFF, QUIET_TURNS, BatchWindow


async def begins_at_once(window: BatchWindow, waiting: int) -> bool:
    """Return whether the batch begins without a wait. If not, the wait has ended in vain on return."""
    task = asyncio.create_task(window.wait(range(waiting)))
    await asyncio.sleep(0)
    at_once = task.done()
    await task
    return at_once


async def test_a_single_caller_is_never_delayed() -> None:
    """After the answer to a single caller, its next command begins a batch at once."""
    window = BatchWindow(1000)
    assert await begins_at_once(window, 1)
    window.expect(1)
    assert await begins_at_once(window, 1)


async def test_callers_answered_together_share_the_next_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch begins when as many callers wait as were answered, and not before."""
    monkeypatch.setattr(writer, "MAX_IDLE_WAIT", 60)
    window = BatchWindow(1000)
    window.expect(3)
    waiting = asyncio.create_task(window.wait(range(1)))
    await asyncio.sleep(0)
    window.arrive(2)
    await asyncio.sleep(0)
    assert not waiting.done()
    window.arrive(3)
    await waiting


async def test_the_batch_window_backs_off_after_wasted_waits() -> None:
    """After each wait in vain, twice as many batches begin without a wait, up to a bound."""
    window = BatchWindow(1000)
    window.expect(2)
    assert not await begins_at_once(window, 1)
    passed = []
    for _ in range(7):
        passed.append(0)
        while await begins_at_once(window, 1):
            passed[-1] += 1
    assert passed == [2, 4, 8, 16, 32, 64, 64]
    assert max(passed) == MAX_BACKOFF


async def test_many_callers_keep_the_window_open_until_none_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """With many callers, each that arrives keeps the window open for some more turns of the loop."""
    monkeypatch.setattr(writer, "MAX_BUSY_WAIT", 60)
    window = BatchWindow(1000)
    window.expect(MAX_IDLE_CALLERS + 1)
    waiting = [0]
    task = asyncio.create_task(window.wait(waiting))
    for _ in range(QUIET_TURNS):
        await asyncio.sleep(0)
    waiting.append(1)
    for _ in range(QUIET_TURNS):
        assert not task.done()
        await asyncio.sleep(0)
    await task


async def test_no_more_callers_are_expected_than_fit_in_the_queue() -> None:
    """With a short queue, a batch begins when it is full, since all other callers are refused."""
    window = BatchWindow(2)
    window.expect(5)
    assert not await begins_at_once(window, 1)
    window = BatchWindow(2)
    window.expect(5)
    assert await begins_at_once(window, 2)
