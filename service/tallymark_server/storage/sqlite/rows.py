"""Rows to things."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Model, ModelVersion, Run, Stage
from tallymark_server.storage.codec import decode_model, decode_run, decode_version

# What `event_of` reads.
EVENT = """
    events.revision, events.kind, events.time, events.actor, events.reason, events.previous_stage, events.alias,
    events.previous_number, events.previous_name, events.number, events.image, models.name
"""


def event_of(row: Sequence[Any]) -> Event:
    """The event whose columns these are."""
    revision, kind, time, actor, reason, previous_stage, alias, previous_number, previous_name, number, image, model = (
        row
    )
    kind = Kind(kind)
    return Event(
        revision=revision,
        kind=kind,
        time=time,
        actor=actor,
        image=_image_of(kind, number, image, model),
        reason=reason,
        previous_stage=Stage(previous_stage) if previous_stage else None,
        alias=alias,
        previous_number=previous_number,
        previous_name=previous_name,
    )


def _image_of(kind: Kind, number: int, image: str, model: str | None) -> Model | ModelVersion | Run:
    if kind.startswith("model_"):
        return decode_model(image, number)
    if kind.startswith("run_"):
        return decode_run(image, model)
    return decode_version(image, model or "")
