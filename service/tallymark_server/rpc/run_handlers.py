"""The methods about runs: each turns a message into a command or a query, and the answer into a message."""

from __future__ import annotations

from functools import partial

from tallymark.v1 import run_pb2, run_registry_pb2
from tallymark_server.domain.errors import InvalidField
from tallymark_server.registry import Named, Registry
from tallymark_server.rpc import commands, messages, names
from tallymark_server.rpc.callers import Context, actor_of
from tallymark_server.rpc.time_slices import command_of, in_turns


class RunRegistry:
    """The executions of pipelines."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def StartRun(
        self, request: run_registry_pb2.StartRunRequest, context: Context
    ) -> run_registry_pb2.StartRunResponse:
        command = await command_of(commands.start_run, request, context)
        started = await self._registry.start_run(command)
        return run_registry_pb2.StartRunResponse(
            run=messages.run(command.project, started.run),
            created=started.created,
            model_version=messages.version(command.project, started.version) if started.version else None,
        )

    async def FinishRun(self, request: run_registry_pb2.FinishRunRequest, context: Context) -> run_pb2.Run:
        command = commands.finish_run(request, actor_of(context))
        return messages.run(command.project, await self._registry.finish_run(command))

    async def HeartbeatRun(
        self, request: run_registry_pb2.HeartbeatRunRequest, context: Context
    ) -> run_registry_pb2.HeartbeatRunResponse:
        project, run = names.run(request.name, "name")
        state, timeout = await self._registry.heartbeat(project, run, actor_of(context))
        return run_registry_pb2.HeartbeatRunResponse(
            state=messages.run_state(state), deadline=None if timeout is None else messages.duration(timeout)
        )

    async def ReportRecordingProblems(
        self, request: run_registry_pb2.ReportRecordingProblemsRequest, context: Context
    ) -> run_pb2.Run:
        command = await command_of(commands.report_problems, request, context)
        return messages.run(command.project, await self._registry.execute(command))

    async def GetRun(self, request: run_registry_pb2.GetRunRequest, context: Context) -> run_pb2.Run:
        project, run = names.run(request.name, "name")
        return messages.run(project, await self._registry.run(project, run, commands.read_at(request)))

    async def ListRuns(
        self, request: run_registry_pb2.ListRunsRequest, context: Context
    ) -> run_registry_pb2.ListRunsResponse:
        project, options = names.project(request.parent, "parent"), commands.list_options(request)
        version = None
        if request.model_version:
            owner, model, reference = names.version(request.model_version, "model_version")
            if owner != project:
                raise InvalidField("model_version", request.model_version, "it belongs to another project than parent")
            version = Named(model, reference)
        page = await self._registry.runs(project, options, version)
        return run_registry_pb2.ListRunsResponse(
            runs=await in_turns(page.items, partial(messages.run, project)),
            next_page_token=page.next_page_token,
            revision=page.revision,
        )

    async def StartStep(self, request: run_registry_pb2.StartStepRequest, context: Context) -> run_pb2.RunStep:
        command = await command_of(commands.start_step, request, context)
        return messages.step(command.project, await self._registry.execute(command))

    async def FinishStep(self, request: run_registry_pb2.FinishStepRequest, context: Context) -> run_pb2.RunStep:
        command = commands.finish_step(request, actor_of(context))
        return messages.step(command.project, await self._registry.execute(command))

    async def ListSteps(
        self, request: run_registry_pb2.ListStepsRequest, context: Context
    ) -> run_registry_pb2.ListStepsResponse:
        project, run = names.run(request.parent, "parent")
        read_at = commands.read_at(request)
        page = await self._registry.steps(project, run, request.page_size, request.page_token, read_at)
        return run_registry_pb2.ListStepsResponse(
            steps=await in_turns(page.items, partial(messages.step, project)),
            next_page_token=page.next_page_token,
            revision=page.revision,
        )
