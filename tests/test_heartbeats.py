"""Deadlines of runs: which runs must send heartbeats, and how a silent run is recorded as lost, on a real file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from storage.commands import ATTEMPT, ensure, start_run

from tallymark_server import heartbeats
from tallymark_server.domain import commands as c
from tallymark_server.domain.errors import Overloaded
from tallymark_server.domain.model import ModelVersion, Run, RunState
from tallymark_server.domain.reference import numbered
from tallymark_server.heartbeats import Heartbeats
from tallymark_server.registry import Registry
from tallymark_server.storage.contract import Storage
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.watch import Bell
from tallymark_server.writer import MAX_BRIEF_CHANGES, Writer

SECOND = 1_000_000
DEADLINE = 30.0


class Service:
    """A storage, its line and its deadlines, without an edge. `now` is what the clock says."""

    def __init__(self, storage: Storage) -> None:
        self.now = SECOND
        self.storage = storage
        self.bell = Bell()
        self.writer = Writer(storage, self.bell, lambda: self.now, 10_000)
        self.heartbeats = Heartbeats(storage, self.writer, lambda: self.now)

    async def start(self, run: str, awaited: int = SECOND) -> Run:
        """Start a run that must send heartbeats."""
        started = await self.writer.execute(replace(start_run(run), heartbeat_timeout=awaited))
        self.heartbeats.expect("default", started.run)
        return started.run

    async def lost(self, run: str) -> Run:
        """Wait until the run is lost, and return it."""
        async with asyncio.timeout(DEADLINE):
            while True:
                rung = self.bell.listen("default")
                found = await self.storage.run("default", run)
                if found is not None and found.state is RunState.LOST:
                    return found
                await rung


@asynccontextmanager
async def served(path: Path) -> AsyncIterator[Service]:
    async with open_sqlite(path / "tallymark.db", ("default",)) as storage:
        service = Service(storage)
        line = asyncio.create_task(service.writer.serve())
        losing = asyncio.create_task(service.heartbeats.serve())
        try:
            yield service
        finally:
            losing.cancel()
            service.writer.stop()
            await line


async def test_the_end_of_a_lost_run_is_its_last_heartbeat(tmp_path: Path) -> None:
    """A lost run ends at its last heartbeat, not when its silence was noticed."""
    async with served(tmp_path) as service:
        await service.start("r1")
        service.now = 5 * SECOND
        assert service.heartbeats.beat("default", "r1") == SECOND
        service.now = 9 * SECOND
        lost = await service.lost("r1")
        assert lost.end_time == 5 * SECOND
        assert service.heartbeats.beat("default", "r1") is None


async def test_a_lost_run_does_not_end_before_what_was_recorded_in_it(tmp_path: Path) -> None:
    """A step, and metadata of the version that the run made, come after the last heartbeat, and put off the end."""
    async with served(tmp_path) as service:
        registry = Registry(service.storage, service.writer, service.bell, service.heartbeats, 1.0)
        for run in ("steps", "metadata"):
            await service.start(run)
        await registry.execute(ensure("churn", run="metadata"))
        service.now = 5 * SECOND
        await registry.execute(c.StartStep(**ATTEMPT, run="steps", step="s", name="fit"))
        service.now = 6 * SECOND
        await registry.execute(c.LogMetadata(**ATTEMPT, model="churn", reference=numbered(1), metadata={"auc": 0.5}))
        service.now = 9 * SECOND
        assert (await service.lost("steps")).end_time == 5 * SECOND
        assert (await service.lost("metadata")).end_time == 6 * SECOND


async def test_a_run_that_was_heard_of_before_a_restart_ends_with_its_last_trace(tmp_path: Path) -> None:
    """After a restart, a lost run ends at its last event in the log: its start, or its last step."""
    async with served(tmp_path) as service:
        await service.start("r1")
        service.now = 3 * SECOND
        await service.writer.execute(c.StartStep(**ATTEMPT, run="r1", step="s", name="fit"))
    async with served(tmp_path) as service:
        service.now = 9 * SECOND
        assert (await service.lost("r1")).end_time == 3 * SECOND


async def test_thousands_of_open_runs_are_awaited_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open runs are read in pages and lost a few at a time, so that other commands are not delayed."""
    monkeypatch.setattr(heartbeats, "READ_BATCH", 7)
    monkeypatch.setattr(heartbeats, "MAX_CONCURRENT", 5)
    runs = [f"r{number:03}" for number in range(50)]
    async with served(tmp_path) as service:
        await asyncio.gather(*(service.start(run, 3600 * SECOND if run == "r049" else SECOND) for run in runs))
    async with served(tmp_path) as service:
        for run in runs[:-1]:
            await service.lost(run)
        assert service.heartbeats.beat("default", "r049") == 3600 * SECOND


async def test_a_service_that_stood_still_gives_everybody_that_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a pause of the service itself, every deadline starts again, since heartbeats may be unread."""
    clock = asyncio.get_running_loop().time
    slept = 0.0
    monkeypatch.setattr(heartbeats, "_now", lambda: clock() + slept)
    async with served(tmp_path) as service:
        await service.start("alive", 5 * SECOND)
        await service.start("silent")
        slept = 100.0
        # Both deadlines are over for long, and both begin anew.
        assert (await service.lost("silent")).state is RunState.LOST
        assert service.heartbeats.beat("default", "alive") == 5 * SECOND


async def test_a_loss_that_could_not_be_written_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the queue is full the run keeps its deadline, and it is lost once the queue accepts commands."""
    refused = 0

    async def overloaded(self: Writer, command: Any) -> Any:
        nonlocal refused
        if isinstance(command, c.LoseRun) and refused < 2:
            refused += 1
            raise Overloaded(1)
        return await execute(self, command)

    execute = Writer.execute
    monkeypatch.setattr(Writer, "execute", overloaded)
    monkeypatch.setattr(heartbeats, "RETRY_DELAY", 0.01)
    async with served(tmp_path) as service:
        await service.start("r1")
        await service.lost("r1")
    assert refused == 2


async def test_work_that_was_begun_is_done_though_the_caller_leaves(tmp_path: Path) -> None:
    """A run whose starter hung up is awaited like any other, and its failure troubles nobody."""
    async with served(tmp_path) as service:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def starting() -> None:
            begun.set()
            await go_on.wait()
            await service.start("r1")

        caller = asyncio.create_task(service.heartbeats.shielded(starting()))
        await begun.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        go_on.set()
        assert (await service.lost("r1")).id == "r1"


async def test_a_run_whose_finisher_left_is_awaited_no_longer(tmp_path: Path) -> None:
    """A heartbeat of a run whose FinishRun nobody waits for any more is answered with how the run ended."""
    async with served(tmp_path) as service:
        registry = Registry(service.storage, service.writer, service.bell, service.heartbeats, 1.0)
        await service.start("r1", 3600 * SECOND)
        execute, begun = service.writer.execute, asyncio.Event()

        async def noticed(command: Any) -> Any:
            begun.set()
            return await execute(command)

        service.writer.execute = noticed  # type: ignore[method-assign]  # to see when it is in line
        caller = asyncio.create_task(registry.finish_run(c.FinishRun(**ATTEMPT, run="r1", state=RunState.FAILED)))
        await begun.wait()
        caller.cancel()
        # Whoever comes later in line is answered after the run is finished.
        await service.start("r2", 3600 * SECOND)
        assert await registry.heartbeat("default", "r1", "ana") == (RunState.FAILED, None)


async def test_a_run_of_very_many_versions_ends_outside_the_loop(tmp_path: Path) -> None:
    """More versions than the event loop changes are changed in a thread, in one step; so is a repetition answered."""
    count = MAX_BRIEF_CHANGES + 50
    async with served(tmp_path) as service:
        await service.start("r1", 3600 * SECOND)
        await asyncio.gather(*(service.writer.execute(ensure(f"v{number}", run="r1")) for number in range(count)))
        brief: list[bool] = []
        write = service.storage.write

        def watched(work: Any, *, brief: bool = False, seen: list[bool] = brief) -> Any:
            seen.append(brief)
            return write(work, brief=brief)

        service.storage.write = watched  # type: ignore[method-assign]  # to see how it is called
        finish = c.FinishRun(
            **{**ATTEMPT, "request_id": "finish", "fingerprint": b"f"}, run="r1", state=RunState.FAILED
        )
        finished = await service.writer.execute(finish)
        assert brief == [True, False]
        assert await service.writer.execute(finish) == finished
        assert brief == [True, False] * 2
        head = await service.storage.head("default")
        changed = (await service.storage.events("default", head.revision - count, 1000)).items
        versions = [event.image for event in changed if isinstance(event.image, ModelVersion)]
        assert {version.run_state for version in versions} == {RunState.FAILED}
        assert len(versions) == len(changed) == count
