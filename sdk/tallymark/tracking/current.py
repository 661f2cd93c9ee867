"""The run and the model to which the code that runs now belongs."""

from __future__ import annotations

from collections.abc import Mapping

from tallymark.errors import NoCurrentModel, NoCurrentRun
from tallymark.settings import current
from tallymark.tracking.context import context_frame
from tallymark.tracking.model import Model, as_model, frame_or_join


def current_model() -> Model:
    """Return the model in force here: the step's, else the run's. Raises NoCurrentModel, AmbiguousRun."""
    frame = frame_or_join()
    if frame is None or frame.model is None:
        raise NoCurrentModel(
            "no model is in force here; give one to @step(model=...), @pipeline(model=...) or tallymark.run(model=...);"
            ' outside runs, use a model itself, as in Model("churn").log_metadata(...)'
        )
    return as_model(frame.model)


def current_run() -> str:
    """Return the id of the run to which this code belongs. Raises NoCurrentRun, AmbiguousRun."""
    frame = frame_or_join()
    if frame is None:
        raise NoCurrentRun("this code runs in no step, pipeline or tallymark.run()")
    return frame.run.id


def log_metric(key: str, value: float, *, step: int | None = None) -> None:
    """Log a metric of the version in force here, once or at a step. Raises NoCurrentModel."""
    model = _recorded_model()
    if model is not None:
        model.log_metric(key, value, step=step)


def log_metrics(metrics: Mapping[str, float], *, step: int | None = None) -> None:
    """Log several metrics of the version in force here, measured together. Raises NoCurrentModel."""
    model = _recorded_model()
    if model is not None:
        model.log_metrics(metrics, step=step)


def log_metadata(metadata: Mapping[str, object]) -> None:
    """Set metadata of the version in force here, by key. Raises NoCurrentModel."""
    model = _recorded_model()
    if model is not None:
        model.log_metadata(metadata)


def _recorded_model() -> Model | None:
    """Return the model in force here, None if nothing is recorded."""
    frame = context_frame()
    # Training loops log in every turn, and the settings of a run are at hand, unlike those of the process.
    if frame is not None and frame.model is not None:
        return None if frame.run.settings.disabled else as_model(frame.model)
    return None if current().disabled else current_model()
