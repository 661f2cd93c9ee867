"""Requests about models, as commands."""

from __future__ import annotations

from tallymark.v1 import (
    model_registry_pb2,
)
from tallymark_server.domain import commands as c
from tallymark_server.domain import naming
from tallymark_server.domain.model import (
    ModelCard,
)
from tallymark_server.rpc import names
from tallymark_server.rpc.commands.fields import attempt, card, paths

# The fields of the contract, and their names in the domain.
_CARD_FIELDS = {name: name for name in ModelCard.__struct_fields__}


def create_model(request: model_registry_pb2.CreateModelRequest, actor: str) -> c.CreateModel:
    """Return the command of a CreateModel request. Raises InvalidField and others."""
    project = names.project(request.parent, "parent")
    return c.CreateModel(
        **attempt(request, project, actor), model=naming.model_name(request.model_id), card=card(request.model)
    )


def update_model(request: model_registry_pb2.UpdateModelRequest, actor: str) -> c.UpdateModel:
    """Return the command of an UpdateModel request. Raises InvalidField and others."""
    project, model = names.model(request.model.name, "model.name")
    written = card(request.model)
    changes = {path: getattr(written, path) for path in paths(request.update_mask.paths, _CARD_FIELDS)}
    return c.UpdateModel(**attempt(request, project, actor), model=model, changes=changes, etag=request.model.etag)


def rename_model(request: model_registry_pb2.RenameModelRequest, actor: str) -> c.RenameModel:
    """Return the command of a RenameModel request. Raises InvalidField and others."""
    project, model = names.model(request.name, "name")
    name = naming.model_name(request.new_model_id, "new_model_id")
    return c.RenameModel(**attempt(request, project, actor), model=model, name=name, etag=request.etag)


def delete_model(request: model_registry_pb2.DeleteModelRequest, actor: str) -> c.DeleteModel:
    """Return the command of a DeleteModel request. Raises InvalidField and others."""
    project, model = names.model(request.name, "name")
    return c.DeleteModel(
        **attempt(request, project, actor),
        model=model,
        force=request.force,
        reason=naming.prose(request.reason, "reason"),
        etag=request.etag,
    )


def undelete_model(request: model_registry_pb2.UndeleteModelRequest, actor: str) -> c.UndeleteModel:
    """Return the command of an UndeleteModel request. Raises InvalidField and others."""
    project, model = names.model(request.name, "name")
    reason = naming.prose(request.reason, "reason")
    return c.UndeleteModel(**attempt(request, project, actor), model=model, reason=reason)


def purge_model(request: model_registry_pb2.PurgeModelRequest, actor: str) -> c.PurgeModel:
    """Return the command of a PurgeModel request. Raises InvalidField and others."""
    project, model = names.model(request.name, "name")
    reason = naming.prose(request.reason, "reason")
    return c.PurgeModel(**attempt(request, project, actor), model=model, reason=reason)
