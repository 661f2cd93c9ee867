"""The run and the model of the code that runs now."""

from __future__ import annotations

from collections.abc import Mapping

from tallymark.errors import NoCurrentModel, NoCurrentRun
from tallymark.settings import current
from tallymark.tracking.context import context_frame
from tallymark.tracking.model import Model, as_model, frame_or_join


def current_model() -> Model:
    """Return the model in force: that of the current step, or else of the current run.

    Returns:
        The model.

    Raises:
        NoCurrentModel: This code runs outside runs, or its run has no model.
        AmbiguousRun: Several runs are open, and this thread belongs to none of them.
    """
    frame = frame_or_join()
    if frame is None or frame.model is None:
        raise NoCurrentModel(
            "no model is in force here; pass one to @step(model=...), @pipeline(model=...) or tallymark.run(model=...);"
            ' outside runs, use a model itself, as in Model("churn").log_metadata(...)'
        )
    return as_model(frame.model)


def current_run() -> str:
    """Return the id of the current run.

    Returns:
        The run id.

    Raises:
        NoCurrentRun: This code runs outside runs.
        AmbiguousRun: Several runs are open, and this thread belongs to none of them.
    """
    frame = frame_or_join()
    if frame is None:
        raise NoCurrentRun("this code runs in no step, pipeline or tallymark.run(); call it within one")
    return frame.run.id


def log_metric(key: str, value: float, *, step: int | None = None) -> None:
    """Log a value of a metric in the version of the model in force, as `Model.log_metric` does.

    Args:
        key: The metric's name.
        value: The value, a number of any library.
        step: The step at which it was measured, such as an epoch or a batch; None for a value without steps.

    Raises:
        NoCurrentModel, AmbiguousRun: As `current_model` does.
    """
    model = _recorded_model()
    if model is not None:
        model.log_metric(key, value, step=step)


def log_metrics(metrics: Mapping[str, float], *, step: int | None = None) -> None:
    """Log values of several metrics in the version of the model in force, as `Model.log_metrics` does.

    Args:
        metrics: The values by name.
        step: The step at which they were measured; None for values without steps.

    Raises:
        NoCurrentModel, AmbiguousRun: As `current_model` does.
    """
    model = _recorded_model()
    if model is not None:
        model.log_metrics(metrics, step=step)


def log_metadata(metadata: Mapping[str, object]) -> None:
    """Set metadata of the version of the model in force, as `Model.log_metadata` does.

    Args:
        metadata: Values by key.

    Raises:
        NoCurrentModel, AmbiguousRun: As `current_model` does.
    """
    model = _recorded_model()
    if model is not None:
        model.log_metadata(metadata)


def _recorded_model() -> Model | None:
    """Return the model in force, None if nothing is recorded."""
    frame = context_frame()
    # A fast path for training loops: the settings of a run need no look-up, unlike those of the process.
    if frame is not None and frame.model is not None:
        return None if frame.run.settings.disabled else as_model(frame.model)
    return None if current().disabled else current_model()
