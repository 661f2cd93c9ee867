"""The writer: every change to the registry passes through it, in order.

Callers hand over a command and wait for its answer. Commands wait in the line of their project: the storage says which
projects share one. The writer takes a batch from the line, decides it in order on the state that it has loaded, commits
once, and answers only after the commit. A caller that stops waiting changes nothing: its command stays in the line and
is decided.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence, Sized
from typing import Any, TypeVar, cast

import structlog

from tallymark_server.availability import Availability
from tallymark_server.domain.commands import Command, Keys
from tallymark_server.domain.decisions import AnyCommand, Outcome, handle
from tallymark_server.domain.errors import DataDamaged, Overloaded, RegistryError, Stopping, StorageUnavailable
from tallymark_server.domain.events import Event
from tallymark_server.observer import Observer
from tallymark_server.storage.contract import Storage, TooMuchError, Writing
from tallymark_server.watch import Bell

T = TypeVar("T")
Clock = Callable[[], int]
Answer = Outcome | RegistryError
# A command, its answer to come, and what the observer keeps of it.
Waiting = tuple[AnyCommand, asyncio.Future[Outcome], Any]

# A batch takes no more commands once it will write this many rows, which takes some milliseconds.
MAX_ROWS = 512
# Up to this many callers leave the event loop idle between batches; more keep it busy.
MAX_IDLE_CALLERS = 16
# How long to wait idle for them, in seconds: a call takes about a tenth of a millisecond to come in.
MAX_IDLE_WAIT = 0.001
IDLE_WAIT_PER_CALLER = 0.0001
# How long to wait for more callers than that, in seconds, and how many turns of the loop without a call end the wait.
MAX_BUSY_WAIT = 0.006
QUIET_TURNS = 30
# How many batches at most begin without a wait, after waits in vain.
MAX_BACKOFF = 64
# A batch that writes no more rows is decided in the event loop; the last command of a batch may be a large one.
MAX_BRIEF_ROWS = 700
# A new run state updates existing versions, which takes twice as long as inserting.
MAX_BRIEF_CHANGES = MAX_BRIEF_ROWS // 2

_log = structlog.get_logger()


class Writer:
    """Decides every command in its line. `capacity` is how many may wait in all lines; more are refused at once.

    `refused_while_stopping` counts the commands that arrived after `stop`.
    """

    def __init__(
        self,
        storage: Storage,
        bell: Bell,
        clock: Clock,
        capacity: int,
        availability: Availability | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._storage = storage
        self._availability = availability or Availability()
        self._observer = observer or Observer()
        self._bell = bell
        self._clock = clock
        self._capacity = capacity
        self._waiting = 0
        self._lines: dict[str, Line] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._stopped = asyncio.Event()
        self.refused_while_stopping = 0

    @property
    def waiting(self) -> int:
        """How many commands wait in all lines."""
        return self._waiting

    async def execute(self, command: Command[T]) -> T:
        """Return the answer to the command once its effect is durable. Raises a RegistryError if it is refused."""
        if self._stopped.is_set():
            self.refused_while_stopping += 1
            raise Stopping
        if self._waiting >= self._capacity:
            raise Overloaded(self._waiting)
        name = self._storage.line(command.project)
        line = self._lines.get(name) or self._add_line(name)
        self._waiting += 1
        return cast("T", await line.add(cast("AnyCommand", command)))

    def stop(self) -> None:
        """Accept no more commands. `serve` returns once those that wait are answered."""
        self._stopped.set()
        for line in self._lines.values():
            line.stop()

    async def serve(self) -> None:
        """Decide commands until stopped."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for line in self._lines.values():
                    tasks.create_task(line.serve())
                await self._stopped.wait()
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    def _add_line(self, name: str) -> Line:
        line = self._lines[name] = Line(self._decide_next, self._capacity, self._observer)
        if self._tasks is not None:
            self._tasks.create_task(line.serve())
        return line

    async def _decide_next(self, batch: Sequence[Waiting]) -> None:
        self._waiting -= len(batch)
        with self._observer.batch([queued for _, _, queued in batch]):
            await self._decide(batch)

    async def _decide(self, batch: Sequence[Waiting]) -> None:
        commands = [command for command, _, _ in batch]
        try:
            answers = await self._answers(commands)
        except StorageUnavailable as error:
            await _log.aerror("storage unavailable", problem=str(error), commands=len(batch))
            self._availability.lose(str(error))
            # The commit may have happened all the same.
            self._bell.ring({command.project for command in commands})
            for _, answer, _ in batch:
                _resolve_future(answer, error)
        except Exception as error:  # noqa: BLE001 - a defect must fail the command that meets it, and no other
            if len(batch) == 1:
                _resolve_future(batch[0][1], error)
                return
            for item in batch:
                await self._decide([item])
        else:
            self._availability.regain()
            # Readers are woken first, so that they are not behind when a caller gets its answer.
            self._bell.ring({command.project for command in commands})
            for (_, answer, _), given in zip(batch, answers, strict=True):
                _resolve_future(answer, given)

    async def _answers(self, commands: Sequence[AnyCommand]) -> list[Answer]:
        brief = sum(command.size for command in commands) <= MAX_BRIEF_ROWS and not any(
            c.reload_after for c in commands
        )
        if brief:
            try:
                return await self._storage.write(
                    lambda writing: decide_batch(writing, commands, self._clock, MAX_BRIEF_CHANGES), brief=True
                )
            except TooMuchError:
                # Only the load shows that a run which ends has created very many versions.
                pass
        return await self._storage.write(lambda writing: decide_batch(writing, commands, self._clock))


class Line:
    """A queue of commands whose projects share transactions. `decide` answers a batch of them.

    `capacity` is how many commands can wait in it.
    """

    def __init__(
        self, decide: Callable[[Sequence[Waiting]], Awaitable[None]], capacity: int, observer: Observer
    ) -> None:
        self._decide = decide
        self._observer = observer
        self._waiting: deque[Waiting] = deque()
        self._arrival = asyncio.Event()
        self._stopping = False
        self._window = BatchWindow(capacity)

    def add(self, command: AnyCommand) -> asyncio.Future[Outcome]:
        """Add the command to the queue, and return its answer to come."""
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer, self._observer.queued()))
        self._arrival.set()
        self._window.arrive(len(self._waiting))
        return answer

    def stop(self) -> None:
        """Let `serve` return once the commands in the queue are answered."""
        self._stopping = True
        self._arrival.set()

    async def serve(self) -> None:
        """Decide batch after batch until stopped."""
        while True:
            await self._arrival.wait()
            await self._window.wait(self._waiting)
            batch = self._next_batch()
            if not self._waiting:
                if self._stopping and not batch:
                    return
                if not self._stopping:
                    self._arrival.clear()
            await self._decide(batch)
            self._window.expect(len(batch) + len(self._waiting))

    def _next_batch(self) -> list[Waiting]:
        """Remove and return the first commands in the queue, up to the size of a batch."""
        batch = []
        rows = 0
        while self._waiting and rows < MAX_ROWS:
            batch.append(self._waiting.popleft())
            rows += batch[-1][0].size
        return batch


class BatchWindow:
    """Decides how long the writer waits for a batch to become larger.

    Callers that were answered together call again together, since most programs make the next call once they have an
    answer. With many callers, the window stays open until some turns of the loop pass without a call: the loop is busy
    meanwhile. With few callers it waits idle, since turning the loop would cost more than all else, and closes as soon
    as all are back; one caller alone never waits. Independent callers may not call again: after a wait in vain, two
    batches begin without a wait, then four, then eight, and so on. `capacity` is the length of the queue, beyond which
    no caller is expected.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._expected = 0
        self._complete: asyncio.Future[bool] | None = None
        self._backoff = 1
        self._skips = 0

    def expect(self, count: int) -> None:
        """Expect that many callers: those that were answered, and those that are waiting."""
        self._expected = min(count, self._capacity)

    def arrive(self, waiting: int) -> None:
        """Note that a command has arrived; that many wait now."""
        if waiting >= self._expected:
            self._end(arrived=True)

    async def wait(self, waiting: Sized) -> None:
        """Return when the expected callers are waiting, or are no longer expected."""
        if self._expected > MAX_IDLE_CALLERS:
            await _wait_until_quiet(waiting)
        elif len(waiting) < self._expected:
            if self._skips:
                self._skips -= 1
            else:
                await self._idle()

    async def _idle(self) -> None:
        loop = asyncio.get_running_loop()
        self._complete = loop.create_future()
        timer = loop.call_later(MAX_IDLE_WAIT + IDLE_WAIT_PER_CALLER * self._expected, self._end)
        arrived = await self._complete
        timer.cancel()
        self._complete = None
        self._backoff = 1 if arrived else min(2 * self._backoff, MAX_BACKOFF)
        self._skips = 0 if arrived else self._backoff

    def _end(self, *, arrived: bool = False) -> None:
        if self._complete is not None and not self._complete.done():
            self._complete.set_result(arrived)


async def _wait_until_quiet(waiting: Sized) -> None:
    """Return after some turns of the loop without a new command, or after MAX_BUSY_WAIT."""
    clock = asyncio.get_running_loop().time
    until, turns = clock() + MAX_BUSY_WAIT, 0
    while turns < QUIET_TURNS and len(waiting) < MAX_ROWS and clock() < until:
        before = len(waiting)
        await asyncio.sleep(0)
        turns = turns + 1 if len(waiting) == before else 0


async def decide_batch(
    writing: Writing, commands: Sequence[AnyCommand], clock: Clock, most: int | None = None
) -> list[Answer]:
    """Decide the commands and append their events. Return the answers in the order of the commands.

    Projects are decided independently. Raises TooMuchError when more than `most` versions of runs change.
    """
    positions: dict[str, list[int]] = {}
    for position, command in enumerate(commands):
        positions.setdefault(command.project, []).append(position)
    answers: dict[int, Answer] = {}
    for project, in_project in positions.items():
        given = await _decide_project(writing, project, [commands[position] for position in in_project], clock, most)
        answers.update(zip(in_project, given, strict=True))
    return [answers[position] for position in range(len(commands))]


async def _decide_project(
    writing: Writing, project: str, commands: Sequence[AnyCommand], clock: Clock, most: int | None
) -> list[Answer]:
    answers: list[Answer] = []
    pending: list[AnyCommand] = []
    for command in commands:
        if command.reload_before and pending:
            answers.extend(await _decide_loaded(writing, project, pending, clock, most))
            pending = []
        pending.append(command)
        if command.reload_after:
            answers.extend(await _decide_loaded(writing, project, pending, clock, most))
            pending = []
    if pending:
        answers.extend(await _decide_loaded(writing, project, pending, clock, most))
    return answers


async def _decide_loaded(
    writing: Writing, project: str, commands: Sequence[AnyCommand], clock: Clock, most: int | None
) -> list[Answer]:
    keys = Keys()
    for command in commands:
        command.add_required_keys(keys)
    try:
        state = await writing.load(project, keys, most=most)
    except DataDamaged as error:
        if len(commands) > 1:
            # The caller tries each command alone, since the damage concerns one of them.
            raise
        return [error]
    except RegistryError as error:
        return [error] * len(commands)
    answers: list[Answer] = []
    events: list[Event] = []
    for command in commands:
        try:
            decision = handle(state, command, clock())
        except RegistryError as error:
            answers.append(error)
            continue
        answers.append(decision.outcome)
        events.extend(decision.events)
    await writing.append(state, events, state.answered)
    return answers


def _resolve_future(answer: asyncio.Future[Outcome], given: Outcome | Exception) -> None:
    if answer.done():  # the caller has gone
        return
    if isinstance(given, Exception):
        answer.set_exception(given)
    else:
        answer.set_result(given)
