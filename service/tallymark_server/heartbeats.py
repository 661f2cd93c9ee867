"""By when the next heartbeat of each running run must arrive, and what happens when it does not.

Heartbeats are no events: the deadlines are kept in memory, and every run that is still awaited gets a fresh one when
the service starts. When one passes, the run is recorded as lost through the one line, like any other change.
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
from tallymark_server.storage.contract import Awaited as Found
from tallymark_server.storage.contract import Storage
from tallymark_server.writer import Clock, Writer

# Who records a run as lost.
ACTOR = "tallymark"
MICROS = 1_000_000
# How many runs are read at a time when the service starts, and recorded as lost at a time.
STRETCH = 1000
AT_A_TIME = 64
# After how many seconds a run is tried again that could not be recorded as lost.
RETRY = 1.0
# How much later than planned this may wake up, in seconds, before the service is taken to have stood still.
LATE = 5.0

T = TypeVar("T")
Key = tuple[str, str]
_log = structlog.get_logger()


class Awaited(NamedTuple):
    """By when the next heartbeat must arrive, in seconds of the loop.

    How long it may take to arrive, and when the run was last heard of, are in microseconds.
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
        self._awaited: dict[Key, Awaited] = {}
        # The earliest first, one entry for each run, which may be outdated: its run has a later deadline, or none.
        self._due: list[tuple[float, Key]] = []
        self._queued: set[Key] = set()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    def expect(self, project: str, run: Run, last_seen: int | None = None) -> None:
        """Wait for the next heartbeat of the run, if it sends any and is running."""
        if run.heartbeat_timeout is not None and run.state is RunState.RUNNING:
            self._expect((project, run.id), run.heartbeat_timeout, self._clock() if last_seen is None else last_seen)

    def heard(self, project: str, run_id: str) -> int | None:
        """Note a heartbeat. Return the timeout, in microseconds, or None if no heartbeat of the run is awaited."""
        known = self._awaited.get((project, run_id))
        if known is None:
            return None
        deadline = _now() + known.timeout / MICROS
        self._awaited[(project, run_id)] = Awaited(deadline, known.timeout, self._clock())
        return known.timeout

    def saw_record(self, project: str, run_id: str) -> None:
        """Note that something of the run was recorded: it does not end before that, but its heartbeat stays due."""
        known = self._awaited.get((project, run_id))
        if known is not None:
            self._awaited[(project, run_id)] = known._replace(last_seen=self._clock())

    def forget(self, project: str, run_id: str) -> None:
        """Wait for the run no longer."""
        self._awaited.pop((project, run_id), None)

    async def kept(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work to its end, also when the caller leaves: what becomes of a run decides whether it is awaited."""
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
        """Give every awaited run of the file a fresh deadline, then record each run as lost whose deadline passes."""
        await self._start()
        # Until cancelled.
        while True:
            self._changed.clear()
            planned = self._due[0][0] if self._due else None
            await self._sleep(planned)
            if planned is not None and _now() - planned > LATE:
                self._begin_anew()
            overdue = self._overdue()
            for begin in range(0, len(overdue), AT_A_TIME):
                await asyncio.gather(*(self._lose(*each) for each in overdue[begin : begin + AT_A_TIME]))

    async def _start(self) -> None:
        after: Key = ("", "")
        while found := await self._found(after):
            for project, run, timeout, last_seen in found:
                # What was started or resumed meanwhile has its deadline already.
                if (project, run) not in self._awaited:
                    self._expect((project, run), timeout, last_seen)
            after = found[-1][:2]

    async def _found(self, after: Key) -> list[Found]:
        while True:
            try:
                return await self._storage.awaited(after, STRETCH)
            except (Unavailable, DataLoss) as error:
                _log.warning("running runs cannot be read, which is tried again", problem=str(error))
                await asyncio.sleep(RETRY)

    async def _sleep(self, until: float | None) -> None:
        """Return at that time, or when an earlier deadline is set."""
        try:
            async with asyncio.timeout(None if until is None else max(0.0, until - _now())):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _expect(self, key: Key, timeout: int, last_seen: int) -> None:
        deadline = _now() + timeout / MICROS
        self._awaited[key] = Awaited(deadline, timeout, last_seen)
        self._push(deadline, key)

    def _push(self, deadline: float, key: Key) -> None:
        if key in self._queued:
            # Its entry is due earlier, and is put off then.
            return
        self._queued.add(key)
        heapq.heappush(self._due, (deadline, key))
        if self._due[0][1] == key:
            self._changed.set()

    def _begin_anew(self) -> None:
        """Give every run a fresh deadline: this service stood still, and may have heartbeats that it has not read."""
        now = _now()
        for key, each in self._awaited.items():
            self._awaited[key] = each._replace(deadline=now + each.timeout / MICROS)

    def _overdue(self) -> list[tuple[Key, Awaited]]:
        """The runs whose deadline has passed; they are awaited no longer."""
        overdue: list[tuple[Key, Awaited]] = []
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

    async def _lose(self, key: Key, awaited: Awaited) -> None:
        project, run = key
        try:
            command = LoseRun(project=project, actor=ACTOR, run=run, last_seen=awaited.last_seen)
            if (await self._writer.execute(command)).state is RunState.LOST:
                # Whoever joined it meanwhile has it awaited again; the next heartbeat must resume it.
                self.forget(project, run)
        except Stopping:
            return
        except Unavailable as error:
            _log.warning("a lost run could not be recorded, and is tried again", run=run, problem=str(error))
            # Unless it was heard of meanwhile.
            if key not in self._awaited:
                deadline = _now() + RETRY
                self._awaited[key] = awaited._replace(deadline=deadline)
                self._push(deadline, key)
        except Exception:  # noqa: BLE001 - what is wrong with one run must not keep others from being recorded as lost
            _log.exception("a lost run could not be recorded", project=project, run=run)


def _now() -> float:
    return asyncio.get_running_loop().time()
