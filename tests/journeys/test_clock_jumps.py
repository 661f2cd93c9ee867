"""A server whose system clock jumps. The clock is an argument of the server; everything else is real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import grpc
import pytest
from grpc_calls import Calls, refused

from tallymark.v1.model_pb2 import RUN_STATE_RUNNING
from tallymark_server.app import running
from tallymark_server.clock import wall_time
from tallymark_server.settings import Settings
from tallymark_server.storage.sqlite.verification import verify

YEAR = 365 * 24 * 3_600_000_000
T = TypeVar("T")


class Clock:
    """The system clock with an offset that tests set."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return wall_time() + self.ahead


@asynccontextmanager
async def serving(db: Path, clock: Clock) -> AsyncIterator[Callable[[Callable[[Calls], T]], Awaitable[T]]]:
    """Run a server with that clock, and yield a function that makes calls to it."""
    async with running(Settings(db=str(db), port=0), clock) as server:
        with grpc.insecure_channel(server.address) as channel:

            async def call(work: Callable[[Calls], T]) -> T:
                return await asyncio.to_thread(work, Calls(channel))

            yield call


def is_refused(calls: Calls) -> None:
    with refused("CLOCK_JUMPED", grpc.StatusCode.UNAVAILABLE) as refusal:
        calls.create_version("churn", request_id="once")
    assert "set" in refusal.message
    assert int(refusal.metadata["minutes"]) == pytest.approx(YEAR // 60_000_000, abs=2)


async def test_no_event_is_stamped_by_a_clock_that_has_jumped(tmp_path: Path) -> None:
    """While the clock is a year ahead writes are refused and reads served; later the same request succeeds."""
    clock, db = Clock(), tmp_path / "tallymark.db"
    async with serving(db, clock) as call:
        await call(lambda calls: calls.create_model("churn"))
        await call(lambda calls: calls.start_run("nightly"))
        clock.ahead = YEAR
        await call(is_refused)
        assert (await call(lambda calls: calls.model("churn"))).last_number == 0
        assert (await call(lambda calls: calls.run("nightly"))).state == RUN_STATE_RUNNING
        clock.ahead = 0
        assert (await call(lambda calls: calls.create_version("churn", request_id="once"))).number == 1
        events = await call(lambda calls: calls.events())
    assert max(event.time.ToMicroseconds() for event in events) < wall_time() + YEAR // 2
    assert verify(db).problems == []


async def test_a_restart_accepts_the_clock(tmp_path: Path) -> None:
    """After a restart the server accepts a clock that jumped, and later one that is behind the log."""
    clock, db = Clock(), tmp_path / "tallymark.db"
    async with serving(db, clock) as call:
        await call(lambda calls: calls.create_model("churn"))
        clock.ahead = YEAR
        await call(is_refused)
    async with serving(db, clock) as call:
        assert (await call(lambda calls: calls.create_version("churn"))).number == 1
    clock.ahead = 0
    async with serving(db, clock) as call:
        assert (await call(lambda calls: calls.create_version("churn"))).number == 2
        clock.ahead = YEAR
        assert (await call(lambda calls: calls.create_version("churn"))).number == 3
        events = await call(lambda calls: calls.events())
    times = [event.time.ToMicroseconds() for event in events]
    assert times == sorted(times)
    assert times[1] == times[2]
    assert verify(db).problems == []
