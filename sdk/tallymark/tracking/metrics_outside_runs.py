"""Metric points that are logged outside runs: written to a journal of the process, and sent by a background thread."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from tallymark.settings import Settings
from tallymark.tracking.context import ActiveRun
from tallymark.tracking.recorder import recorder_of
from tallymark.types.resources import MetricPoint

_outside: dict[Settings, ActiveRun] = {}


def log_metric(settings: Settings, version: str, point: MetricPoint) -> None:
    """Record a metric point of the version with this resource name."""
    run = _outside.get(settings)
    if run is None:
        run = _outside.setdefault(settings, ActiveRun("", settings, datetime.now(UTC), {}, owned=False))
    recorder_of(run).log_point_to(version, point)


def _after_fork_in_child() -> None:
    _outside.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
