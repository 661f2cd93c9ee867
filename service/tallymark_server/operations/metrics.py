"""The figures for Prometheus. Names and labels follow its conventions, and each label has a bounded set of values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from time import perf_counter

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from tallymark_server.observer import EXPORT, VERIFICATION, CallObserver, Headers, Observer, Position

# In seconds: a get takes less than one millisecond, an import of large batches seconds.
CALLS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# In seconds: a commit waits for the disk.
COMMITS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
# The methods that are streams, which no method of another service is called.
STREAMS = frozenset({"Watch", "Export", "ServerReflectionInfo"})
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_CALL = ("service", "method", "transport")

# Otherwise every counter would come with a second one, of when it was created.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library - has no type there


class Metrics(Observer):
    """The figures of one service. `registry` has them for Prometheus."""

    __slots__ = ("_batches", "_calls", "_commits", "_durations", "_waits", "_working", "positions", "registry")

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        # The positions of the watchers, by project.
        self.positions: dict[str, set[Position]] = defaultdict(set)
        own = self.registry
        ProcessCollector(registry=own)
        GCCollector(registry=own)
        about = Gauge("tallymark_build_info", "The version that runs, with the value 1.", ["version"], registry=own)
        about.labels(version).set(1)
        self._calls = Counter("tallymark_calls", "Calls that have ended.", [*_CALL, "code"], registry=own)
        self._durations = Histogram(
            "tallymark_call_duration_seconds",
            "How long calls took, without streams.",
            _CALL,
            buckets=CALLS,
            registry=own,
        )
        self._batches = Histogram(
            "tallymark_batch_commands",
            "How many commands were decided and committed together.",
            buckets=BATCHES,
            registry=own,
        )
        self._waits = Histogram(
            "tallymark_queue_wait_seconds", "How long commands waited to be decided.", buckets=CALLS, registry=own
        )
        self._commits = Histogram(
            "tallymark_commit_duration_seconds", "How long commits took to be durable.", buckets=COMMITS, registry=own
        )
        working = Gauge("tallymark_long_work_in_progress", "Verifications and exports.", ["kind"], registry=own)
        self._working = {kind: working.labels(kind) for kind in (VERIFICATION, EXPORT)}

    def call(self, service: str, method: str, transport: str) -> CallObserver:
        """Return the counter of the method's calls."""
        return _CallMetrics(self._calls, self._durations, (service, method, transport))

    def queued(self) -> float:
        """Return the time."""
        return perf_counter()

    @contextmanager
    def batch(self, queued: Sequence[float]) -> Iterator[None]:
        """Count the batch, and how long its commands have waited."""
        now = perf_counter()
        self._batches.observe(len(queued))
        for begun in queued:
            self._waits.observe(now - begun)
        yield

    def commit(self) -> AbstractContextManager[object]:
        """Measure the commit."""
        return self._commits.time()

    def working(self, kind: str) -> AbstractContextManager[object]:
        """Count what is under way."""
        return self._working[kind].track_inprogress()

    @contextmanager
    def watching(self, project: str) -> Iterator[Position]:
        """Keep the position of the watcher while it watches."""
        position = Position()
        self.positions[project].add(position)
        try:
            yield position
        finally:
            self.positions[project].discard(position)
            if not self.positions[project]:
                del self.positions[project]


class _CallMetrics(CallObserver):
    """Counts and measures the calls of one method. The library finds the figures of a code only once."""

    __slots__ = ("_codes", "_counter", "_duration", "_durations", "_labels")

    def __init__(self, counter: Counter, durations: Histogram, labels: tuple[str, str, str]) -> None:
        self._counter, self._durations, self._labels = counter, durations, labels
        self._codes: dict[str, Counter] = {}
        # A method that is never called has no figures.
        self._duration: Histogram | None = None

    def begin(self, headers: Headers) -> float:
        """Return the time."""
        del headers
        return perf_counter()

    def end(self, begun: float, code: str) -> None:
        """Count the call."""
        ended = self._codes.get(code)
        if ended is None:
            ended = self._codes[code] = self._counter.labels(*self._labels, code)
        ended.inc()
        # Streams last for as long as their callers like.
        if self._labels[1] not in STREAMS:
            if self._duration is None:
                self._duration = self._durations.labels(*self._labels)
            self._duration.observe(perf_counter() - begun)
