"""The rules for runs and their steps: starting, finishing, losing and resuming."""

from __future__ import annotations

from msgspec.structs import replace

from tallymark_server.domain.capacity import MAX_PROBLEMS_SIZE, check_run, size_of
from tallymark_server.domain.commands import (
    FinishRun,
    FinishStep,
    LoseRun,
    ReportProblems,
    ResumeRun,
    Started,
    StartRun,
    StartStep,
)
from tallymark_server.domain.errors import RunFinished, RunNotFound, StepFinished, StepNotFound
from tallymark_server.domain.event_recorder import EventRecorder
from tallymark_server.domain.events import Kind
from tallymark_server.domain.model import RecordingProblem, Run, RunState, RunStep
from tallymark_server.domain.state import State
from tallymark_server.domain.versions import ensure

# A lost run can still be finished, since it may only have lost its connection.
UNFINISHED = frozenset({RunState.RUNNING, RunState.LOST})
MAX_PROBLEMS = 100
MAX_COUNT = 2**63 - 1
# Further problems are counted under this subject once a run has as many different ones as it keeps.
MORE = ("more", "other problems")


def start_run(state: State, command: StartRun, recorder: EventRecorder) -> Started:
    """Start a run, or join the running one. Return it, and the version of its config."""
    run = state.runs[command.run]
    version = None
    if command.config is not None:
        version = ensure(state, command.config, recorder, run=command.run).version
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
        command=command.command,
        parameters=command.parameters,
        heartbeat_timeout=command.heartbeat_timeout,
        creator=recorder.actor,
        create_time=recorder.time,
        start_time=command.start_time,
        create_revision=recorder.revision,
        mod_revision=recorder.revision,
    )
    recorder.record(Kind.RUN_STARTED, check_run(run))
    return Started(run, created=True, version=version)


def finish_run(state: State, command: FinishRun, recorder: EventRecorder) -> Run:
    """Finish the run, also a lost one. A failed run keeps its versions. Raises RunNotFound or RunFinished."""
    run = _run(state, command.run)
    if run.state is command.state:
        return run
    if run.state not in UNFINISHED:
        raise RunFinished(state.project, command.run, run.state.value)
    end = _end(run, command.end_time, recorder)
    run = replace(run, state=command.state, error=command.error, end_time=end, mod_revision=recorder.revision)
    return _write_state(state, Kind.RUN_FINISHED, run, recorder)


def lose_run(state: State, command: LoseRun, recorder: EventRecorder) -> Run:
    """Record a running run as lost; a run in any other state stays as it is. Raises RunNotFound.

    It ends at its last sign of life, which may be a change of a version that it made: what a program records, such as
    its metrics, may come after its last heartbeat.
    """
    run = _run(state, command.run)
    if run.state is not RunState.RUNNING:
        return run
    made = [state.versions[place] for place in state.made[run.id]]
    end = _end(run, max(command.last_seen, *(each.update_time for each in made if each is not None), 0), recorder)
    run = replace(run, state=RunState.LOST, end_time=end, mod_revision=recorder.revision)
    return _write_state(state, Kind.RUN_LOST, run, recorder)


def resume_run(state: State, command: ResumeRun, recorder: EventRecorder) -> Run:
    """Resume a lost run; a run in any other state stays as it is. Raises RunNotFound."""
    run = _run(state, command.run)
    if run.state is not RunState.LOST:
        return run
    run = replace(run, state=RunState.RUNNING, end_time=None, mod_revision=recorder.revision)
    return _write_state(state, Kind.RUN_RESUMED, run, recorder)


def report_problems(state: State, command: ReportProblems, recorder: EventRecorder) -> Run:
    """Add recording problems to the run, finished or not, and their counts to known ones. Raises RunNotFound."""
    run = _run(state, command.run)
    counts = {(known.subject, known.problem): known.count for known in run.recording_problems}
    size = size_of(text for key in counts for text in key)
    for reported in command.problems:
        key = (reported.subject, reported.problem)
        if key not in counts:
            if len(counts.keys() - {MORE}) >= MAX_PROBLEMS or size + size_of(key) > MAX_PROBLEMS_SIZE:
                key = MORE
            else:
                size += size_of(key)
        counts[key] = min(counts.get(key, 0) + reported.count, MAX_COUNT)
    problems = tuple(RecordingProblem(*key, count) for key, count in counts.items())
    run = replace(run, recording_problems=problems, mod_revision=recorder.revision)
    recorder.record(Kind.RECORDING_PROBLEMS_REPORTED, run)
    return run


def start_step(state: State, command: StartStep, recorder: EventRecorder) -> RunStep:
    """Start a step of a run, or return the one that is started already."""
    step = state.steps[(command.run, command.step)]
    _run(state, command.run)
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
        create_time=recorder.time,
        start_time=command.start_time,
        create_revision=recorder.revision,
        mod_revision=recorder.revision,
    )
    recorder.record(Kind.STEP_STARTED, step)
    return step


def finish_step(state: State, command: FinishStep, recorder: EventRecorder) -> RunStep:
    """Finish a step of a run. Return the step."""
    step = state.steps[(command.run, command.step)]
    if step is None:
        raise StepNotFound(state.project, command.run, command.step)
    if step.state is command.state:
        return step
    if step.state is not RunState.RUNNING:
        raise StepFinished(state.project, step.run, step.id, step.state.value)
    end = _end(step, command.end_time, recorder)
    step = replace(step, state=command.state, error=command.error, end_time=end, mod_revision=recorder.revision)
    recorder.record(Kind.STEP_FINISHED, step)
    return step


def _run(state: State, run_id: str) -> Run:
    run = state.runs[run_id]
    if run is None:
        raise RunNotFound(state.project, run_id)
    return run


def _end(begun: Run | RunStep, given: int | None, recorder: EventRecorder) -> int:
    """Return the end time by the program's clock, which may be wrong, but not before the start."""
    start = begun.create_time if begun.start_time is None else begun.start_time
    return max(start, recorder.time if given is None else given)


def _write_state(state: State, kind: Kind, run: Run, recorder: EventRecorder) -> Run:
    """Record the run, and then every version that it created, which has its state too."""
    recorder.record(kind, run)
    for place in sorted(state.made[run.id]):
        version = state.versions[place]
        if version is not None:
            recorder.record(Kind.VERSION_RUN_STATE_CHANGED, recorder.changed(version, run_state=run.state))
    return run
