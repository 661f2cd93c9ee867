"""Events as the log keeps them: their rows and what is read from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tallymark_server.domain.errors import DataDamaged
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Model, Project, Resource, Stage
from tallymark_server.storage.codec import (
    decode_artifact,
    decode_erasure,
    decode_metric_change,
    decode_model,
    decode_project,
    decode_run,
    decode_step,
    decode_use,
    decode_version,
)

# Which column of an event is the image, in the order in which `event_of` takes them.
IMAGE = 10
_OF_A_RUN: dict[Kind, Callable[[str, str | None], Resource]] = {
    Kind.RUN_STARTED: decode_run,
    Kind.RUN_FINISHED: decode_run,
    Kind.RUN_LOST: decode_run,
    Kind.RUN_RESUMED: decode_run,
    Kind.RECORDING_PROBLEMS_REPORTED: decode_run,
    Kind.STEP_STARTED: decode_step,
    Kind.STEP_FINISHED: decode_step,
    Kind.ERASED: decode_erasure,
}
_OF_A_VERSION: dict[Kind, Callable[[str, str], Resource]] = {
    Kind.VERSION_USED: decode_use,
    Kind.METRICS_LOGGED: decode_metric_change,
    Kind.ARTIFACT_LINKED: decode_artifact,
    Kind.ARTIFACT_UNLINKED: decode_artifact,
}
_OF_A_PROJECT: dict[Kind, Callable[[str], Resource]] = {Kind.PROJECT_CREATED: decode_project}
OF_MODELS = tuple(kind for kind in Kind if kind.startswith("model_"))
# What changes a run after its start, in the order of the index `changes_of_runs`.
RUN_CHANGES = (Kind.RUN_FINISHED, Kind.RUN_LOST, Kind.RUN_RESUMED, Kind.RECORDING_PROBLEMS_REPORTED)
# Events whose image is not that of their version.
BESIDE_VERSIONS = (*OF_MODELS, *_OF_A_RUN, *_OF_A_VERSION, *_OF_A_PROJECT)
# There are as many events of these kinds as changes; an index by kind finds all others.
COMMON = frozenset({Kind.VERSION_CREATED, Kind.METADATA_LOGGED, Kind.METRICS_LOGGED})


def row_of(event: Event, model: int, number: int, image: str) -> tuple[object, ...]:
    """Return the event's row with the fields of `chain.Row`, without its proof."""
    return (
        event.revision,
        event.kind,
        event.time,
        event.actor,
        event.reason,
        model,
        number,
        event.previous_stage,
        event.alias,
        event.previous_number,
        event.previous_name,
        image,
    )


def subject_numbers(image: Resource) -> tuple[int, int]:
    """Return the model and the number that the row of an event with this image has; a model's is its last number."""
    match image:
        case Model():
            return image.id, image.last_number
        case Project():
            return 0, 0
        case _:
            return image.model_id, image.number


def event_of(row: Sequence[Any]) -> Event:
    """Return the event of these columns: see `sql/event_columns.py`. Raise DataDamaged."""
    revision, kind, time, actor, reason, previous_stage, alias, previous_number, previous_name = row[:9]
    number, image, model, erased_at = row[9:]
    try:
        kind = Kind(kind)
        stage = Stage(previous_stage) if previous_stage else None
    except ValueError as error:
        raise DataDamaged(f"revision {revision:,} is not what was recorded: {error}", revision) from None
    return Event(
        revision=revision,
        kind=kind,
        time=time,
        actor=actor,
        image=_image_of(kind, number, image, model),
        reason=reason,
        previous_stage=stage,
        alias=alias,
        previous_number=previous_number,
        previous_name=previous_name,
        erased_at=erased_at,
    )


def _image_of(kind: Kind, number: int, image: str, model: str | None) -> Resource:
    if kind in OF_MODELS:
        return decode_model(image, number)
    if kind in _OF_A_RUN:
        return _OF_A_RUN[kind](image, model)
    if kind in _OF_A_PROJECT:
        return _OF_A_PROJECT[kind](image)
    return _OF_A_VERSION.get(kind, decode_version)(image, model or "")
