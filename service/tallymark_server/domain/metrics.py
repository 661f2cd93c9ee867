"""The rules for logging metadata and the points of metrics to a version."""

from __future__ import annotations

from msgspec.structs import replace

from tallymark_server.domain.capacity import check_version
from tallymark_server.domain.commands import LogMetadata
from tallymark_server.domain.event_recorder import EventRecorder
from tallymark_server.domain.events import Kind
from tallymark_server.domain.metadata import merged, same
from tallymark_server.domain.model import MetricChange, ModelVersion, Point, Value
from tallymark_server.domain.state import State


def log_metadata(state: State, command: LogMetadata, recorder: EventRecorder) -> ModelVersion:
    """Update the metadata of a version, remove keys, and record its points. Return the version."""
    version = state.version(command.model, command.reference)
    # A series ends when its key is removed, and when the key is set to another value than a point of it.
    ended = sorted(version.series.keys() & (command.delete_keys | command.metadata.keys()))
    series = {key: step for key, step in version.series.items() if key not in ended}
    kept = {key: value for key, value in version.metadata.items() if key not in command.delete_keys}
    points = _newest(command.points)
    values, steps = _at_highest_step(points, series)
    metadata, series = merged(kept, {**command.metadata, **values}), {**series, **steps}
    if not points and series == version.series and same(metadata, version.metadata):
        return version
    check_version(replace(version, metadata=metadata), version)
    if points or ended:
        _write_points(version, points, ended, recorder)
    image = recorder.changed(version, metadata=metadata, series=series)
    recorder.record(Kind.METADATA_LOGGED, image)
    return image


def _newest(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """Return the points by metric and step; of several at one step, the last."""
    by_step = {(point.key, point.step): point for point in points}
    return tuple(by_step[place] for place in sorted(by_step))


def _at_highest_step(points: tuple[Point, ...], series: dict[str, int]) -> tuple[dict[str, Value], dict[str, int]]:
    """Return the value and the step of each metric whose highest step is among the points."""
    highest = {point.key: point for point in points if point.step >= series.get(point.key, 0)}
    return {key: point.value for key, point in highest.items()}, {key: point.step for key, point in highest.items()}


def _write_points(version: ModelVersion, points: tuple[Point, ...], ended: list[str], recorder: EventRecorder) -> None:
    change = MetricChange(
        model_id=version.model_id,
        model=version.model,
        number=version.number,
        points=tuple(point if point.time else replace(point, time=recorder.time) for point in points),
        deleted_keys=tuple(ended),
        mod_revision=recorder.revision,
    )
    recorder.record(Kind.METRICS_LOGGED, change)
