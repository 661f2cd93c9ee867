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

from tallymark_server.observer import EXPORT, VERIFICATION, CallObserver, Observer, Position
from tallymark_server.operations.call_figures import CALLS, CallFigures

# In seconds: a commit waits for the disk.
COMMITS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

# Otherwise every counter would come with a second one, of when it was created.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library - has no type there


class Metrics(Observer):
    """The figures of one service. `registry` has them for Prometheus."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        # The positions of the watchers, by project.
        self.positions: dict[str, set[Position]] = defaultdict(set)
        own = self.registry
        ProcessCollector(registry=own)
        GCCollector(registry=own)
        about = Gauge("tallymark_build_info", "The version that runs, with the value 1.", ["version"], registry=own)
        about.labels(version).set(1)
        self._calls = CallFigures()
        own.register(self._calls)
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
        # How automatic backups have ended; without them, there are no samples.
        self.backups = Counter("tallymark_backups", "Automatic backups.", ["outcome"], registry=own)
        self.newest_backup = Gauge(
            "tallymark_newest_backup_timestamp_seconds", "The time of the newest automatic backup.", registry=own
        )
        self.backup_duration = Gauge(
            "tallymark_backup_duration_seconds", "How long the last automatic backup took.", registry=own
        )
        self._working = {kind: working.labels(kind) for kind in (VERIFICATION, EXPORT)}

    def call(self, service: str, method: str, transport: str) -> CallObserver:
        """Return the counter of the method's calls."""
        return self._calls.of(service, method, transport)

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
