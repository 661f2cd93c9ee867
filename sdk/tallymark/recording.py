"""What runs ask of the registry: starting, joining and finishing them, with the versions that their models mean."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from tallymark import calls, measuring
from tallymark.client import Client, shared
from tallymark.context import ActiveRun, Frame, new_run_id, open_runs, outer_run_id, outer_substitutions, start_of
from tallymark.errors import RunFinished, RunNotFound, TallymarkError
from tallymark.model import Model
from tallymark.recordable import add_losses
from tallymark.resolution import Resolution, model_of
from tallymark.resources import ModelVersion
from tallymark.settings import Settings, current
from tallymark.surroundings import surroundings
from tallymark.values import RunState
from tallymark.warning import warn


def version_in(frame: Frame, model: Model) -> tuple[Client, ModelVersion]:
    """Return the version that the model means in the frame's run, and the client of its registry."""
    resolution = Resolution.in_frame(model, frame)
    return resolution.client, resolution.ensure().version


def known_in(frame: Frame) -> ModelVersion | None:
    """Return the version in force in the frame, if it was found already."""
    return None if frame.model is None else Resolution.in_frame(frame.model, frame).known()


def start_run(
    name: str,
    model: Model | None,
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
    if run_id:
        _check_goes_on(run_id, settings)
    if run_id or outer:
        known = {**(outer_substitutions() if run_id in ("", outer) else {}), **substitutions}
        return _start_named_run(run_id or outer, name, model, settings, known, parameters)
    start = datetime.now(UTC)
    run = ActiveRun(new_run_id(start), settings, start, dict(substitutions), owned=True)
    add_losses(run.problems, "parameter", getattr(parameters, "losses", ()))
    resolution = None if model is None else Resolution(model, settings, run)
    told = {"pipeline": name, **surroundings(), "parameters": parameters}
    config = None if resolution is None else resolution.config()
    started = shared(settings).run_call(calls.start_run(settings.project, run.id, told, config))
    if resolution is not None and started.version is not None:
        resolution.keep(started.version)
    return Frame(run, model, "")


def _check_goes_on(run_id: str, settings: Settings) -> None:
    """Raise RunFinished if the run of that id is over: what is recorded in it would be refused, or lost."""
    with suppress(RunNotFound):
        run = shared(settings).get_run(run_id)
        if run.state in (RunState.SUCCEEDED, RunState.FAILED):
            raise RunFinished(f"run {run_id} has {run.state.value} already; start another, with an id of its own")


def _start_named_run(
    run_id: str,
    name: str,
    model: Model | None,
    settings: Settings,
    substitutions: Mapping[str, str],
    parameters: Mapping[str, object],
) -> Frame:
    run = ActiveRun(run_id, settings, start_of(run_id, datetime.now(UTC)), dict(substitutions), owned=False)
    add_losses(run.problems, "parameter", getattr(parameters, "losses", ()))
    # Every process that joins fills in templates by the time at which the registry has the run started, so the run must
    # be there before its version is asked for.
    templated = model is not None and "{" in model.name + (model.version or "")
    config = Resolution(model, settings, run).config() if model is not None and not templated else None
    told = {"pipeline": name, **surroundings(), "parameters": parameters}
    started = shared(settings).run_call(calls.start_run(settings.project, run_id, told, config))
    # The process that started a lost run is gone, so whoever goes on with it ends it.
    run.owned = started.created or started.run.state.value == "lost"
    run.start = start_of(run_id, started.run.create_time)
    if model is not None:
        Resolution(model, settings, run).ensure()
    return Frame(run, model or model_of(started.version), "")


def join_run(outer: Frame, model: Model | None, substitutions: Mapping[str, str], step: str = "") -> Frame:
    """Return the frame of a pipeline or step within a run; its own model, if any, replaces the outer one."""
    if model is None:
        return outer._replace(step=step)
    frame = Frame(outer.run, model, step, substitutions)
    Resolution.in_frame(model, frame).ensure()
    return frame


def finish_run(run: ActiveRun, error: BaseException | None) -> None:
    """Record the outcome. A failure to record it is a warning, and changes neither result nor error of the run."""
    state = RunState.SUCCEEDED if error is None else RunState.FAILED
    try:
        shared(run.settings).finish_run(run.id, state, error="" if error is None else run.describe(error))
    except TallymarkError as problem:
        message = f"the outcome of {run!r} ({state.value}) could not be recorded: {problem}"
        if error is not None:
            error.add_note(message)
        else:
            warn(message)


def end_open_runs() -> None:
    """Record that the runs of this process, and the steps that go on in them, were ended by SIGTERM."""
    from tallymark import stepping
    from tallymark.termination import SIGTERM

    error = SIGTERM()
    for run in list(open_runs):
        measuring.flush_all(run.settings)
        for step in list(run.open_steps):
            stepping.finish_step(run, step, error)
        finish_run(run, error)
