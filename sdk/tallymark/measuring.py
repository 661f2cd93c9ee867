"""Points of metrics, gathered so that a training that measures every batch does not ask the registry every batch.

What is gathered is sent when there are many points, when the first of them has waited for a second as another comes,
before the version is read, and when the step, the run or the program ends. Measuring is never worth a training: points
that could not be sent wait for the next time, and are told in a warning when there is none.
"""

from __future__ import annotations

import atexit
import os
import threading
import time

from tallymark.errors import TallymarkError
from tallymark.resources import MetricPoint
from tallymark.settings import Settings
from tallymark.warning import warn

MANY = 1000
LONGEST_WAIT = 1.0
# More are not kept while the registry is away.
MOST = 100_000


class _Gathered:
    """Points of one version that have not been sent."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.points: list[MetricPoint] = []
        self.since = 0.0
        self.lost = 0

    def add(self, point: MetricPoint) -> bool:
        """Take a point; whether it is time to send."""
        now = time.monotonic()
        if not self.points:
            self.since = now
        if len(self.points) >= MOST:
            self.lost += 1
            return False
        self.points.append(point)
        return len(self.points) >= MANY or now - self.since >= LONGEST_WAIT


_gathered: dict[tuple[Settings, str], _Gathered] = {}
_process = os.getpid()


def log_metric(settings: Settings, version: str, point: MetricPoint) -> None:
    """Take a point of a metric of the version, by its resource name."""
    _forget_parents()
    key = (settings, version)
    if _gathered.setdefault(key, _Gathered()).add(point):
        _send(key, last=False)


def flush(settings: Settings, version: str) -> None:
    """Send what is gathered of the version; what cannot be sent waits."""
    _send((settings, version), last=False)


def flush_all(settings: Settings | None = None) -> None:
    """Send what is gathered, for one registry or for all; what cannot be sent is told."""
    for key in list(_gathered):
        if settings in (None, key[0]):
            _send(key, last=True)


def _send(key: tuple[Settings, str], *, last: bool) -> None:
    _forget_parents()
    gathered = _gathered.get(key)
    if gathered is None:
        return
    from tallymark.client import shared

    settings, version = key
    with gathered.lock:
        points = gathered.points
        gathered.points = []
        try:
            if points:
                shared(settings).log_metrics(version, points)
        except TallymarkError as problem:
            if not last:
                gathered.points = points + gathered.points
                gathered.since = time.monotonic()
                return
            gathered.lost += len(points)
            _tell(gathered, version, problem)
        if gathered.lost and last:
            _tell(gathered, version, None)


def _tell(gathered: _Gathered, version: str, problem: TallymarkError | None) -> None:
    why = f": {problem}" if problem else ""
    warn(f"{gathered.lost} points of metrics of {version} are lost{why}")
    gathered.lost = 0


def _forget_parents() -> None:
    """After a fork, the parent sends what it has gathered; the child sends its own."""
    global _process  # noqa: PLW0603 - one for each process
    if _process != os.getpid():
        _process = os.getpid()
        _gathered.clear()


atexit.register(flush_all)
