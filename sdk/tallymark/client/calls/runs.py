"""Calls about runs and their steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tallymark.client import messages as m
from tallymark.client.calls.call import PAGE_SIZE, Call, ListOptions, Page, as_of, new_request_id, page
from tallymark.client.metadata_messages import duration_to, metadata_to, time_to
from tallymark.types.enums import RunState
from tallymark.types.recording_problem import RecordingProblem
from tallymark.types.references import run_name, version_name
from tallymark.types.resources import (
    Heartbeat,
    Run,
    RunStep,
    Started,
)
from tallymark.v1 import (
    model_pb2,
    run_pb2,
    run_registry_pb2,
)
from tallymark.v1.run_registry_pb2_grpc import RunRegistryStub


def start_run(project: str, run: str, given: Mapping[str, Any], config: model_pb2.ModelConfig | None) -> Call[Started]:
    """StartRun, with the fields of the run."""
    fields = {
        **given,
        "parameters": metadata_to(given.get("parameters", {})),
        "start_time": time_to(given.get("start_time")),
        "heartbeat_timeout": duration_to(given.get("heartbeat_timeout")),
    }
    request = run_registry_pb2.StartRunRequest(
        parent=f"projects/{project}",
        run_id=run,
        run=run_pb2.Run(**fields),
        config=config,
        request_id=new_request_id(),
    )
    return Call(RunRegistryStub, "StartRun", request, _started, writes=True)


def finish_run(
    project: str, run: str, state: RunState | str, error: str, end_time: datetime | None = None
) -> Call[Run]:
    """FinishRun."""
    request = run_registry_pb2.FinishRunRequest(
        name=run_name(project, run),
        state=m.run_state_to(state),
        error=error,
        end_time=time_to(end_time),
        request_id=new_request_id(),
    )
    return Call(RunRegistryStub, "FinishRun", request, m.run_of, writes=True)


def heartbeat_run(project: str, run: str) -> Call[Heartbeat]:
    """HeartbeatRun."""
    request = run_registry_pb2.HeartbeatRunRequest(name=run_name(project, run))
    return Call(RunRegistryStub, "HeartbeatRun", request, m.heartbeat_of)


def report_recording_problems(project: str, run: str, problems: Sequence[RecordingProblem]) -> Call[Run]:
    """ReportRecordingProblems."""
    request = run_registry_pb2.ReportRecordingProblemsRequest(
        name=run_name(project, run),
        problems=[m.problem_to(problem) for problem in problems],
        request_id=new_request_id(),
    )
    return Call(RunRegistryStub, "ReportRecordingProblems", request, m.run_of, writes=True)


def get_run(project: str, run: str, at: int | datetime | None = None) -> Call[Run]:
    """GetRun."""
    request = run_registry_pb2.GetRunRequest(name=run_name(project, run), **as_of(at))
    return Call(RunRegistryStub, "GetRun", request, m.run_of)


def list_runs(project: str, token: str, options: ListOptions, version: str) -> Call[Page[Run]]:
    """ListRuns, one page."""
    request = run_registry_pb2.ListRunsRequest(
        parent=f"projects/{project}",
        page_size=PAGE_SIZE,
        page_token=token,
        filter=options.where,
        order_by=options.order_by,
        model_version=version_name(project, version) if version else "",
        **as_of(options.at),
    )
    return Call(RunRegistryStub, "ListRuns", request, lambda reply: page(reply, reply.runs, m.run_of))


def start_step(
    project: str,
    run: str,
    step: str,
    name: str,
    version: str,
    parameters: Mapping[str, object],
    start_time: datetime | None = None,
) -> Call[RunStep]:
    """StartStep."""
    request = run_registry_pb2.StartStepRequest(
        parent=run_name(project, run),
        step_id=step,
        step=run_pb2.RunStep(
            display_name=name,
            model_version=version_name(project, version) if version else "",
            parameters=metadata_to(parameters),
            start_time=time_to(start_time),
        ),
        request_id=new_request_id(),
    )
    return Call(RunRegistryStub, "StartStep", request, m.step_of, writes=True)


def finish_step(
    project: str, run: str, step: str, state: RunState | str, error: str, end_time: datetime | None = None
) -> Call[RunStep]:
    """FinishStep."""
    request = run_registry_pb2.FinishStepRequest(
        name=f"{run_name(project, run)}/steps/{step}",
        state=m.run_state_to(state),
        error=error,
        end_time=time_to(end_time),
        request_id=new_request_id(),
    )
    return Call(RunRegistryStub, "FinishStep", request, m.step_of, writes=True)


def list_steps(project: str, run: str, token: str, at: int | datetime | None) -> Call[Page[RunStep]]:
    """ListSteps, one page."""
    request = run_registry_pb2.ListStepsRequest(
        parent=run_name(project, run), page_size=PAGE_SIZE, page_token=token, **as_of(at)
    )
    return Call(RunRegistryStub, "ListSteps", request, lambda reply: page(reply, reply.steps, m.step_of))


def _started(reply: run_registry_pb2.StartRunResponse) -> Started:
    version = m.version_of(reply.model_version) if reply.HasField("model_version") else None
    return Started(m.run_of(reply.run), reply.created, version)
