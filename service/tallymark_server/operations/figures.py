"""The figures that are read at the time of a scrape, rather than counted while the service works."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import Gauge

from tallymark_server.availability import Availability
from tallymark_server.domain.errors import RegistryError
from tallymark_server.operations.metrics import Metrics
from tallymark_server.registry import Registry

# Callers create projects, so that figures for each must have an end: these are the first by name.
MAX_PROJECTS = 100


class Figures:
    """Reads the figures of one service when they are requested.

    `waiting` returns how many commands wait, of at most `capacity`; `sizes` the bytes of each file of the storage.
    """

    def __init__(
        self,
        metrics: Metrics,
        registry: Registry,
        availability: Availability,
        waiting: Callable[[], int],
        capacity: int,
        sizes: Callable[[], Mapping[str, int]],
    ) -> None:
        self._positions = metrics.positions
        self._registry = registry
        self._availability = availability
        self._waiting = waiting
        self._sizes_now = sizes
        own = metrics.registry
        Gauge("tallymark_queue_capacity_commands", "How many commands may wait.", registry=own).set(capacity)
        self._queue = Gauge("tallymark_queue_commands", "Commands that wait to be decided.", registry=own)
        self._available = Gauge("tallymark_storage_available", "1 while the storage takes changes.", registry=own)
        self._revisions = Gauge("tallymark_log_revision", "The newest revision of a log.", ["project"], registry=own)
        self._watchers = Gauge("tallymark_watchers", "Calls that follow a log.", registry=own)
        self._lag = Gauge(
            "tallymark_watcher_lag_revisions", "How many revisions the slowest watcher is behind.", registry=own
        )
        self._sizes = Gauge("tallymark_sqlite_file_bytes", "The sizes of the SQLite files.", ["file"], registry=own)

    async def read(self) -> None:
        """Bring the figures up to date."""
        self._queue.set(self._waiting())
        self._available.set(not self._availability.problem)
        for name, size in self._sizes_now().items():
            self._sizes.labels(name).set(size)
        places = {project: [each.revision for each in found] for project, found in self._positions.items()}
        self._watchers.set(sum(map(len, places.values())))
        self._revisions.clear()
        try:
            projects, _ = await self._registry.projects(MAX_PROJECTS, "")
            for project in projects:
                self._revisions.labels(project.name).set(await self._registry.newest_revision(project.name))
            self._lag.set(max([await self._behind(*each) for each in places.items()], default=0))
        except RegistryError:
            # The other figures matter most while the storage cannot be read.
            self._lag.set(0)

    async def _behind(self, project: str, places: list[int | None]) -> int:
        newest = await self._registry.newest_revision(project)
        return max(newest - (newest if place is None else place) for place in places)
