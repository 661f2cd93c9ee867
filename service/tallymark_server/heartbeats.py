"""The deadlines of the heartbeats of running runs, after which a run is recorded as lost.

Heartbeats are not events: the deadlines are kept in memory, and every running run gets a new one when the service
starts. When a deadline passes, the run is recorded as lost through the writer, like any other change, unless another
server on the same storage has heard of it since.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Coroutine
from typing import Any, NamedTuple, TypeVar

import structlog

from tallymark_server.domain.commands import LoseRun
from tallymark_server.domain.errors import DataLoss, Stopping, Unavailable
from tallymark_server.domain.model import Run, RunState
from tallymark_server.signs_of_life import SignsOfLife
from tallymark_server.storage.contract import Awaited as Found
from tallymark_server.storage.contract import RunKey, Storage
from tallymark_server.writer import Clock, Writer

# The actor of events that record a run as lost.
ACTOR = "tallymark"
MICROS = 1_000_000
# How many runs are read at a time when the service starts, and recorded as lost at a time.
READ_BATCH = 1000
MAX_CONCURRENT = 64
# After how many seconds a failed attempt to record a run as lost is repeated.
RETRY_DELAY = 1.0
# How often runs are read that other servers have started, in seconds: their server may be gone for ever.
READ_AGAIN = 30.0
# How many seconds after its deadline this may wake up; later than that, the service itself was suspended.
MAX_LATENESS = 5.0

T = TypeVar("T")
_log = structlog.get_logger()


class Awaited(NamedTuple):
    """The deadline of the next heartbeat, in seconds of the loop.

    The timeout of a heartbeat, and the time of the run's last sign of life, are in microseconds.
    """

    deadline: float
    timeout: int
    last_seen: int


class Heartbeats:
    """The deadlines of all running runs that send heartbeats."""

    def __init__(self, storage: Storage, writer: Writer, clock: Clock) -> None:
        self._storage = storage
        self._writer = writer
        self._clock = clock
        self._awaited: dict[RunKey, Awaited] = {}
        # A heap with one entry for each run, which is outdated if the run has a later deadline, or none.
        self._due: list[tuple[float, RunKey]] = []
        self._queued: set[RunKey] = set()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._signs = SignsOfLife(storage, lambda run: self.forget(*run))

    def expect(self, project: str, run: Run, last_seen: int | None = None) -> None:
        """Set the deadline of the next heartbeat of the run, if it sends any and is running."""
        if run.heartbeat_timeout is not None and run.state is RunState.RUNNING:
            self._expect((project, run.id), run.heartbeat_timeout, self._clock() if last_seen is None else last_seen)
            self._signs.hear((project, run.id))

    def beat(self, project: str, run_id: str) -> int | None:
        """Renew the deadline after a heartbeat. Return the timeout in microseconds, None if the run has no deadline."""
        known = self._awaited.get((project, run_id))
        if known is None:
            return None
        deadline = _now() + known.timeout / MICROS
        self._awaited[(project, run_id)] = Awaited(deadline, known.timeout, self._clock())
        self._signs.hear((project, run_id))
        return known.timeout

    def saw_change(self, project: str, run_id: str) -> None:
        """Note a recorded change of the run as a sign of life, without a new deadline."""
        known = self._awaited.get((project, run_id))
        if known is not None:
            self._awaited[(project, run_id)] = known._replace(last_seen=self._clock())

    def forget(self, project: str, run_id: str) -> None:
        """Remove the deadline of the run."""
        self._awaited.pop((project, run_id), None)

    async def shielded(self, work: Coroutine[Any, Any, T]) -> T:
        """Finish the work even if the caller leaves, so that the deadlines fit the recorded state of the run."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # The caller gets the exception; when it has left, asyncio must not report it as never retrieved.
            task.exception()

    async def serve(self) -> None:
        """Give every running run of the storage a deadline, and record each run as lost whose deadline passes.

        Until cancelled.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lose_overdue())
            if self._signs.are_shared:
                tasks.create_task(self._signs.note())
                tasks.create_task(self._read_again())

    async def _read_again(self) -> None:
        while True:
            await asyncio.sleep(READ_AGAIN)
            await self._start()

    async def _lose_overdue(self) -> None:
        await self._start()
        while True:
            self._changed.clear()
            planned = self._due[0][0] if self._due else None
            await self._sleep(planned)
            if planned is not None and _now() - planned > MAX_LATENESS:
                self._renew_all()
            overdue = await self._silent_everywhere(self._overdue())
            for begin in range(0, len(overdue), MAX_CONCURRENT):
                await asyncio.gather(*(self._lose(*each) for each in overdue[begin : begin + MAX_CONCURRENT]))

    async def _start(self) -> None:
        after: RunKey = ("", "")
        while found := await self._found(after):
            for project, run, timeout, last_seen in found:
                # Runs that were started or resumed meanwhile have a deadline already.
                if (project, run) not in self._awaited:
                    self._expect((project, run), timeout, last_seen)
            after = found[-1][:2]

    async def _found(self, after: RunKey) -> list[Found]:
        while True:
            try:
                return await self._storage.awaited(after, READ_BATCH)
            except (Unavailable, DataLoss) as error:
                _log.warning("running runs cannot be read, which is tried again", problem=str(error))
                await asyncio.sleep(RETRY_DELAY)

    async def _sleep(self, until: float | None) -> None:
        """Sleep until that time, or until an earlier deadline is set."""
        try:
            async with asyncio.timeout(None if until is None else max(0.0, until - _now())):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _expect(self, key: RunKey, timeout: int, last_seen: int) -> None:
        deadline = _now() + timeout / MICROS
        self._awaited[key] = Awaited(deadline, timeout, last_seen)
        self._push(deadline, key)

    def _push(self, deadline: float, key: RunKey) -> None:
        if key in self._queued:
            # Its entry is due earlier, and is pushed again then.
            return
        self._queued.add(key)
        heapq.heappush(self._due, (deadline, key))
        if self._due[0][1] == key:
            self._changed.set()

    def _renew_all(self) -> None:
        """Give every run a new deadline after the service was suspended, since heartbeats may have arrived unread."""
        now = _now()
        for key, each in self._awaited.items():
            self._awaited[key] = each._replace(deadline=now + each.timeout / MICROS)

    def _overdue(self) -> list[tuple[RunKey, Awaited]]:
        """Remove and return the runs whose deadline has passed."""
        overdue: list[tuple[RunKey, Awaited]] = []
        now = _now()
        while self._due and self._due[0][0] <= now:
            _, key = heapq.heappop(self._due)
            self._queued.discard(key)
            known = self._awaited.get(key)
            if known is not None and known.deadline > now:
                self._push(known.deadline, key)
            elif known is not None:
                overdue.append((key, self._awaited.pop(key)))
        return overdue

    async def _silent_everywhere(self, overdue: list[tuple[RunKey, Awaited]]) -> list[tuple[RunKey, Awaited]]:
        """Return the overdue runs that are silent for other servers, too. The rest get a new deadline."""
        if not overdue or not self._signs.are_shared:
            return overdue
        try:
            silences = await self._signs.silences([key for key, _ in overdue])
        except (Unavailable, DataLoss):
            # Signs may have arrived that no server could note.
            for key, each in overdue:
                self._await_again(key, each, each.timeout / MICROS)
            self._renew_all()
            return []
        lost = []
        for key, each in overdue:
            silence = silences.get(key, each.timeout / MICROS)
            seen = each._replace(last_seen=max(each.last_seen, self._clock() - round(silence * MICROS)))
            if silence < each.timeout / MICROS:
                self._await_again(key, seen, each.timeout / MICROS - silence)
            else:
                lost.append((key, seen if key in silences else each))
        return lost

    def _await_again(self, key: RunKey, awaited: Awaited, seconds: float) -> None:
        """Set another deadline, unless the run has one since."""
        if key not in self._awaited:
            deadline = _now() + seconds
            self._awaited[key] = awaited._replace(deadline=deadline)
            self._push(deadline, key)

    async def _lose(self, key: RunKey, awaited: Awaited) -> None:
        project, run = key
        try:
            command = LoseRun(project=project, actor=ACTOR, run=run, last_seen=awaited.last_seen)
            if (await self._writer.execute(command)).state is RunState.LOST:
                # A program that has joined it meanwhile has set a deadline; its next heartbeat must resume the run.
                self.forget(project, run)
        except Stopping:
            return
        except Unavailable as error:
            _log.warning("a lost run could not be recorded, and is tried again", run=run, problem=str(error))
            self._await_again(key, awaited, RETRY_DELAY)
        except Exception:  # noqa: BLE001 - what is wrong with one run must not keep others from being recorded as lost
            _log.exception("a lost run could not be recorded", project=project, run=run)


def _now() -> float:
    return asyncio.get_running_loop().time()
