"""Calls about runs and their steps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tallymark import messages as m
from tallymark.calls.parts import PAGE_SIZE, Call, Listed, Page, as_of, new_request_id, page
from tallymark.references import run_name, version_name
from tallymark.resources import (
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
from tallymark.values import RunState


def start_run(project: str, run: str, told: Mapping[str, Any], config: model_pb2.ModelConfig | None) -> Call[Started]:
    """StartRun: `told` are the fields of the run."""
    fields = {**told, "parameters": m.metadata_to(told.get("parameters", {}))}
    request = run_registry_pb2.StartRunRequest(
        parent=f"projects/{project}",
        run_id=run,
        run=run_pb2.Run(**fields),
        config=config,
        request_id=new_request_id(),
    )
    return Call(RunRegistryStub, "StartRun", request, _started, writes=True)


def finish_run(project: str, run: str, state: RunState | str, error: str) -> Call[Run]:
    """FinishRun."""
    request = run_registry_pb2.FinishRunRequest(
        name=run_name(project, run),
        state=m.run_state_to(state),
        error=error,
        request_id=new_request_id(),
    )
    return Call(RunRegistryStub, "FinishRun", request, m.run_of, writes=True)


def get_run(project: str, run: str, at: int | datetime | None = None) -> Call[Run]:
    """GetRun."""
    request = run_registry_pb2.GetRunRequest(name=run_name(project, run), **as_of(at))
    return Call(RunRegistryStub, "GetRun", request, m.run_of)


def list_runs(project: str, token: str, listed: Listed, version: str) -> Call[Page[Run]]:
    """ListRuns, one page."""
    request = run_registry_pb2.ListRunsRequest(
        parent=f"projects/{project}",
        page_size=PAGE_SIZE,
        page_token=token,
        filter=listed.where,
        order_by=listed.order_by,
        model_version=version_name(project, version) if version else "",
        **as_of(listed.at),
    )
    return Call(RunRegistryStub, "ListRuns", request, lambda reply: page(reply, reply.runs, m.run_of))


def start_step(
    project: str, run: str, step: str, name: str, version: str, parameters: Mapping[str, object]
) -> Call[RunStep]:
    """StartStep."""
    request = run_registry_pb2.StartStepRequest(
        parent=run_name(project, run),
        step_id=step,
        step=run_pb2.RunStep(
            display_name=name,
            model_version=version_name(project, version) if version else "",
            parameters=m.metadata_to(parameters),
        ),
        request_id=new_request_id(),
    )
    return Call(RunRegistryStub, "StartStep", request, m.step_of, writes=True)


def finish_step(project: str, run: str, step: str, state: RunState | str, error: str) -> Call[RunStep]:
    """FinishStep."""
    request = run_registry_pb2.FinishStepRequest(
        name=f"{run_name(project, run)}/steps/{step}",
        state=m.run_state_to(state),
        error=error,
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
