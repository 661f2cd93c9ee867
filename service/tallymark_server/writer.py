"""The one line: every change to the registry passes through here, in order.

Callers hand over a command and wait for its answer. The writer takes whatever is waiting, decides it in order on what
it has loaded, commits once, and answers only after the commit. A caller that stops waiting changes nothing: its command
has its place in the line, and keeps it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence, Sized
from typing import TypeVar, cast

import structlog

from tallymark_server.domain.commands import Command, Keys
from tallymark_server.domain.decisions import AnyCommand, Outcome, handle
from tallymark_server.domain.errors import DataDamaged, Overloaded, RegistryError, Stopping, StorageUnavailable
from tallymark_server.domain.events import Event
from tallymark_server.storage.contract import Storage, TooMuchError, Writing
from tallymark_server.watch import Bell

T = TypeVar("T")
Clock = Callable[[], int]
Answer = Outcome | RegistryError

# A batch takes no more commands once it will write so many rows, which takes some milliseconds.
MAX_ROWS = 512
# So few callers leave the event loop idle in between; more keep it busy.
FEW = 16
# How long to wait for few, in seconds: a call takes about a tenth of a millisecond to come in.
PATIENCE, PATIENCE_EACH = 0.001, 0.0001
# How long to wait for many, in seconds, and after how many turns of the loop without anybody the line is quiet.
MANY_PATIENCE, QUIET_TURNS = 0.006, 30
# After waits in vain, nobody is waited for in at most so many batches.
MAX_DOUBT = 64
# What writes no more rows than this is done in the event loop: the last command of a batch may be a large one.
BRIEF = 700
# Another state of the run changes a version that is there, which takes twice as long as a new one.
BRIEF_CHANGES = BRIEF // 2

_log = structlog.get_logger()


class Writer:
    """The one line. `capacity` is how many commands may wait; more are refused at once.

    `turned_away` counts the commands that came too late, when the line was stopping.
    """

    def __init__(self, storage: Storage, bell: Bell, clock: Clock, capacity: int) -> None:
        self._storage = storage
        self._bell = bell
        self._clock = clock
        self._capacity = capacity
        self._waiting: deque[tuple[AnyCommand, asyncio.Future[Outcome]]] = deque()
        self._arrival = asyncio.Event()
        self._stopping = False
        self.turned_away = 0
        self._gathering = Gathering(capacity)

    async def execute(self, command: Command[T]) -> T:
        """The answer to the command, given after its effect is durable; a RegistryError if it is refused."""
        if self._stopping:
            self.turned_away += 1
            raise Stopping
        if len(self._waiting) >= self._capacity:
            raise Overloaded(len(self._waiting))
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((cast("AnyCommand", command), answer))
        self._arrival.set()
        self._gathering.arrive(len(self._waiting))
        return cast("T", await answer)

    def stop(self) -> None:
        """Take no more commands; `serve` ends when those that wait are answered."""
        self._stopping = True
        self._arrival.set()

    async def serve(self) -> None:
        """Decide commands until stopped."""
        while True:
            await self._arrival.wait()
            await self._gathering.wait(self._waiting)
            batch = self._first()
            if not self._waiting:
                if self._stopping and not batch:
                    return
                if not self._stopping:
                    self._arrival.clear()
            await self._decide(batch)
            self._gathering.expect(len(batch) + len(self._waiting))

    def _first(self) -> list[tuple[AnyCommand, asyncio.Future[Outcome]]]:
        """The first of those who wait, so many that the batch is as large as it may be."""
        batch = []
        rows = 0
        while self._waiting and rows < MAX_ROWS:
            batch.append(self._waiting.popleft())
            rows += batch[-1][0].size
        return batch

    async def _decide(self, batch: Sequence[tuple[AnyCommand, asyncio.Future[Outcome]]]) -> None:
        commands = [command for command, _ in batch]
        try:
            answers = await self._answers(commands)
        except StorageUnavailable as error:
            await _log.aerror("storage unavailable", problem=str(error), commands=len(batch))
            # It may have had its effect all the same.
            self._bell.ring({command.project for command in commands})
            for _, answer in batch:
                _give(answer, error)
        except Exception as error:  # noqa: BLE001 - a defect must fail the command that meets it, and no other
            if len(batch) == 1:
                _give(batch[0][1], error)
                return
            for item in batch:
                await self._decide([item])
        else:
            # Readers are woken before the writers are answered: who is answered finds the readers on their way.
            self._bell.ring({command.project for command in commands})
            for (_, answer), given in zip(batch, answers, strict=True):
                _give(answer, given)

    async def _answers(self, commands: Sequence[AnyCommand]) -> list[Answer]:
        brief = sum(command.size for command in commands) <= BRIEF and not any(c.changes_much for c in commands)
        if brief:
            try:
                return await self._storage.write(
                    lambda writing: decide_batch(writing, commands, self._clock, BRIEF_CHANGES), brief=True
                )
            except TooMuchError:
                # A run that has made very many versions has ended: that is known only once it is looked at.
                pass
        return await self._storage.write(lambda writing: decide_batch(writing, commands, self._clock))


class Gathering:
    """How long the line waits for a batch to become larger.

    Callers who were answered together come again together, since most programs ask for the next thing once they have
    their answer. Of many, the line takes whoever comes until it is quiet: the loop has enough to do meanwhile. For few
    it waits idle, since turning the loop would cost more than all else, and begins when they are there; one caller
    alone waits for nobody. Callers who know nothing of each other may not come again: after a wait in vain, nobody is
    waited for in the next two batches; after another, in the next four, then eight, and so on. `capacity` is how many
    may wait: more can never be there.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._expected = 0
        self._complete: asyncio.Future[bool] | None = None
        self._doubt = 1
        self._doubted = 0

    def expect(self, count: int) -> None:
        """Expect as many as were answered, with those who came meanwhile."""
        self._expected = min(count, self._capacity)

    def arrive(self, waiting: int) -> None:
        """One has come, and so many wait now."""
        if waiting >= self._expected:
            self._end(came=True)

    async def wait(self, waiting: Sized) -> None:
        """Done when those who are expected are there, or will not come any more."""
        if self._expected > FEW:
            await _quiet(waiting)
        elif len(waiting) < self._expected:
            if self._doubted:
                self._doubted -= 1
            else:
                await self._idle()

    async def _idle(self) -> None:
        loop = asyncio.get_running_loop()
        self._complete = loop.create_future()
        timer = loop.call_later(PATIENCE + PATIENCE_EACH * self._expected, self._end)
        came = await self._complete
        timer.cancel()
        self._complete = None
        self._doubt = 1 if came else min(2 * self._doubt, MAX_DOUBT)
        self._doubted = 0 if came else self._doubt

    def _end(self, *, came: bool = False) -> None:
        if self._complete is not None and not self._complete.done():
            self._complete.set_result(came)


async def _quiet(waiting: Sized) -> None:
    """Done when nobody has come for some turns of the loop, or after a while."""
    clock = asyncio.get_running_loop().time
    until, turns = clock() + MANY_PATIENCE, 0
    while turns < QUIET_TURNS and len(waiting) < MAX_ROWS and clock() < until:
        before = len(waiting)
        await asyncio.sleep(0)
        turns = turns + 1 if len(waiting) == before else 0


def decide_batch(
    writing: Writing, commands: Sequence[AnyCommand], clock: Clock, most: int | None = None
) -> list[Answer]:
    """The answers to the commands, in their order, with their effects appended. Projects do not touch each other.

    Raise TooMuchError when they change more than `most` versions of runs.
    """
    places: dict[str, list[int]] = {}
    for place, command in enumerate(commands):
        places.setdefault(command.project, []).append(place)
    answers: dict[int, Answer] = {}
    for project, in_project in places.items():
        given = _decide_project(writing, project, [commands[place] for place in in_project], clock, most)
        answers.update(zip(in_project, given, strict=True))
    return [answers[place] for place in range(len(commands))]


def _decide_project(
    writing: Writing, project: str, commands: Sequence[AnyCommand], clock: Clock, most: int | None
) -> list[Answer]:
    answers: list[Answer] = []
    stretch: list[AnyCommand] = []
    for command in commands:
        if command.looks_behind and stretch:
            answers.extend(_decide_stretch(writing, project, stretch, clock, most))
            stretch = []
        stretch.append(command)
        if command.changes_much:
            answers.extend(_decide_stretch(writing, project, stretch, clock, most))
            stretch = []
    if stretch:
        answers.extend(_decide_stretch(writing, project, stretch, clock, most))
    return answers


def _decide_stretch(
    writing: Writing, project: str, commands: Sequence[AnyCommand], clock: Clock, most: int | None
) -> list[Answer]:
    keys = Keys()
    for command in commands:
        command.declare(keys)
    try:
        state = writing.load(project, keys, most=most)
    except DataDamaged as error:
        if len(commands) > 1:
            # Each is tried by itself: what is damaged concerns one of them.
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
    writing.append(state, events, state.answered)
    return answers


def _give(answer: asyncio.Future[Outcome], given: Outcome | Exception) -> None:
    if answer.done():  # the caller has gone
        return
    if isinstance(given, Exception):
        answer.set_exception(given)
    else:
        answer.set_result(given)
