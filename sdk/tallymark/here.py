"""What the code that asks belongs to: the run and the model in force here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tallymark.context import Frame, current_frame
from tallymark.errors import AmbiguousRun, NoCurrentModel, NoCurrentRun
from tallymark.settings import current

if TYPE_CHECKING:
    from tallymark.model import Model


def current_model() -> Model:
    """The model in force here: the step's, else the pipeline's; NoCurrentModel, AmbiguousRun."""
    frame = current_frame(_joined)
    if frame is None or frame.model is None:
        raise NoCurrentModel("no model is in force here; give one to @step(model=...) or @pipeline(model=...)")
    return frame.model


def current_run() -> str:
    """The id of the run to which this code belongs; NoCurrentRun, AmbiguousRun."""
    frame = current_frame(_joined)
    if frame is None:
        raise NoCurrentRun("this code runs in no step or pipeline")
    return frame.run.id


def current_frame_or_none() -> Frame | None:
    """What this code belongs to; None outside a run, or when that cannot be told."""
    try:
        return current_frame(_joined)
    except AmbiguousRun:
        return None


def log_metric(key: str, value: float, *, step: int | None = None) -> None:
    """Log a metric of the version in force here, once or at a step; NoCurrentModel where no model is in force."""
    if not current().disabled:
        current_model().log_metric(key, value, step=step)


def log_metadata(metadata: Mapping[str, object]) -> None:
    """Set metadata of the version in force here, by key; NoCurrentModel outside a step or pipeline with a model."""
    if not current().disabled:
        current_model().log_metadata(metadata)


def _joined(run_id: str) -> Frame:
    from tallymark.recording import joined_frame

    return joined_frame(run_id)
