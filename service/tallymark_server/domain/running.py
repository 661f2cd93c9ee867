"""How runs and their steps begin and end."""

from __future__ import annotations

from msgspec.structs import replace

from tallymark_server.domain.commands import FinishRun, FinishStep, Started, StartRun, StartStep
from tallymark_server.domain.errors import RunFinished, RunNotFound, StepFinished, StepNotFound
from tallymark_server.domain.events import Kind
from tallymark_server.domain.model import Run, RunState, RunStep
from tallymark_server.domain.numbering import ensure
from tallymark_server.domain.scribe import Scribe
from tallymark_server.domain.state import State


def start_run(state: State, command: StartRun, scribe: Scribe) -> Started:
    """The run, started now or before, and the version that its config means in it."""
    run = state.runs[command.run]
    version = None
    if command.config is not None:
        version = ensure(state, command.config, scribe, run=command.run).version
    if run is not None:
        if version is None and run.model is not None:
            version = state.versions.get((run.model, run.number))
        return Started(run, created=False, version=version)
    run = Run(
        id=command.run,
        pipeline=command.pipeline,
        model_id=version.model_id if version else 0,
        model=version.model if version else None,
        number=version.number if version else 0,
        host=command.host,
        user=command.user,
        commit=command.commit,
        url=command.url,
        parameters=command.parameters,
        creator=scribe.actor,
        create_time=scribe.time,
        create_revision=scribe.revision,
        mod_revision=scribe.revision,
    )
    scribe.write(Kind.RUN_STARTED, run)
    return Started(run, created=True, version=version)


def finish_run(state: State, command: FinishRun, scribe: Scribe) -> Run:
    """The run with its outcome. A failed run keeps its versions."""
    run = state.runs[command.run]
    if run is None:
        raise RunNotFound(state.project, command.run)
    if run.state is command.state:
        return run
    if run.state is not RunState.RUNNING:
        raise RunFinished(state.project, command.run, run.state.value)
    run = replace(run, state=command.state, error=command.error, end_time=scribe.time, mod_revision=scribe.revision)
    scribe.write(Kind.RUN_FINISHED, run)
    return run


def start_step(state: State, command: StartStep, scribe: Scribe) -> RunStep:
    """The step, started now or before."""
    run, step = state.runs[command.run], state.steps[(command.run, command.step)]
    if run is None:
        raise RunNotFound(state.project, command.run)
    if step is not None:
        return step
    version = None if command.version is None else state.version(*command.version)
    step = RunStep(
        run=command.run,
        id=command.step,
        name=command.name,
        model_id=version.model_id if version else 0,
        model=version.model if version else None,
        number=version.number if version else 0,
        parameters=command.parameters,
        create_time=scribe.time,
        create_revision=scribe.revision,
        mod_revision=scribe.revision,
    )
    scribe.write(Kind.STEP_STARTED, step)
    return step


def finish_step(state: State, command: FinishStep, scribe: Scribe) -> RunStep:
    """The step with its outcome."""
    step = state.steps[(command.run, command.step)]
    if step is None:
        raise StepNotFound(state.project, command.run, command.step)
    if step.state is command.state:
        return step
    if step.state is not RunState.RUNNING:
        raise StepFinished(state.project, step.run, step.id, step.state.value)
    step = replace(step, state=command.state, error=command.error, end_time=scribe.time, mod_revision=scribe.revision)
    scribe.write(Kind.STEP_FINISHED, step)
    return step
