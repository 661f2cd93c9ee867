"""Messages to commands."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, TypedDict

from google.protobuf.message import Message

from tallymark.v1 import event_log_pb2, event_pb2, model_pb2, model_registry_pb2, run_pb2, run_registry_pb2
from tallymark_server.domain import commands as c
from tallymark_server.domain import metadata, naming, reference
from tallymark_server.domain.errors import InvalidField
from tallymark_server.domain.events import Kind
from tallymark_server.domain.model import ModelCard, RunState, Stage, Time, Uri, Value
from tallymark_server.rpc import names
from tallymark_server.watching import Interest

MAX_BATCH = 1000

_STAGES = {
    model_pb2.STAGE_NONE: Stage.NONE,
    model_pb2.STAGE_STAGING: Stage.STAGING,
    model_pb2.STAGE_PRODUCTION: Stage.PRODUCTION,
    model_pb2.STAGE_ARCHIVED: Stage.ARCHIVED,
}
_OUTCOMES = {run_pb2.RUN_STATE_SUCCEEDED: RunState.SUCCEEDED, run_pb2.RUN_STATE_FAILED: RunState.FAILED}


# Of the years 1 to 9999, as google.protobuf.Timestamp has it.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
_KINDS = event_pb2.EventKind
_PLAIN_VERSION = c.NewVersion()
_CARD_FIELDS = {field.name: field.name for field in fields(ModelCard)}
# Fields of the contract, and what the domain calls them.
_VERSION_FIELDS = {"version_name": "name", "description": "description", "tags": "tags"}


class Attempt(TypedDict):
    """What every command says of the attempt that it is."""

    project: str
    actor: str
    request_id: str
    fingerprint: bytes
    validate_only: bool


def create_model(request: model_registry_pb2.CreateModelRequest, actor: str) -> c.CreateModel:
    """What CreateModel asks for."""
    project = names.project(request.parent, "parent")
    return c.CreateModel(
        **_attempt(request, project, actor), model=naming.model_name(request.model_id), card=_card(request.model)
    )


def create_version(request: model_registry_pb2.CreateModelVersionRequest, actor: str) -> c.CreateVersions:
    """What CreateModelVersion asks for."""
    project, model = names.model(request.parent, "parent")
    new = _new_version(request.model_version)
    return c.CreateVersions(**_attempt(request, project, actor), model=model, versions=(new,))


def create_versions(request: model_registry_pb2.BatchCreateModelVersionsRequest, actor: str) -> c.CreateVersions:
    """What BatchCreateModelVersions asks for."""
    project, model = names.model(request.parent, "parent")
    if not 1 <= len(request.model_versions) <= MAX_BATCH:
        raise InvalidField("model_versions", len(request.model_versions), f"a batch has 1 to {MAX_BATCH} versions")
    new = tuple(_new_version(version) for version in request.model_versions)
    return c.CreateVersions(**_attempt(request, project, actor), model=model, versions=new)


def ensure_version(request: model_registry_pb2.EnsureModelVersionRequest, actor: str) -> c.EnsureVersion:
    """What EnsureModelVersion asks for."""
    project = names.project(request.parent, "parent")
    run = None
    if request.run:
        owner, run = names.run(request.run, "run")
        if owner != project:
            raise InvalidField("run", request.run, f"it belongs to another project than {request.parent}")
    step = naming.prose(request.step, "step")
    return c.EnsureVersion(**_attempt(request, project, actor), config=_config(request.config), run=run, step=step)


def set_stage(request: model_registry_pb2.SetStageRequest, actor: str) -> c.SetStage:
    """What SetStage asks for."""
    project, model, which = names.version(request.name, "name")
    if request.stage not in _STAGES:
        raise InvalidField("stage", request.stage, "name one of none, staging, production, archived")
    return c.SetStage(
        **_attempt(request, project, actor),
        model=model,
        reference=which,
        stage=_STAGES[request.stage],
        force=request.force,
        reason=naming.prose(request.reason, "reason"),
        etag=request.etag,
    )


def set_alias(request: model_registry_pb2.SetAliasRequest, actor: str) -> c.SetAlias:
    """What SetAlias asks for."""
    project, model, which = names.version(request.name, "name")
    return c.SetAlias(
        **_attempt(request, project, actor),
        model=model,
        reference=which,
        alias=naming.version_name(request.alias, "alias"),
        expected=_expected(request),
        reason=naming.prose(request.reason, "reason"),
    )


def delete_alias(request: model_registry_pb2.DeleteAliasRequest, actor: str) -> c.DeleteAlias:
    """What DeleteAlias asks for."""
    project, model = names.model(request.parent, "parent")
    return c.DeleteAlias(
        **_attempt(request, project, actor),
        model=model,
        reference=reference.aliased(naming.version_name(request.alias, "alias")),
        expected=_expected(request),
        reason=naming.prose(request.reason, "reason"),
    )


def log_metadata(request: model_registry_pb2.LogMetadataRequest, actor: str) -> c.LogMetadata:
    """What LogMetadata asks for."""
    project, model, which = names.version(request.name, "name")
    both = request.metadata.keys() & set(request.delete_keys)
    if both:
        raise InvalidField("delete_keys", min(both), "a key is set or taken away, not both")
    return c.LogMetadata(
        **_attempt(request, project, actor),
        model=model,
        reference=which,
        metadata=_metadata(request.metadata),
        delete_keys=frozenset(request.delete_keys),
    )


def update_model(request: model_registry_pb2.UpdateModelRequest, actor: str) -> c.UpdateModel:
    """What UpdateModel asks for."""
    project, model = names.model(request.model.name, "model.name")
    card = _card(request.model)
    changes = {path: getattr(card, path) for path in _paths(request.update_mask.paths, _CARD_FIELDS)}
    return c.UpdateModel(**_attempt(request, project, actor), model=model, changes=changes, etag=request.model.etag)


def rename_model(request: model_registry_pb2.RenameModelRequest, actor: str) -> c.RenameModel:
    """What RenameModel asks for."""
    project, model = names.model(request.name, "name")
    name = naming.model_name(request.new_model_id, "new_model_id")
    return c.RenameModel(**_attempt(request, project, actor), model=model, name=name, etag=request.etag)


def delete_model(request: model_registry_pb2.DeleteModelRequest, actor: str) -> c.DeleteModel:
    """What DeleteModel asks for."""
    project, model = names.model(request.name, "name")
    return c.DeleteModel(
        **_attempt(request, project, actor),
        model=model,
        force=request.force,
        reason=naming.prose(request.reason, "reason"),
        etag=request.etag,
    )


def undelete_model(request: model_registry_pb2.UndeleteModelRequest, actor: str) -> c.UndeleteModel:
    """What UndeleteModel asks for."""
    project, model = names.model(request.name, "name")
    reason = naming.prose(request.reason, "reason")
    return c.UndeleteModel(**_attempt(request, project, actor), model=model, reason=reason)


def purge_model(request: model_registry_pb2.PurgeModelRequest, actor: str) -> c.PurgeModel:
    """What PurgeModel asks for."""
    project, model = names.model(request.name, "name")
    reason = naming.prose(request.reason, "reason")
    return c.PurgeModel(**_attempt(request, project, actor), model=model, reason=reason)


def update_version(request: model_registry_pb2.UpdateModelVersionRequest, actor: str) -> c.UpdateVersion:
    """What UpdateModelVersion asks for."""
    project, model, which = names.version(request.model_version.name, "model_version.name")
    paths = _paths(request.update_mask.paths, _VERSION_FIELDS)
    given = _new_version(request.model_version) if "version_name" in paths else _unnamed(request.model_version)
    changes = {_VERSION_FIELDS[path]: getattr(given, _VERSION_FIELDS[path]) for path in paths}
    return c.UpdateVersion(
        **_attempt(request, project, actor),
        model=model,
        reference=which,
        changes=changes,
        etag=request.model_version.etag,
    )


def delete_version(request: model_registry_pb2.DeleteModelVersionRequest, actor: str) -> c.DeleteVersion:
    """What DeleteModelVersion asks for."""
    project, model, which = names.version(request.name, "name")
    return c.DeleteVersion(
        **_attempt(request, project, actor),
        model=model,
        reference=which,
        force=request.force,
        reason=naming.prose(request.reason, "reason"),
        etag=request.etag,
    )


def undelete_version(request: model_registry_pb2.UndeleteModelVersionRequest, actor: str) -> c.UndeleteVersion:
    """What UndeleteModelVersion asks for."""
    project, model, which = names.version(request.name, "name")
    reason = naming.prose(request.reason, "reason")
    return c.UndeleteVersion(**_attempt(request, project, actor), model=model, reference=which, reason=reason)


def start_run(request: run_registry_pb2.StartRunRequest, actor: str) -> c.StartRun:
    """What StartRun asks for."""
    project = names.project(request.parent, "parent")
    return c.StartRun(
        **_attempt(request, project, actor),
        run=naming.run_id(request.run_id),
        pipeline=naming.prose(request.run.pipeline, "run.pipeline"),
        host=naming.prose(request.run.host, "run.host"),
        config=_config(request.config) if request.HasField("config") else None,
    )


def finish_run(request: run_registry_pb2.FinishRunRequest, actor: str) -> c.FinishRun:
    """What FinishRun asks for."""
    project, run = names.run(request.name, "name")
    if request.state not in _OUTCOMES:
        raise InvalidField("state", request.state, "a run finishes as succeeded or failed")
    # What went wrong must be kept even when it is longer than the field.
    error = request.error.encode()[: naming.MAX_TEXT].decode(errors="ignore")
    return c.FinishRun(**_attempt(request, project, actor), run=run, state=_OUTCOMES[request.state], error=error)


def interest(request: event_log_pb2.WatchRequest) -> tuple[str, str, Interest]:
    """The project, the model (empty for all) and the rest of what Watch asks for."""
    project, model = names.project(request.parent, "parent"), ""
    if request.model:
        owner, model = names.model(request.model, "model")
        if owner != project:
            raise InvalidField("model", request.model, f"it belongs to another project than {request.parent}")
    known = {number: Kind(name.removeprefix("EVENT_KIND_").lower()) for name, number in _KINDS.items() if number}
    for kind in request.kinds:
        if kind not in known:
            raise InvalidField("kinds", kind, "name kinds of events")
    return (
        project,
        model,
        Interest(
            after=cursor(request.after_revision) if request.HasField("after_revision") else None,
            log_id=request.log_id,
            kinds=frozenset(known[kind] for kind in request.kinds),
        ),
    )


def cursor(after_revision: int) -> int:
    """The revision after which to read; InvalidField if it cannot be one."""
    if after_revision < 0:
        raise InvalidField("after_revision", after_revision, "revisions go from 1; 0 reads from the first on")
    return after_revision


def _attempt(request: Any, project: str, actor: str) -> Attempt:
    return Attempt(
        project=project,
        actor=actor,
        request_id=naming.request_id(request.request_id),
        fingerprint=_fingerprint(request) if request.request_id else b"",
        validate_only=getattr(request, "validate_only", False),
    )


def _fingerprint(request: Message) -> bytes:
    """What tells this request from another of the same request_id: its type and its content, whatever its encoding."""
    content = request.SerializeToString(deterministic=True)
    return hashlib.sha256(request.DESCRIPTOR.full_name.encode() + b"\0" + content).digest()[:16]


def _card(model: model_pb2.Model) -> ModelCard:
    texts = {
        name: naming.prose(getattr(model, name), f"model.{name}")
        for name in ("description", "license", "audience", "use_cases", "limitations", "trade_offs", "ethics")
    }
    return ModelCard(**texts, tags=naming.tags(tuple(model.tags), "model.tags"))


def _new_version(version: model_pb2.ModelVersion) -> c.NewVersion:
    if not version.ByteSize():
        return _PLAIN_VERSION
    name = naming.version_name(version.version_name, "model_version.version_name") if version.version_name else None
    return c.NewVersion(
        name=name,
        description=naming.prose(version.description, "model_version.description"),
        tags=naming.tags(tuple(version.tags), "model_version.tags"),
        metadata=_metadata(version.metadata),
    )


def _unnamed(version: model_pb2.ModelVersion) -> c.NewVersion:
    """What the message says of a version, but for its name, which is not asked for."""
    unnamed = model_pb2.ModelVersion(description=version.description, tags=version.tags)
    return _new_version(unnamed)


def _paths(asked: Iterable[str], known: Mapping[str, str]) -> list[str]:
    """The paths of an update mask; InvalidField."""
    paths = list(dict.fromkeys(asked))
    if not paths:
        raise InvalidField("update_mask", "empty", f"name the fields to change, of {', '.join(known)}")
    for path in paths:
        if path not in known:
            raise InvalidField("update_mask", path, f"the fields that can be changed are {', '.join(known)}")
    return paths


def _config(config: model_pb2.ModelConfig) -> c.Config:
    return c.Config(
        model=naming.model_name(config.model, "config.model"),
        reference=reference.parse_selector(config.version, "config.version"),
        card=_card(config.new_model),
        version=_new_version(config.new_version),
    )


def _metadata(values: Mapping[str, model_pb2.MetadataValue]) -> dict[str, Value]:
    return metadata.checked({key: _value(key, value) for key, value in values.items()}) if values else {}


def _value(key: str, value: model_pb2.MetadataValue) -> Value:
    match value.WhichOneof("kind"):
        case "number":
            return value.number
        case "text":
            return value.text
        case "flag":
            return value.flag
        case "time":
            if not (_FIRST_SECOND <= value.time.seconds <= _LAST_SECOND and 0 <= value.time.nanos < 1_000_000_000):
                raise InvalidField(f"metadata[{key!r}]", value.time.seconds, "a time is of the years 1 to 9999")
            return Time(value.time.seconds * 1_000_000 + value.time.nanos // 1000)
        case "uri":
            return Uri(value.uri)
        case "list":
            return tuple(_value(key, item) for item in value.list.values)
        case "map":
            return {name: _value(key, item) for name, item in value.map.values.items()}
        case None:
            raise InvalidField(f"metadata[{key!r}]", "empty", "give it a number, text, flag, time, uri, list or map")


def _expected(request: model_registry_pb2.SetAliasRequest | model_registry_pb2.DeleteAliasRequest) -> int | None:
    return request.expected_number if request.HasField("expected_number") else None
