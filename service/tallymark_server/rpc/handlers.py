"""The methods about models and the log: each turns a message into a command or query, and the answer into one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from tallymark.v1 import (
    artifact_pb2,
    event_log_pb2,
    lineage_pb2,
    metric_pb2,
    model_pb2,
    model_registry_pb2,
)
from tallymark_server.domain.errors import InvalidField
from tallymark_server.registry import Named, Registry
from tallymark_server.rpc import commands, messages, names
from tallymark_server.rpc.callers import Context, actor_of
from tallymark_server.rpc.projects import Projects
from tallymark_server.rpc.time_slices import command_of, in_turns


class ModelRegistry(Projects):
    """Projects, models and their versions."""

    async def CreateModel(self, request: model_registry_pb2.CreateModelRequest, context: Context) -> model_pb2.Model:
        command = await command_of(commands.create_model, request, context)
        return messages.model(command.project, await self._registry.execute(command))

    async def GetModel(self, request: model_registry_pb2.GetModelRequest, context: Context) -> model_pb2.Model:
        project, name = names.model(request.name, "name")
        read_at = commands.read_at(request)
        model = await self._registry.model(project, name, deleted=request.show_deleted, read_at=read_at)
        return messages.model(project, model)

    async def ListModels(
        self, request: model_registry_pb2.ListModelsRequest, context: Context
    ) -> model_registry_pb2.ListModelsResponse:
        project = names.project(request.parent, "parent")
        page = await self._registry.models(project, commands.list_options(request))
        return model_registry_pb2.ListModelsResponse(
            models=await in_turns(page.items, partial(messages.model, project)),
            next_page_token=page.next_page_token,
            revision=page.revision,
        )

    async def CreateModelVersion(
        self, request: model_registry_pb2.CreateModelVersionRequest, context: Context
    ) -> model_pb2.ModelVersion:
        command = await command_of(commands.create_version, request, context)
        (version,) = await self._registry.execute(command)
        return messages.version(command.project, version)

    async def BatchCreateModelVersions(
        self, request: model_registry_pb2.BatchCreateModelVersionsRequest, context: Context
    ) -> model_registry_pb2.BatchCreateModelVersionsResponse:
        command = await command_of(commands.create_versions, request, context)
        response = model_registry_pb2.BatchCreateModelVersionsResponse()
        created = await self._registry.execute(command)
        await in_turns(created, partial(messages.version, command.project, make=response.model_versions.add))
        return response

    async def EnsureModelVersion(
        self, request: model_registry_pb2.EnsureModelVersionRequest, context: Context
    ) -> model_registry_pb2.EnsureModelVersionResponse:
        command = await command_of(commands.ensure_version, request, context)
        ensured = await self._registry.execute(command)
        return model_registry_pb2.EnsureModelVersionResponse(
            model_version=messages.version(command.project, ensured.version), created=ensured.created
        )

    async def GetModelVersion(
        self, request: model_registry_pb2.GetModelVersionRequest, context: Context
    ) -> model_pb2.ModelVersion:
        project, model, reference = names.version(request.name, "name")
        read_at = commands.read_at(request)
        version = await self._registry.version(project, model, reference, deleted=request.show_deleted, read_at=read_at)
        return messages.version(project, version)

    async def ListModelVersions(
        self, request: model_registry_pb2.ListModelVersionsRequest, context: Context
    ) -> model_registry_pb2.ListModelVersionsResponse:
        project, model = names.model(request.parent, "parent")
        page = await self._registry.versions(project, model, commands.list_options(request))
        response = model_registry_pb2.ListModelVersionsResponse(
            next_page_token=page.next_page_token, revision=page.revision
        )
        await in_turns(page.items, partial(messages.version, project, make=response.model_versions.add))
        return response

    async def SetStage(self, request: model_registry_pb2.SetStageRequest, context: Context) -> model_pb2.ModelVersion:
        command = commands.set_stage(request, actor_of(context))
        return messages.version(command.project, await self._registry.execute(command))

    async def SetAlias(self, request: model_registry_pb2.SetAliasRequest, context: Context) -> model_pb2.ModelVersion:
        command = commands.set_alias(request, actor_of(context))
        return messages.version(command.project, await self._registry.execute(command))

    async def DeleteAlias(
        self, request: model_registry_pb2.DeleteAliasRequest, context: Context
    ) -> model_pb2.ModelVersion:
        command = commands.delete_alias(request, actor_of(context))
        return messages.version(command.project, await self._registry.execute(command))

    async def LogMetadata(
        self, request: model_registry_pb2.LogMetadataRequest, context: Context
    ) -> model_pb2.ModelVersion:
        command = await command_of(commands.log_metadata, request, context)
        return messages.version(command.project, await self._registry.execute(command))

    async def UpdateModel(self, request: model_registry_pb2.UpdateModelRequest, context: Context) -> model_pb2.Model:
        command = await command_of(commands.update_model, request, context)
        return messages.model(command.project, await self._registry.execute(command))

    async def RenameModel(self, request: model_registry_pb2.RenameModelRequest, context: Context) -> model_pb2.Model:
        command = commands.rename_model(request, actor_of(context))
        return messages.model(command.project, await self._registry.execute(command))

    async def DeleteModel(self, request: model_registry_pb2.DeleteModelRequest, context: Context) -> model_pb2.Model:
        command = commands.delete_model(request, actor_of(context))
        return messages.model(command.project, await self._registry.execute(command))

    async def UndeleteModel(
        self, request: model_registry_pb2.UndeleteModelRequest, context: Context
    ) -> model_pb2.Model:
        command = commands.undelete_model(request, actor_of(context))
        return messages.model(command.project, await self._registry.execute(command))

    async def PurgeModel(self, request: model_registry_pb2.PurgeModelRequest, context: Context) -> model_pb2.Model:
        command = commands.purge_model(request, actor_of(context))
        return messages.model(command.project, await self._registry.execute(command))

    async def UpdateModelVersion(
        self, request: model_registry_pb2.UpdateModelVersionRequest, context: Context
    ) -> model_pb2.ModelVersion:
        command = await command_of(commands.update_version, request, context)
        return messages.version(command.project, await self._registry.execute(command))

    async def DeleteModelVersion(
        self, request: model_registry_pb2.DeleteModelVersionRequest, context: Context
    ) -> model_pb2.ModelVersion:
        command = commands.delete_version(request, actor_of(context))
        return messages.version(command.project, await self._registry.execute(command))

    async def UndeleteModelVersion(
        self, request: model_registry_pb2.UndeleteModelVersionRequest, context: Context
    ) -> model_pb2.ModelVersion:
        command = commands.undelete_version(request, actor_of(context))
        return messages.version(command.project, await self._registry.execute(command))

    async def PurgeModelVersion(
        self, request: model_registry_pb2.PurgeModelVersionRequest, context: Context
    ) -> model_pb2.ModelVersion:
        command = commands.purge_version(request, actor_of(context))
        return messages.version(command.project, await self._registry.execute(command))

    async def ListMetricPoints(
        self, request: metric_pb2.ListMetricPointsRequest, context: Context
    ) -> metric_pb2.ListMetricPointsResponse:
        read_at, size, token = commands.read_at(request), request.page_size, request.page_token
        project, version = _named(request.parent, "parent")
        page = await self._registry.points(project, version, request.keys, size, token, read_at)
        return metric_pb2.ListMetricPointsResponse(
            points=await in_turns(page.items, messages.point),
            next_page_token=page.next_page_token,
            revision=page.revision,
        )

    async def LinkArtifact(self, request: artifact_pb2.LinkArtifactRequest, context: Context) -> artifact_pb2.Artifact:
        command = commands.link_artifact(request, actor_of(context))
        return messages.artifact(command.project, await self._registry.execute(command))

    async def UnlinkArtifact(
        self, request: artifact_pb2.UnlinkArtifactRequest, context: Context
    ) -> artifact_pb2.Artifact:
        command = commands.unlink_artifact(request, actor_of(context))
        return messages.artifact(command.project, await self._registry.execute(command))

    async def GetArtifact(self, request: artifact_pb2.GetArtifactRequest, context: Context) -> artifact_pb2.Artifact:
        project, model, reference, name, ordinal = names.artifact(request.name, "name")
        read_at = commands.read_at(request)
        found = await self._registry.artifact(project, Named(model, reference), name, ordinal, read_at)
        return messages.artifact(project, found)

    async def ListArtifacts(
        self, request: artifact_pb2.ListArtifactsRequest, context: Context
    ) -> artifact_pb2.ListArtifactsResponse:
        options = commands.list_options(request)
        project, version = _named(request.parent, "parent")
        page = await self._registry.artifacts(project, version, options)
        return artifact_pb2.ListArtifactsResponse(
            artifacts=await in_turns(page.items, partial(messages.artifact, project)),
            next_page_token=page.next_page_token,
            revision=page.revision,
        )

    async def QueryLineage(
        self, request: lineage_pb2.QueryLineageRequest, context: Context
    ) -> lineage_pb2.QueryLineageResponse:
        start: Named | str
        read_at = commands.read_at(request)
        if "/runs/" in request.name:
            project, start = names.run(request.name, "name")
        else:
            project, start = _named(request.name, "name")
        lineage, revision = await self._registry.lineage(
            project, start, commands.direction(request), commands.depth(request), read_at
        )
        return messages.lineage(project, lineage, revision)


class EventLog:
    """The log of a project."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def ListEvents(
        self, request: event_log_pb2.ListEventsRequest, context: Context
    ) -> event_log_pb2.ListEventsResponse:
        project = names.project(request.parent, "parent")
        named = _whose(project, request.name) if request.name else None
        page = await self._registry.history(project, commands.scope(request), request.page_size, named)
        events = await in_turns(page.items, partial(messages.event, project))
        return event_log_pb2.ListEventsResponse(
            events=next(messages.in_pieces(events), []),
            revision=page.head.revision,
            log_id=page.head.log_id,
        )

    async def Watch(
        self, request: event_log_pb2.WatchRequest, context: Context
    ) -> AsyncIterator[event_log_pb2.WatchResponse]:
        project, model, interest = commands.interest(request)
        async for progress in self._registry.watch(project, model, interest):
            sent = 0
            for piece in messages.in_pieces(await in_turns(progress.events, partial(messages.event, project))):
                sent += len(piece)
                revision = progress.revision if sent == len(progress.events) else piece[-1].revision
                yield event_log_pb2.WatchResponse(events=piece, revision=revision, log_id=progress.log_id)
            if not progress.events:
                yield event_log_pb2.WatchResponse(revision=progress.revision, log_id=progress.log_id)

    async def Verify(self, request: event_log_pb2.VerifyRequest, context: Context) -> event_log_pb2.VerifyResponse:
        project, mark = commands.proof(request)
        return messages.proof(await self._registry.verify(project, mark))

    async def Export(
        self, request: event_log_pb2.ExportRequest, context: Context
    ) -> AsyncIterator[event_log_pb2.ExportResponse]:
        project, revision = commands.export(request)
        async for piece, last in self._registry.export(project, revision):
            yield event_log_pb2.ExportResponse(lines=piece.lines, revision=piece.revision, read_revision=last)

    async def Erase(self, request: event_log_pb2.EraseRequest, context: Context) -> event_log_pb2.EraseResponse:
        command = commands.erase(request, actor_of(context))
        erasure = await self._registry.execute(command)
        revision = 0 if command.validate_only else erasure.mod_revision
        return event_log_pb2.EraseResponse(content_count=erasure.contents, revision=revision)


def _named(name: str, field: str) -> tuple[str, Named]:
    """Return the project and the version of that resource name. Raises InvalidField and others."""
    project, model, reference = names.version(name, field)
    return project, Named(model, reference)


def _whose(project: str, name: str) -> Named:
    """Return the model or the version of the project by its resource name. Raises InvalidField and others."""
    if "/versions/" in name:
        owner, named = _named(name, "name")
    else:
        owner, model = names.model(name, "name")
        named = Named(model)
    if owner != project:
        raise InvalidField("name", name, f"it belongs to another project than projects/{project}")
    return named
