"""Requests about versions, as commands."""

from __future__ import annotations

from collections.abc import Sequence

from tallymark.v1 import (
    metric_pb2,
    model_pb2,
    model_registry_pb2,
)
from tallymark_server.domain import commands as c
from tallymark_server.domain import metadata, naming, reference
from tallymark_server.domain.errors import InvalidField, ValueTooLarge
from tallymark_server.domain.model import (
    Point,
)
from tallymark_server.rpc import names
from tallymark_server.rpc.commands.fields import attempt, config, facts, micros, new_version, paths, stage

MAX_BATCH = 1000

# The fields of the contract, and their names in the domain.
_VERSION_FIELDS = {"version_name": "name", "description": "description", "tags": "tags", "metadata": "metadata"}


def create_version(request: model_registry_pb2.CreateModelVersionRequest, actor: str) -> c.CreateVersions:
    """Return the command of a CreateModelVersion request. Raises InvalidField and others."""
    project, model = names.model(request.parent, "parent")
    new = new_version(request.model_version)
    return c.CreateVersions(**attempt(request, project, actor), model=model, versions=(new,))


def create_versions(request: model_registry_pb2.BatchCreateModelVersionsRequest, actor: str) -> c.CreateVersions:
    """Return the command of a BatchCreateModelVersions request. Raises InvalidField and others."""
    project, model = names.model(request.parent, "parent")
    if not 1 <= len(request.model_versions) <= MAX_BATCH:
        raise InvalidField(
            "model_versions", f"{len(request.model_versions)} versions", f"a batch has 1 to {MAX_BATCH} versions"
        )
    new = tuple(new_version(version) for version in request.model_versions)
    return c.CreateVersions(**attempt(request, project, actor), model=model, versions=new)


def ensure_version(request: model_registry_pb2.EnsureModelVersionRequest, actor: str) -> c.EnsureVersion:
    """Return the command of an EnsureModelVersion request. Raises InvalidField and others."""
    project = names.project(request.parent, "parent")
    run = None
    if request.run:
        owner, run = names.run(request.run, "run")
        if owner != project:
            raise InvalidField("run", request.run, f"it belongs to another project than {request.parent}")
    step = naming.prose(request.step, "step")
    return c.EnsureVersion(**attempt(request, project, actor), config=config(request.config), run=run, step=step)


def set_stage(request: model_registry_pb2.SetStageRequest, actor: str) -> c.SetStage:
    """Return the command of a SetStage request. Raises InvalidField and others."""
    project, model, which = names.version(request.name, "name")
    return c.SetStage(
        **attempt(request, project, actor),
        model=model,
        reference=which,
        stage=stage(request.stage, "stage"),
        force=request.force,
        allow_unfinished_run=request.allow_unfinished_run,
        reason=naming.prose(request.reason, "reason"),
        etag=request.etag,
        expected=_expected(request),
    )


def set_alias(request: model_registry_pb2.SetAliasRequest, actor: str) -> c.SetAlias:
    """Return the command of a SetAlias request. Raises InvalidField and others."""
    project, model, which = names.version(request.name, "name")
    return c.SetAlias(
        **attempt(request, project, actor),
        model=model,
        reference=which,
        alias=naming.version_name(request.alias, "alias"),
        expected=_expected(request),
        reason=naming.prose(request.reason, "reason"),
    )


def delete_alias(request: model_registry_pb2.DeleteAliasRequest, actor: str) -> c.DeleteAlias:
    """Return the command of a DeleteAlias request. Raises InvalidField and others."""
    project, model = names.model(request.parent, "parent")
    return c.DeleteAlias(
        **attempt(request, project, actor),
        model=model,
        reference=reference.aliased(naming.version_name(request.alias, "alias")),
        expected=_expected(request),
        reason=naming.prose(request.reason, "reason"),
    )


def log_metadata(request: model_registry_pb2.LogMetadataRequest, actor: str) -> c.LogMetadata:
    """Return the command of a LogMetadata request. Raises InvalidField and others."""
    project, model, which = names.version(request.name, "name")
    points = _points(request.points)
    measured = {point.key for point in points}
    for field, keys in (("delete_keys", set(request.delete_keys)), ("points", measured)):
        if both := request.metadata.keys() & keys:
            raise InvalidField(field, min(both), "set a key, send its points or delete it, not two of them")
    if both := measured & set(request.delete_keys):
        raise InvalidField("delete_keys", min(both), "set a key, send its points or delete it, not two of them")
    return c.LogMetadata(
        **attempt(request, project, actor),
        model=model,
        reference=which,
        metadata=facts(request.metadata),
        points=points,
        delete_keys=frozenset(request.delete_keys),
    )


def _points(given: Sequence[metric_pb2.MetricPoint]) -> tuple[Point, ...]:
    if len(given) > metadata.MAX_POINTS:
        raise ValueTooLarge("points", metadata.MAX_POINTS, "points", len(given))
    for point in given:
        naming.plain_label(point.key, "points key")
        if point.step < 0:
            raise InvalidField(f"step of {point.key}", point.step, "steps go from 0")
    return tuple(
        Point(point.key, point.step, point.value, micros(point.time, "points time") if point.HasField("time") else 0)
        for point in given
    )


def update_version(request: model_registry_pb2.UpdateModelVersionRequest, actor: str) -> c.UpdateVersion:
    """Return the command of an UpdateModelVersion request. Raises InvalidField and others."""
    project, model, which = names.version(request.model_version.name, "model_version.name")
    chosen = paths(request.update_mask.paths, _VERSION_FIELDS)
    given = new_version(request.model_version) if "version_name" in chosen else _unnamed(request.model_version)
    changes = {_VERSION_FIELDS[path]: getattr(given, _VERSION_FIELDS[path]) for path in chosen}
    return c.UpdateVersion(
        **attempt(request, project, actor),
        model=model,
        reference=which,
        changes=changes,
        etag=request.model_version.etag,
    )


def delete_version(request: model_registry_pb2.DeleteModelVersionRequest, actor: str) -> c.DeleteVersion:
    """Return the command of a DeleteModelVersion request. Raises InvalidField and others."""
    project, model, which = names.version(request.name, "name")
    return c.DeleteVersion(
        **attempt(request, project, actor),
        model=model,
        reference=which,
        force=request.force,
        reason=naming.prose(request.reason, "reason"),
        etag=request.etag,
    )


def undelete_version(request: model_registry_pb2.UndeleteModelVersionRequest, actor: str) -> c.UndeleteVersion:
    """Return the command of an UndeleteModelVersion request. Raises InvalidField and others."""
    project, model, which = names.version(request.name, "name")
    reason = naming.prose(request.reason, "reason")
    return c.UndeleteVersion(**attempt(request, project, actor), model=model, reference=which, reason=reason)


def purge_version(request: model_registry_pb2.PurgeModelVersionRequest, actor: str) -> c.PurgeVersion:
    """Return the command of a PurgeModelVersion request. Raises InvalidField and others."""
    project, model, which = names.version(request.name, "name")
    reason = naming.prose(request.reason, "reason")
    return c.PurgeVersion(**attempt(request, project, actor), model=model, reference=which, reason=reason)


def _unnamed(version: model_pb2.ModelVersion) -> c.NewVersion:
    """Return the version in the message, which must have no resource name."""
    unnamed = model_pb2.ModelVersion()
    unnamed.CopyFrom(version)
    unnamed.version_name = ""
    return new_version(unnamed)


_WithExpectedNumber = (
    model_registry_pb2.SetStageRequest | model_registry_pb2.SetAliasRequest | model_registry_pb2.DeleteAliasRequest
)


def _expected(request: _WithExpectedNumber) -> int | None:
    return request.expected_number if request.HasField("expected_number") else None
