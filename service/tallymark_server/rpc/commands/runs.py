"""What is asked of runs and their steps."""

from __future__ import annotations

from tallymark.v1 import model_pb2, run_registry_pb2
from tallymark_server.domain import commands as c
from tallymark_server.domain import naming
from tallymark_server.domain.errors import InvalidField
from tallymark_server.domain.model import (
    RunState,
)
from tallymark_server.rpc import names
from tallymark_server.rpc.commands.parts import attempt, config, facts

_OUTCOMES = {model_pb2.RUN_STATE_SUCCEEDED: RunState.SUCCEEDED, model_pb2.RUN_STATE_FAILED: RunState.FAILED}


def start_run(request: run_registry_pb2.StartRunRequest, actor: str) -> c.StartRun:
    """What StartRun asks for."""
    project = names.project(request.parent, "parent")
    return c.StartRun(
        **attempt(request, project, actor),
        run=naming.run_id(request.run_id),
        pipeline=naming.prose(request.run.pipeline, "run.pipeline"),
        host=naming.prose(request.run.host, "run.host"),
        user=naming.prose(request.run.user, "run.user"),
        commit=naming.prose(request.run.commit, "run.commit"),
        url=naming.prose(request.run.url, "run.url"),
        parameters=facts(request.run.parameters, "run.parameters"),
        config=config(request.config) if request.HasField("config") else None,
    )


def finish_run(request: run_registry_pb2.FinishRunRequest, actor: str) -> c.FinishRun:
    """What FinishRun asks for."""
    project, run = names.run(request.name, "name")
    state, error = _outcome(request)
    return c.FinishRun(**attempt(request, project, actor), run=run, state=state, error=error)


def start_step(request: run_registry_pb2.StartStepRequest, actor: str) -> c.StartStep:
    """What StartStep asks for."""
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
        parameters=facts(request.step.parameters, "step.parameters"),
    )


def finish_step(request: run_registry_pb2.FinishStepRequest, actor: str) -> c.FinishStep:
    """What FinishStep asks for."""
    project, run, step = names.step(request.name, "name")
    state, error = _outcome(request)
    return c.FinishStep(**attempt(request, project, actor), run=run, step=step, state=state, error=error)


def _outcome(request: run_registry_pb2.FinishRunRequest | run_registry_pb2.FinishStepRequest) -> tuple[RunState, str]:
    if request.state not in _OUTCOMES:
        raise InvalidField("state", request.state, "what ran finishes as succeeded or failed")
    # What went wrong must be kept even when it is longer than the field.
    return _OUTCOMES[request.state], request.error.encode()[: naming.MAX_TEXT].decode(errors="ignore")
