"""Calls about versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from tallymark.client import messages as m
from tallymark.client.calls.call import PAGE_SIZE, Call, ListOptions, NewVersion, Page, as_of, new_request_id, page
from tallymark.client.metadata_messages import metadata_to
from tallymark.types.enums import Stage
from tallymark.types.references import model_name, run_name, version_name
from tallymark.types.resources import (
    Ensured,
    MetricPoint,
    ModelVersion,
)
from tallymark.v1 import (
    metric_pb2,
    model_pb2,
    model_registry_pb2,
)
from tallymark.v1.model_registry_pb2_grpc import ModelRegistryStub


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
    model: str,
    version: str,
    fields: Mapping[str, Any] | None = None,
    tags: Sequence[str] = (),
    new: Mapping[str, Any] | None = None,
) -> model_pb2.ModelConfig:
    """Return the config of `Model(model, version)`.

    `fields` and `tags` describe a model that is created, `tags` and `new` a version that is created.
    """
    new = new or {}
    return model_pb2.ModelConfig(
        model=model,
        version=version,
        new_model=model_pb2.Model(tags=tags, **(fields or {})),
        new_version=model_pb2.ModelVersion(
            description=new.get("description", ""),
            tags=tuple(dict.fromkeys((*tags, *new.get("tags", ())))),
            metadata=metadata_to(new.get("metadata", {})),
        ),
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


def get_version(
    project: str, reference: str, *, show_deleted: bool, at: int | datetime | None = None
) -> Call[ModelVersion]:
    """GetModelVersion."""
    request = model_registry_pb2.GetModelVersionRequest(
        name=version_name(project, reference), show_deleted=show_deleted, **as_of(at)
    )
    return Call(ModelRegistryStub, "GetModelVersion", request, m.version_of)


def list_versions(project: str, model: str, token: str, options: ListOptions) -> Call[Page[ModelVersion]]:
    """ListModelVersions, one page."""
    request = model_registry_pb2.ListModelVersionsRequest(
        parent=model_name(project, model),
        page_size=PAGE_SIZE,
        page_token=token,
        show_deleted=options.show_deleted,
        filter=options.where,
        order_by=options.order_by,
        **as_of(options.at),
    )
    return Call(
        ModelRegistryStub, "ListModelVersions", request, lambda reply: page(reply, reply.model_versions, m.version_of)
    )


def set_stage(
    project: str,
    reference: str,
    stage: Stage | str,
    *,
    force: bool,
    reason: str,
    etag: str,
    allow_unfinished_run: bool = False,
    expected_number: int | None = None,
) -> Call[ModelVersion]:
    """SetStage."""
    request = model_registry_pb2.SetStageRequest(
        name=version_name(project, reference),
        stage=m.stage_to(stage),
        force=force,
        reason=reason,
        etag=etag,
        allow_unfinished_run=allow_unfinished_run,
        expected_number=expected_number,
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
    project: str,
    reference: str,
    metadata: Mapping[str, object],
    delete_keys: Sequence[str],
    points: Sequence[MetricPoint] = (),
) -> Call[ModelVersion]:
    """LogMetadata."""
    request = model_registry_pb2.LogMetadataRequest(
        name=version_name(project, reference),
        metadata=metadata_to(metadata),
        delete_keys=delete_keys,
        points=[m.point_to(point) for point in points],
        request_id=new_request_id(),
    )
    return Call(ModelRegistryStub, "LogMetadata", request, m.version_of, writes=True)


def update_version(project: str, reference: str, changes: Mapping[str, Any], etag: str) -> Call[ModelVersion]:
    """UpdateModelVersion, of the fields that are not None."""
    given = {field: value for field, value in changes.items() if value is not None}
    if "metadata" in given:
        given["metadata"] = metadata_to(given["metadata"])
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


def purge_version(project: str, reference: str, reason: str) -> Call[ModelVersion]:
    """PurgeModelVersion."""
    request = model_registry_pb2.PurgeModelVersionRequest(
        name=version_name(project, reference), reason=reason, request_id=new_request_id()
    )
    return Call(ModelRegistryStub, "PurgeModelVersion", request, m.version_of, writes=True)


def list_metrics(
    project: str, reference: str, token: str, keys: Sequence[str], at: int | datetime | None
) -> Call[Page[MetricPoint]]:
    """ListMetricPoints, one page."""
    request = metric_pb2.ListMetricPointsRequest(
        parent=version_name(project, reference), keys=keys, page_size=PAGE_SIZE, page_token=token, **as_of(at)
    )
    return Call(ModelRegistryStub, "ListMetricPoints", request, lambda reply: page(reply, reply.points, m.point_of))


def _new_version(new: NewVersion) -> model_pb2.ModelVersion:
    return model_pb2.ModelVersion(
        version_name=new.name, description=new.description, tags=new.tags, metadata=metadata_to(new.metadata)
    )
