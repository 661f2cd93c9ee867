"""Requests about runs and their steps, as commands."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from tallymark.v1 import model_pb2, run_pb2, run_registry_pb2
from tallymark_server.domain import commands as c
from tallymark_server.domain import naming
from tallymark_server.domain.errors import InvalidField
from tallymark_server.domain.model import RecordingProblem, RunState
from tallymark_server.rpc import names
from tallymark_server.rpc.commands.fields import attempt, config, facts, micros

MIN_TIMEOUT, MAX_TIMEOUT = 1_000_000, 30 * 86_400 * 1_000_000
MAX_PROBLEMS = 1000
MAX_PROBLEM = 1000
_OUTCOMES = {model_pb2.RUN_STATE_SUCCEEDED: RunState.SUCCEEDED, model_pb2.RUN_STATE_FAILED: RunState.FAILED}


def start_run(request: run_registry_pb2.StartRunRequest, actor: str) -> c.StartRun:
    """Return the command of a StartRun request. Raises InvalidField and others."""
    project = names.project(request.parent, "parent")
    return c.StartRun(
        **attempt(request, project, actor),
        run=naming.run_id(request.run_id),
        pipeline=naming.prose(request.run.pipeline, "run.pipeline"),
        host=naming.prose(request.run.host, "run.host"),
        user=naming.prose(request.run.user, "run.user"),
        commit=naming.prose(request.run.commit, "run.commit"),
        url=naming.prose(request.run.url, "run.url"),
        command=_cut(request.run.command),
        start_time=micros(request.run.start_time, "run.start_time") if request.run.HasField("start_time") else None,
        heartbeat_timeout=(
            _timeout(request.run.heartbeat_timeout) if request.run.HasField("heartbeat_timeout") else None
        ),
        parameters=facts(request.run.parameters, "run.parameters"),
        config=config(request.config) if request.HasField("config") else None,
    )


def finish_run(request: run_registry_pb2.FinishRunRequest, actor: str) -> c.FinishRun:
    """Return the command of a FinishRun request. Raises InvalidField and others."""
    project, run = names.run(request.name, "name")
    state, error = _outcome(request)
    return c.FinishRun(
        **attempt(request, project, actor), run=run, state=state, error=error, end_time=_end_time(request)
    )


def report_problems(request: run_registry_pb2.ReportRecordingProblemsRequest, actor: str) -> c.ReportProblems:
    """Return the command of a ReportRecordingProblems request. Raises InvalidField."""
    project, run = names.run(request.name, "name")
    if not 1 <= len(request.problems) <= MAX_PROBLEMS:
        raise InvalidField("problems", f"{len(request.problems)} entries", f"name 1 to {MAX_PROBLEMS} problems")
    problems = tuple(_problem(problem) for problem in request.problems)
    return c.ReportProblems(**attempt(request, project, actor), run=run, problems=problems)


def start_step(request: run_registry_pb2.StartStepRequest, actor: str) -> c.StartStep:
    """Return the command of a StartStep request. Raises InvalidField and others."""
    project, run = names.run(request.parent, "parent")
    version = None
    if request.step.model_version:
        owner, model, which = names.version(request.step.model_version, "step.model_version")
        if owner != project:
            raise InvalidField("step.model_version", request.step.model_version, "it belongs to another project")
        version = (model, which)
    return c.StartStep(
        **attempt(request, project, actor),
        run=run,
        step=naming.run_id(request.step_id, "step_id"),
        name=naming.prose(request.step.display_name, "step.display_name"),
        version=version,
        start_time=micros(request.step.start_time, "step.start_time") if request.step.HasField("start_time") else None,
        parameters=facts(request.step.parameters, "step.parameters"),
    )


def finish_step(request: run_registry_pb2.FinishStepRequest, actor: str) -> c.FinishStep:
    """Return the command of a FinishStep request. Raises InvalidField and others."""
    project, run, step = names.step(request.name, "name")
    state, error = _outcome(request)
    return c.FinishStep(
        **attempt(request, project, actor), run=run, step=step, state=state, error=error, end_time=_end_time(request)
    )


def _outcome(request: run_registry_pb2.FinishRunRequest | run_registry_pb2.FinishStepRequest) -> tuple[RunState, str]:
    if request.state not in _OUTCOMES:
        raise InvalidField("state", request.state, "what ran finishes as succeeded or failed")
    return _OUTCOMES[request.state], _cut(request.error)


def _cut(text: str) -> str:
    """Return the text, cut to the length of the field: a longer cause or command must not be refused."""
    return text.encode()[: naming.MAX_TEXT].decode(errors="ignore")


def _end_time(request: run_registry_pb2.FinishRunRequest | run_registry_pb2.FinishStepRequest) -> int | None:
    return micros(request.end_time, "end_time") if request.HasField("end_time") else None


def _timeout(given: Duration) -> int:
    timeout = given.seconds * 1_000_000 + given.nanos // 1000
    if not MIN_TIMEOUT <= timeout <= MAX_TIMEOUT:
        raise InvalidField("run.heartbeat_timeout", f"{given.seconds} s", "it is at least 1 s and at most 30 days")
    return timeout


def _problem(given: run_pb2.RecordingProblem) -> RecordingProblem:
    for field in ("subject", "problem"):
        if not getattr(given, field):
            raise InvalidField(f"problems.{field}", "", "it has 1 to 1,000 characters")
    if given.count < 1:
        raise InvalidField("problems.count", given.count, "it is 1 or more")
    return RecordingProblem(given.subject[:MAX_PROBLEM], given.problem[:MAX_PROBLEM], given.count)
