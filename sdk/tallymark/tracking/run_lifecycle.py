"""Starting, joining and finishing runs, with the versions that their models mean."""

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
    """Start a run of the pipeline of that name, or join the run of `run_id` or that the environment names.

    The version that the pipeline's model means is found or created in the same step, so that a run that could not be
    numbered fails before any training.
    """
    settings = current()
    outer = outer_run_id()
    if run_id or outer:
        known = {**(outer_substitutions() if run_id in ("", outer) else {}), **substitutions}
        return _start_named_run(run_id or outer, name, model, settings, known, parameters)
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
    _begin(run)
    return Frame(run, model, "")


def _check_goes_on(run_id: str, settings: Settings) -> None:
    """Raise RunFinished if the run of that id is over: what is recorded in it would be refused, or lost."""
    with suppress(RunNotFound):
        run = shared(settings).get_run(run_id)
        if run.state in (RunState.SUCCEEDED, RunState.FAILED):
            raise RunFinished(f"run {run_id} has {run.state.value} already; start another, with an id of its own")


def _fields_of(name: str, run: ActiveRun, parameters: Mapping[str, object]) -> dict[str, Any]:
    """Return the fields of the run.

    Also a run that is recorded offline has a time-out for heartbeats: if its journal has no end, it is lost once sent.
    """
    settings = run.settings
    return {
        "pipeline": name,
        **environment_fields(),
        "parameters": parameters,
        "start_time": datetime.now(UTC),
        "heartbeat_timeout": timedelta(seconds=settings.heartbeat_timeout) or None,
    }


def _begin(run: ActiveRun) -> None:
    """Begin what goes on beside a run: its journal, and its heartbeats."""
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
    # Every process that joins fills in templates by the time at which the registry has the run started, so the run must
    # be there before its version is asked for.
    templated = model is not None and "{" in model.name + (model.version or "")
    config = Resolution(model, settings, run).config() if model is not None and not templated else None
    fields = _fields_of(name, run, parameters)
    call = calls.start_run(settings.project, run_id, fields, config)
    run.model = model
    takes_over = spool.takes_over(settings, run_id)
    started = _started_or_kept(call, settings, run_id)
    if started is None:
        run.owned = takes_over or (settings.offline and not spool.is_recording(settings, run_id))
        recorder_of(run).start_run(call, None if model is None or templated else Resolution(model, settings, run))
        heartbeats.start(run)
        return Frame(run, model, "")
    # The process that started a lost run is gone, so whoever goes on with it ends it.
    run.start, run.owned = (
        start_from_id(run_id, started.run.create_time),
        started.created or started.run.state is RunState.LOST or takes_over,
    )
    if model is not None:
        Resolution(model, settings, run).ensure()
    run.model = model or spec_of(started.version)
    _begin(run)
    return Frame(run, run.model, "")


def _started_or_kept(call: Call[Started], settings: Settings, run_id: str) -> Started | None:
    """Start the run, and return what was started; None if it is recorded now, and started later.

    That is so offline, and when the registry is away while the spool has records of the run: it goes on from there.
    """
    if settings.offline:
        return None
    try:
        if run_id != outer_run_id():
            _check_goes_on(run_id, settings)
        return shared(settings).run_call(call)
    except Unavailable as error:
        if not spool.journals_of(settings, run_id):
            raise
        note_outage(settings, error)
        return None


def join_run(outer: Frame, model: ModelSpec | None, substitutions: Mapping[str, str], step: str = "") -> Frame:
    """Return the frame of a pipeline or step within a run; its own model, if any, replaces the outer one."""
    if model is None:
        return outer._replace(step=step)
    frame = Frame(outer.run, model, step, substitutions)
    with suppress(Unavailable):  # the run goes on, and the version is numbered when the registry is back
        Resolution.in_frame(model, frame).ensure()
    return frame


def finish_run(run: ActiveRun, error: BaseException | None) -> None:
    """Record the outcome of a run that this process has started."""
    heartbeats.stop(run)
    state = RunState.SUCCEEDED if error is None else RunState.FAILED
    text = "" if error is None else run.describe(error)
    recorder_of(run).finish_run(state, text)


def end_open_runs() -> None:
    """Record that the runs of this process, and the steps that go on in them, were ended by SIGTERM."""
    from tallymark.runtime.termination import SIGTERM
    from tallymark.tracking import steps

    error = SIGTERM()
    for run in list(open_runs):
        for step in list(run.open_steps):
            steps.finish_step(run, step, error)
        finish_run(run, error)
    for run in list(open_runs):
        recorder_of(run).end()
