"""Calls about models."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from tallymark.client import messages as m
from tallymark.client.calls.call import PAGE_SIZE, Call, ListOptions, Page, as_of, new_request_id, page
from tallymark.client.metadata_messages import metadata_to
from tallymark.types.references import model_name
from tallymark.types.resources import (
    ModelInfo,
)
from tallymark.v1 import (
    model_pb2,
    model_registry_pb2,
)
from tallymark.v1.model_registry_pb2_grpc import ModelRegistryStub


def create_model(project: str, name: str, fields: Mapping[str, Any]) -> Call[ModelInfo]:
    """CreateModel."""
    model = model_pb2.Model(**{**fields, "metadata": metadata_to(fields["metadata"])})
    request = model_registry_pb2.CreateModelRequest(
        parent=f"projects/{project}", model_id=name, model=model, request_id=new_request_id()
    )
    return Call(ModelRegistryStub, "CreateModel", request, m.model_of, writes=True)


def get_model(project: str, name: str, *, show_deleted: bool, at: int | datetime | None) -> Call[ModelInfo]:
    """GetModel."""
    request = model_registry_pb2.GetModelRequest(name=model_name(project, name), show_deleted=show_deleted, **as_of(at))
    return Call(ModelRegistryStub, "GetModel", request, m.model_of)


def list_models(project: str, token: str, options: ListOptions) -> Call[Page[ModelInfo]]:
    """ListModels, one page."""
    request = model_registry_pb2.ListModelsRequest(
        parent=f"projects/{project}",
        page_size=PAGE_SIZE,
        page_token=token,
        show_deleted=options.show_deleted,
        filter=options.where,
        order_by=options.order_by,
        **as_of(options.at),
    )
    return Call(ModelRegistryStub, "ListModels", request, lambda reply: page(reply, reply.models, m.model_of))


def update_model(project: str, name: str, changes: Mapping[str, Any], etag: str) -> Call[ModelInfo]:
    """UpdateModel, of the fields that are not None."""
    given = {field: value for field, value in changes.items() if value is not None}
    if "metadata" in given:
        given["metadata"] = metadata_to(given["metadata"])
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
