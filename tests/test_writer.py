"""The writer: how long it waits for callers, and what it promises to them on an engine with many lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest
from domain.history import History
from storage.commands import create_model

from tallymark_server import writer
from tallymark_server.domain.commands import CreateModel, Keys
from tallymark_server.domain.errors import ModelExists, Overloaded, Stopping
from tallymark_server.domain.events import Event
from tallymark_server.domain.model import Model
from tallymark_server.domain.state import Receipt, State
from tallymark_server.storage.contract import Storage, Writing
from tallymark_server.watch import Bell
from tallymark_server.writer import MAX_IDLE_CALLERS, MAX_BACKOFF, QUIET_TURNS, BatchWindow, Writer

DEADLINE = 30.0


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


class ManyLines:
    """An engine for tests that has a line for each project, does work twice, and waits inside of it.

    Loading from the project `slow` waits until `opened`. `batches` has how many commands each write has answered.
    """

    def __init__(self) -> None:
        self.histories = {project: History(project) for project in ("default", "slow")}
        self.opened = asyncio.Event()
        self.batches: list[int] = []

    def line(self, project: str) -> str:
        return project

    async def write(self, work: Callable[[Writing], Awaitable[list[object]]], *, brief: bool = False) -> list[object]:
        for _ in range(2):
            attempt = Attempt(self)
            answers = await work(attempt)
        self.histories.update(attempt.histories)
        self.batches.append(len(answers))
        return answers


class Attempt:
    """Work under way, on copies of the histories."""

    def __init__(self, engine: ManyLines) -> None:
        self.engine = engine
        self.histories: dict[str, History] = {}

    async def load(self, project: str, keys: Keys, *, most: int | None = None) -> State:
        if project == "slow":
            await self.engine.opened.wait()
        history = self.histories.setdefault(project, self.engine.histories[project].copy())
        return await history.load(project, keys, most=most)

    async def append(self, state: State, events: Sequence[Event], receipts: Sequence[tuple[str, Receipt]]) -> None:
        await self.histories[state.project].append(state, events, receipts)


class Service:
    """A writer on such an engine. `engine` shows what was committed."""

    def __init__(self, capacity: int = 100) -> None:
        self.engine = ManyLines()
        # The writer calls no other method of a storage.
        self.writer = Writer(cast("Storage", self.engine), Bell(), lambda: 1_000_000, capacity)

    def call(self, command: CreateModel) -> asyncio.Task[Model]:
        return asyncio.create_task(self.writer.execute(command))

    def models(self, project: str = "default") -> list[str]:
        """The names of the models that were committed."""
        return [model.name for model in self.engine.histories[project].models.values()]


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[None]:
    """The writer serves, and has answered everything afterwards."""
    task = asyncio.create_task(service.writer.serve())
    try:
        async with asyncio.timeout(DEADLINE):
            yield
    finally:
        service.writer.stop()
        await task


class Defect(CreateModel, frozen=True):
    """A command that meets a defect."""

    def add_required_keys(self, keys: Keys) -> None:
        raise ZeroDivisionError


def defect(name: str) -> Defect:
    plain = create_model(name)
    return Defect(**{field: getattr(plain, field) for field in plain.__struct_fields__})


async def test_a_defect_fails_one_command_of_a_batch_alone() -> None:
    """Other commands in the batch get the result that they would get alone, and each effect is committed once."""
    service = Service()
    calls = [service.call(each) for each in (create_model("a"), defect("b"), create_model("a"), create_model("c"))]
    await asyncio.sleep(0)
    async with serving(service):
        first, failed, refused, last = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(first, Model)
    assert isinstance(last, Model)
    assert (type(failed), type(refused)) == (ZeroDivisionError, ModelExists)
    assert service.models() == ["a", "c"]
    assert service.engine.batches == [1, 1, 1]


async def test_more_commands_than_may_wait_are_refused() -> None:
    """The capacity is that of all lines together; commands that wait already are not affected."""
    service = Service(capacity=2)
    calls = [service.call(create_model("a")), service.call(create_model("b", project="slow"))]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await service.writer.execute(create_model("c"))
    service.engine.opened.set()
    async with serving(service):
        await asyncio.gather(*calls)
        await service.writer.execute(create_model("c"))
    assert (service.models(), service.models("slow")) == (["a", "c"], ["b"])


async def test_a_writer_that_stops_answers_what_waits() -> None:
    """A writer that stops decides and answers the commands in every line; a later one is refused, and counted."""
    service = Service()
    calls = [service.call(create_model("a")), service.call(create_model("b", project="slow"))]
    await asyncio.sleep(0)
    async with serving(service):
        await asyncio.sleep(0)
        service.writer.stop()
        with pytest.raises(Stopping):
            await service.writer.execute(create_model("c"))
        service.engine.opened.set()
        await asyncio.gather(*calls)
    assert (service.models(), service.models("slow")) == (["a"], ["b"])
    assert service.writer.refused_while_stopping == 1


async def test_a_caller_that_leaves_changes_nothing() -> None:
    """The command of a caller that leaves is decided in its place, and the others get their own results."""
    service = Service()
    calls = [service.call(create_model(name)) for name in ("a", "b", "c")]
    await asyncio.sleep(0)
    calls[1].cancel()
    async with serving(service):
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers[1], asyncio.CancelledError)
    assert [each.name for each in (answers[0], answers[2]) if isinstance(each, Model)] == ["a", "c"]
    assert service.models() == ["a", "b", "c"]


async def test_lines_do_not_wait_for_each_other() -> None:
    """While the write of one line takes long, commands of another are answered."""
    service = Service()
    async with serving(service):
        slow = service.call(create_model("a", project="slow"))
        await service.writer.execute(create_model("b"))
        assert not slow.done()
        assert service.models("slow") == []
        service.engine.opened.set()
        assert (await slow).name == "a"
    assert (service.models(), service.models("slow")) == (["b"], ["a"])


async def test_commands_of_one_line_share_a_write() -> None:
    """Commands that wait together are decided in their order in one transaction."""
    service = Service()
    calls = [service.call(create_model(name)) for name in ("a", "b", "c")]
    await asyncio.sleep(0)
    async with serving(service):
        await asyncio.gather(*calls)
    assert (service.models(), service.engine.batches) == (["a", "b", "c"], [3])
