"""One function for each method of the service: what to send, and how to read the answer.

No I/O happens here: both clients use these. Each change carries a request id of its own, so that it may be sent again,
by gRPC or by whoever holds it, and still has one effect.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask

from tallymark import messages as m
from tallymark.references import model_name, run_name, version_name
from tallymark.resources import Ensured, Event, ModelInfo, ModelVersion, Run, Started
from tallymark.v1 import event_log_pb2, model_pb2, model_registry_pb2, run_pb2, run_registry_pb2
from tallymark.v1.event_log_pb2_grpc import EventLogStub
from tallymark.v1.model_registry_pb2_grpc import ModelRegistryStub
from tallymark.v1.run_registry_pb2_grpc import RunRegistryStub
from tallymark.values import RunState, Stage

T = TypeVar("T")
PAGE_SIZE = 500


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """What to send to which method of which service, and how to read the answer."""

    service: type
    method: str
    request: Any
    read: Callable[[Any], T]
    writes: bool = False


class Page(NamedTuple, Generic[T]):
    """Some of a list, and the token that asks for the rest, empty at the end."""

    items: list[T]
    next_page_token: str


class Cursor(NamedTuple):
    """Where in which log a watch has come to; a revision of None is now."""

    revision: int | None = None
    log_id: str = ""


class Told(NamedTuple):
    """Events that a watch tells, and where it has come to."""

    events: list[Event]
    cursor: Cursor


class NewVersion(NamedTuple):
    """A version to be created in a batch. Without a name it is called by its number."""

    name: str = ""
    description: str = ""
    tags: Sequence[str] = ()
    metadata: Mapping[str, object] = {}


def new_request_id() -> str:
    """A request id: time-ordered, which the server stores fastest, and unique."""
    return f"{time.time_ns() // 1_000_000:012x}-{secrets.token_hex(10)}"


def trial(call: Call[T], validate_only: bool) -> Call[T]:
    """The call, or a trial of it that changes nothing."""
    call.request.validate_only = validate_only
    return call


def create_model(project: str, name: str, fields: Mapping[str, Any]) -> Call[ModelInfo]:
    """CreateModel."""
    request = model_registry_pb2.CreateModelRequest(
        parent=f"projects/{project}", model_id=name, model=model_pb2.Model(**fields), request_id=new_request_id()
    )
    return Call(ModelRegistryStub, "CreateModel", request, m.model_of, writes=True)


def get_model(project: str, name: str, *, show_deleted: bool) -> Call[ModelInfo]:
    """GetModel."""
    request = model_registry_pb2.GetModelRequest(name=model_name(project, name), show_deleted=show_deleted)
    return Call(ModelRegistryStub, "GetModel", request, m.model_of)


def list_models(project: str, token: str, *, show_deleted: bool, where: str) -> Call[Page[ModelInfo]]:
    """ListModels, one page."""
    request = model_registry_pb2.ListModelsRequest(
        parent=f"projects/{project}", page_size=PAGE_SIZE, page_token=token, show_deleted=show_deleted, filter=where
    )
    return Call(ModelRegistryStub, "ListModels", request, lambda page: _page(page, page.models, m.model_of))


def create_version(project: str, model: str, new: NewVersion) -> Call[ModelVersion]:
    """CreateModelVersion."""
    request = model_registry_pb2.CreateModelVersionRequest(
        parent=model_name(project, model), model_version=_new_version(new), request_id=new_request_id()
    )
    return Call(ModelRegistryStub, "CreateModelVersion", request, m.version_of, writes=True)


def create_versions(project: str, model: str, new: Sequence[NewVersion]) -> Call[list[ModelVersion]]:
    """BatchCreateModelVersions."""
    request = model_registry_pb2.BatchCreateModelVersionsRequest(
        parent=model_name(project, model),
        model_versions=[_new_version(version) for version in new],
        request_id=new_request_id(),
    )
    return Call(
        ModelRegistryStub,
        "BatchCreateModelVersions",
        request,
        lambda batch: [m.version_of(version) for version in batch.model_versions],
        writes=True,
    )


def config(
    model: str, version: str, fields: Mapping[str, Any] | None = None, tags: Sequence[str] = ()
) -> model_pb2.ModelConfig:
    """What `Model(model, version)` means; fields and tags describe what is created."""
    return model_pb2.ModelConfig(
        model=model,
        version=version,
        new_model=model_pb2.Model(tags=tags, **(fields or {})),
        new_version=model_pb2.ModelVersion(tags=tags),
    )


def ensure_version(
    project: str, config: model_pb2.ModelConfig, run: str | None, step: str, request_id: str
) -> Call[Ensured]:
    """EnsureModelVersion."""
    request = model_registry_pb2.EnsureModelVersionRequest(
        parent=f"projects/{project}",
        config=config,
        run=run_name(project, run) if run else "",
        step=step,
        request_id=request_id,
    )
    return Call(
        ModelRegistryStub,
        "EnsureModelVersion",
        request,
        lambda ensured: Ensured(m.version_of(ensured.model_version), ensured.created),
        writes=True,
    )


def get_version(project: str, reference: str, *, show_deleted: bool) -> Call[ModelVersion]:
    """GetModelVersion."""
    request = model_registry_pb2.GetModelVersionRequest(
        name=version_name(project, reference), show_deleted=show_deleted
    )
    return Call(ModelRegistryStub, "GetModelVersion", request, m.version_of)


def list_versions(project: str, model: str, token: str, *, show_deleted: bool, where: str) -> Call[Page[ModelVersion]]:
    """ListModelVersions, one page."""
    request = model_registry_pb2.ListModelVersionsRequest(
        parent=model_name(project, model),
        page_size=PAGE_SIZE,
        page_token=token,
        show_deleted=show_deleted,
        filter=where,
    )
    return Call(
        ModelRegistryStub, "ListModelVersions", request, lambda page: _page(page, page.model_versions, m.version_of)
    )


def set_stage(
    project: str, reference: str, stage: Stage | str, *, force: bool, reason: str, etag: str
) -> Call[ModelVersion]:
    """SetStage."""
    request = model_registry_pb2.SetStageRequest(
        name=version_name(project, reference),
        stage=m.stage_to(stage),
        force=force,
        reason=reason,
        etag=etag,
        request_id=new_request_id(),
    )
    return Call(ModelRegistryStub, "SetStage", request, m.version_of, writes=True)


def set_alias(
    project: str, reference: str, alias: str, *, expected_number: int | None, reason: str
) -> Call[ModelVersion]:
    """SetAlias."""
    request = model_registry_pb2.SetAliasRequest(
        name=version_name(project, reference),
        alias=alias,
        expected_number=expected_number,
        reason=reason,
        request_id=new_request_id(),
    )
    return Call(ModelRegistryStub, "SetAlias", request, m.version_of, writes=True)


def delete_alias(
    project: str, model: str, alias: str, *, expected_number: int | None, reason: str
) -> Call[ModelVersion]:
    """DeleteAlias."""
    request = model_registry_pb2.DeleteAliasRequest(
        parent=model_name(project, model),
        alias=alias,
        expected_number=expected_number,
        reason=reason,
        request_id=new_request_id(),
    )
    return Call(ModelRegistryStub, "DeleteAlias", request, m.version_of, writes=True)


def log_metadata(
    project: str, reference: str, metadata: Mapping[str, object], delete_keys: Sequence[str]
) -> Call[ModelVersion]:
    """LogMetadata."""
    request = model_registry_pb2.LogMetadataRequest(
        name=version_name(project, reference),
        metadata=m.metadata_to(metadata),
        delete_keys=delete_keys,
        request_id=new_request_id(),
    )
    return Call(ModelRegistryStub, "LogMetadata", request, m.version_of, writes=True)


def update_model(project: str, name: str, changes: Mapping[str, Any], etag: str) -> Call[ModelInfo]:
    """UpdateModel: the fields that are not None."""
    given = {field: value for field, value in changes.items() if value is not None}
    request = model_registry_pb2.UpdateModelRequest(
        model=model_pb2.Model(name=model_name(project, name), etag=etag, **given),
        update_mask=FieldMask(paths=given),
        request_id=new_request_id(),
    )
    return Call(ModelRegistryStub, "UpdateModel", request, m.model_of, writes=True)


def rename_model(project: str, name: str, new_name: str, etag: str) -> Call[ModelInfo]:
    """RenameModel."""
    request = model_registry_pb2.RenameModelRequest(
        name=model_name(project, name), new_model_id=new_name, etag=etag, request_id=new_request_id()
    )
    return Call(ModelRegistryStub, "RenameModel", request, m.model_of, writes=True)


def delete_model(project: str, name: str, *, force: bool, reason: str, etag: str) -> Call[ModelInfo]:
    """DeleteModel."""
    request = model_registry_pb2.DeleteModelRequest(
        name=model_name(project, name), force=force, reason=reason, etag=etag, request_id=new_request_id()
    )
    return Call(ModelRegistryStub, "DeleteModel", request, m.model_of, writes=True)


def undelete_model(project: str, name: str, reason: str) -> Call[ModelInfo]:
    """UndeleteModel."""
    request = model_registry_pb2.UndeleteModelRequest(
        name=model_name(project, name), reason=reason, request_id=new_request_id()
    )
    return Call(ModelRegistryStub, "UndeleteModel", request, m.model_of, writes=True)


def purge_model(project: str, name: str, reason: str) -> Call[ModelInfo]:
    """PurgeModel."""
    request = model_registry_pb2.PurgeModelRequest(
        name=model_name(project, name), reason=reason, request_id=new_request_id()
    )
    return Call(ModelRegistryStub, "PurgeModel", request, m.model_of, writes=True)


def update_version(project: str, reference: str, changes: Mapping[str, Any], etag: str) -> Call[ModelVersion]:
    """UpdateModelVersion: the fields that are not None."""
    given = {field: value for field, value in changes.items() if value is not None}
    request = model_registry_pb2.UpdateModelVersionRequest(
        model_version=model_pb2.ModelVersion(name=version_name(project, reference), etag=etag, **given),
        update_mask=FieldMask(paths=given),
        request_id=new_request_id(),
    )
    return Call(ModelRegistryStub, "UpdateModelVersion", request, m.version_of, writes=True)


def delete_version(project: str, reference: str, *, force: bool, reason: str, etag: str) -> Call[ModelVersion]:
    """DeleteModelVersion."""
    request = model_registry_pb2.DeleteModelVersionRequest(
        name=version_name(project, reference), force=force, reason=reason, etag=etag, request_id=new_request_id()
    )
    return Call(ModelRegistryStub, "DeleteModelVersion", request, m.version_of, writes=True)


def undelete_version(project: str, reference: str, reason: str) -> Call[ModelVersion]:
    """UndeleteModelVersion."""
    request = model_registry_pb2.UndeleteModelVersionRequest(
        name=version_name(project, reference), reason=reason, request_id=new_request_id()
    )
    return Call(ModelRegistryStub, "UndeleteModelVersion", request, m.version_of, writes=True)


def start_run(project: str, run: str, pipeline: str, host: str, config: model_pb2.ModelConfig | None) -> Call[Started]:
    """StartRun."""
    request = run_registry_pb2.StartRunRequest(
        parent=f"projects/{project}",
        run_id=run,
        run=run_pb2.Run(pipeline=pipeline, host=host),
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


def get_run(project: str, run: str) -> Call[Run]:
    """GetRun."""
    request = run_registry_pb2.GetRunRequest(name=run_name(project, run))
    return Call(RunRegistryStub, "GetRun", request, m.run_of)


def list_runs(project: str, token: str) -> Call[Page[Run]]:
    """ListRuns, one page."""
    request = run_registry_pb2.ListRunsRequest(parent=f"projects/{project}", page_size=PAGE_SIZE, page_token=token)
    return Call(RunRegistryStub, "ListRuns", request, lambda page: _page(page, page.runs, m.run_of))


def list_events(project: str, after_revision: int) -> Call[list[Event]]:
    """ListEvents, one page."""
    request = event_log_pb2.ListEventsRequest(
        parent=f"projects/{project}", after_revision=after_revision, page_size=PAGE_SIZE
    )
    return Call(EventLogStub, "ListEvents", request, lambda page: [m.event_of(event) for event in page.events])


def head(project: str) -> Call[Cursor]:
    """ListEvents, for how far the log has come."""
    request = event_log_pb2.ListEventsRequest(parent=f"projects/{project}", page_size=1)
    return Call(EventLogStub, "ListEvents", request, lambda page: Cursor(page.revision, page.log_id))


def watch(project: str, cursor: Cursor, model: str, kinds: Sequence[str]) -> Call[Told]:
    """Watch: `read` reads each message of the stream."""
    request = event_log_pb2.WatchRequest(
        parent=f"projects/{project}",
        after_revision=cursor.revision,
        log_id=cursor.log_id,
        model=model_name(project, model) if model else "",
        kinds=[m.kind_to(kind) for kind in kinds],
    )
    return Call(
        EventLogStub,
        "Watch",
        request,
        lambda message: Told([m.event_of(event) for event in message.events], Cursor(message.revision, message.log_id)),
    )


def _page(page: Any, items: Any, read: Callable[[Any], T]) -> Page[T]:
    return Page([read(item) for item in items], page.next_page_token)


def _new_version(new: NewVersion) -> model_pb2.ModelVersion:
    return model_pb2.ModelVersion(
        version_name=new.name, description=new.description, tags=new.tags, metadata=m.metadata_to(new.metadata)
    )


def _started(reply: run_registry_pb2.StartRunResponse) -> Started:
    version = m.version_of(reply.model_version) if reply.HasField("model_version") else None
    return Started(m.run_of(reply.run), reply.created, version)
