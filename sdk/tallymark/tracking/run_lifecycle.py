"""Start, join and finish runs, and resolve the versions of their models."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from tallymark.client import calls
from tallymark.client.blocking import shared
from tallymark.client.calls import Call
from tallymark.conversion.recordable import add_losses
from tallymark.delivery import spool
from tallymark.delivery.sender import note_outage
from tallymark.errors import RunFinished, RunNotFound, Unavailable
from tallymark.settings import Settings, current
from tallymark.tracking import heartbeats
from tallymark.tracking.context import (
    ActiveRun,
    Frame,
    new_run_id,
    open_runs,
    outer_run_id,
    outer_substitutions,
    start_from_id,
)
from tallymark.tracking.environment import environment_fields
from tallymark.tracking.model_spec import ModelSpec
from tallymark.tracking.recorder import recorder_of
from tallymark.tracking.resolution import Resolution, spec_of
from tallymark.types.enums import RunState
from tallymark.types.resources import Started


def start_run(
    name: str,
    model: ModelSpec | None,
    substitutions: Mapping[str, str],
    parameters: Mapping[str, object],
    run_id: str = "",
) -> Frame:
    """Start a run, or join the run with the id `run_id` or that in the environment.

    The version of the model is found or created in the same request, so that a run whose version cannot be created
    fails before any training.
    """
    settings = current()
    outer = outer_run_id()
    if run_id or outer:
        values = {**(outer_substitutions() if run_id in ("", outer) else {}), **substitutions}
        return _start_named_run(run_id or outer, name, model, settings, values, parameters)
    start = datetime.now(UTC)
    run = ActiveRun(new_run_id(start), settings, start, dict(substitutions), owned=True)
    add_losses(run.problems, "parameter", getattr(parameters, "losses", ()))
    resolution = None if model is None else Resolution(model, settings, run)
    fields = _fields_of(name, run, parameters)
    config = None if resolution is None else resolution.config()
    call = calls.start_run(settings.project, run.id, fields, config)
    run.model = model
    if settings.offline:
        recorder_of(run).start_run(call, resolution)
        return Frame(run, model, "")
    started = shared(settings).run_call(call)
    if resolution is not None and started.version is not None:
        resolution.keep(started.version)
    _start_recording(run)
    return Frame(run, model, "")


def _check_running(run_id: str, settings: Settings) -> None:
    """Raise RunFinished if the run has ended, because its records would be refused."""
    with suppress(RunNotFound):
        run = shared(settings).get_run(run_id)
        if run.state in (RunState.SUCCEEDED, RunState.FAILED):
            raise RunFinished(f"run {run_id} has {run.state.value} already; start another, with an id of its own")


def _fields_of(name: str, run: ActiveRun, parameters: Mapping[str, object]) -> dict[str, Any]:
    """Return the fields of the run.

    An offline run has a heartbeat timeout too, so that it becomes lost if its journal is sent without an end.
    """
    settings = run.settings
    if settings.otel == "on":
        from tallymark.runtime import spans

        parameters = {**parameters, **spans.trace_parameter()}
    return {
        "pipeline": name,
        **environment_fields(),
        "parameters": parameters,
        "start_time": datetime.now(UTC),
        "heartbeat_timeout": timedelta(seconds=settings.heartbeat_timeout) or None,
    }


def _start_recording(run: ActiveRun) -> None:
    """Create the journal of a run, and start its heartbeats."""
    recorder_of(run)
    heartbeats.start(run)


def _start_named_run(
    run_id: str,
    name: str,
    model: ModelSpec | None,
    settings: Settings,
    substitutions: Mapping[str, str],
    parameters: Mapping[str, object],
) -> Frame:
    run = ActiveRun(run_id, settings, start_from_id(run_id, datetime.now(UTC)), dict(substitutions), owned=False)
    add_losses(run.problems, "parameter", getattr(parameters, "losses", ()))
    # All processes of the run fill in templates with the start time in the registry, so the run must be started before
    # its version is resolved.
    templated = model is not None and "{" in model.name + (model.version or "")
    config = Resolution(model, settings, run).config() if model is not None and not templated else None
    fields = _fields_of(name, run, parameters)
    call = calls.start_run(settings.project, run_id, fields, config)
    run.model = model
    takes_over = spool.takes_over(settings, run_id)
    started = _start_or_defer(call, settings, run_id)
    if started is None:
        run.owned = takes_over or (settings.offline and not spool.is_recording(settings, run_id))
        recorder_of(run).start_run(call, None if model is None or templated else Resolution(model, settings, run))
        heartbeats.start(run)
        return Frame(run, model, "")
    # The owner of a lost run is gone, so the process that continues it owns it.
    run.start, run.owned = (
        start_from_id(run_id, started.run.create_time),
        started.created or started.run.state is RunState.LOST or takes_over,
    )
    if model is not None:
        Resolution(model, settings, run).ensure()
    run.model = model or spec_of(started.version)
    _start_recording(run)
    return Frame(run, run.model, "")


def _start_or_defer(call: Call[Started], settings: Settings, run_id: str) -> Started | None:
    """Start the run in the registry; return None if it is recorded in the journal, and started later.

    That is the case offline, and while the registry is unavailable if the spool has records of the run.
    """
    if settings.offline:
        return None
    try:
        if run_id != outer_run_id():
            _check_running(run_id, settings)
        return shared(settings).run_call(call)
    except Unavailable as error:
        if not spool.journals_of(settings, run_id):
            raise
        note_outage(settings, error)
        return None


def join_run(outer: Frame, model: ModelSpec | None, substitutions: Mapping[str, str], step: str = "") -> Frame:
    """Return the frame of a pipeline or step within a run; its own model, if any, replaces that of the run."""
    if model is None:
        return outer._replace(step=step)
    frame = Frame(outer.run, model, step, substitutions)
    with suppress(Unavailable):  # the version gets its number when the registry is available again
        Resolution.in_frame(model, frame).ensure()
    return frame


def finish_run(run: ActiveRun, error: BaseException | None) -> None:
    """Record the outcome of a run that this process has started."""
    heartbeats.stop(run)
    state = RunState.SUCCEEDED if error is None else RunState.FAILED
    text = "" if error is None else run.describe(error)
    recorder_of(run).finish_run(state, text)


def end_open_runs() -> None:
    """Record that SIGTERM has ended the runs of this process and their open steps."""
    from tallymark.runtime.termination import SIGTERM
    from tallymark.tracking import steps

    error = SIGTERM()
    for run in list(open_runs):
        for step in list(run.open_steps):
            steps.finish_step(run, step, error)
        finish_run(run, error)
    for run in list(open_runs):
        recorder_of(run).end()
