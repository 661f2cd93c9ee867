"""The rules for updating, renaming, deleting, undeleting and purging. A number is never assigned again."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tallymark_server.domain import commands as c
from tallymark_server.domain.capacity import check_card, check_version
from tallymark_server.domain.errors import (
    EtagMismatch,
    ModelExists,
    ModelNotDeleted,
    VersionInUse,
    VersionNameTaken,
    VersionNotDeleted,
)
from tallymark_server.domain.event_recorder import EventRecorder
from tallymark_server.domain.events import Kind
from tallymark_server.domain.metadata import merged, same
from tallymark_server.domain.model import EXCLUSIVE_STAGES, Model, ModelCard, ModelVersion, Stage
from tallymark_server.domain.promotion import change_stage, check_etag, drop_alias, etag
from tallymark_server.domain.reference import in_stage, named
from tallymark_server.domain.state import State


def update_model(state: State, command: c.UpdateModel, recorder: EventRecorder) -> Model:
    """Change the card of a model. Return the model."""
    model = state.model(command.model)
    _check_model_etag(state, model, command.etag)
    changes = _different(model.card, command.changes)
    if not changes:
        return model
    card = check_card(replace(model.card, **changes), model.card)
    return _write(recorder, Kind.MODEL_UPDATED, recorder.changed_model(model, card=card))


def rename_model(state: State, command: c.RenameModel, recorder: EventRecorder) -> Model:
    """Rename a model. Return the model."""
    model = state.model(command.model)
    _check_model_etag(state, model, command.etag)
    if command.name == model.name:
        return model
    if state.models[command.name] is not None:
        raise ModelExists(state.project, command.name)
    image = recorder.changed_model(model, name=command.name)
    recorder.record(Kind.MODEL_RENAMED, image, previous_name=model.name)
    return image


def delete_model(state: State, command: c.DeleteModel, recorder: EventRecorder) -> Model:
    """Delete a model. Return the model."""
    model = state.model(command.model)
    _check_model_etag(state, model, command.etag)
    holder = state.find(command.model, in_stage(Stage.PRODUCTION))
    if holder is not None and not command.force:
        raise VersionInUse(state.project, model.name, holder.number)
    image = recorder.changed_model(model, delete_time=recorder.time)
    return _write(recorder, Kind.MODEL_DELETED, image, command.reason)


def undelete_model(state: State, command: c.UndeleteModel, recorder: EventRecorder) -> Model:
    """Undelete a model. Return the model."""
    model = _deleted_model(state, command.model)
    return _write(recorder, Kind.MODEL_UNDELETED, recorder.changed_model(model, delete_time=None), command.reason)


def purge_model(state: State, command: c.PurgeModel, recorder: EventRecorder) -> Model:
    """Purge a model; only its last number stays. Return the model."""
    model = _deleted_model(state, command.model)
    return _write(recorder, Kind.MODEL_PURGED, recorder.changed_model(model, purged=True), command.reason)


def update_version(state: State, command: c.UpdateVersion, recorder: EventRecorder) -> ModelVersion:
    """Change the name, description or tags of a version. Return the version."""
    version = state.version(command.model, command.reference)
    check_etag(state, version, command.etag)
    changes = dict(command.changes)
    if "metadata" in changes:
        # The last values of series are not set by hand; LogMetadata ends a series.
        measured = {key: value for key, value in version.metadata.items() if key in version.series}
        changes["metadata"] = merged(changes["metadata"], measured)
    changes = _different(version, changes)
    if not changes:
        return version
    if "name" in changes:
        _check_name_free(state, version, changes["name"])
    image = check_version(recorder.changed(version, **changes), version)
    if "name" in changes:
        recorder.record(Kind.VERSION_RENAMED, image, previous_name=version.name or str(version.number))
    else:
        recorder.record(Kind.VERSION_UPDATED, image)
    return image


def delete_version(state: State, command: c.DeleteVersion, recorder: EventRecorder) -> ModelVersion:
    """Delete a version, which leaves its stage and loses its aliases. Return the version."""
    version = state.version(command.model, command.reference)
    check_etag(state, version, command.etag)
    if version.stage is Stage.PRODUCTION and not command.force:
        raise VersionInUse(state.project, version.model, version.number)
    for alias in version.aliases:
        version = drop_alias(version, alias, command.reason, recorder)
    if version.stage in EXCLUSIVE_STAGES:
        version = change_stage(version, Stage.ARCHIVED, command.reason, recorder)
    # A run whose automatic version is deleted gets a new one with its next request.
    image = recorder.changed(version, delete_time=recorder.time, automatic=False)
    recorder.record(Kind.VERSION_DELETED, image, reason=command.reason)
    return image


def undelete_version(state: State, command: c.UndeleteVersion, recorder: EventRecorder) -> ModelVersion:
    """Undelete a version. Return the version."""
    version = state.any_version(command.model, command.reference)
    if version.delete_time is None:
        raise VersionNotDeleted(state.project, version.model, version.number)
    image = recorder.changed(version, delete_time=None)
    recorder.record(Kind.VERSION_UNDELETED, image, reason=command.reason)
    return image


def purge_version(state: State, command: c.PurgeVersion, recorder: EventRecorder) -> ModelVersion:
    """Purge a version; only its number and its name stay. Return the version."""
    version = state.any_version(command.model, command.reference)
    if version.delete_time is None:
        raise VersionNotDeleted(state.project, version.model, version.number)
    image = recorder.changed(version, purged=True)
    recorder.record(Kind.VERSION_PURGED, image, reason=command.reason)
    return image


def _deleted_model(state: State, name: str) -> Model:
    model = state.any_model(name)
    if model.delete_time is None:
        raise ModelNotDeleted(state.project, name)
    return model


def _different(known: ModelCard | ModelVersion, changes: dict[str, Any]) -> dict[str, Any]:
    """Return the changes without fields that have that value already."""
    return {name: value for name, value in changes.items() if not same(value, getattr(known, name))}


def _write(recorder: EventRecorder, kind: Kind, image: Model, reason: str = "") -> Model:
    recorder.record(kind, image, reason=reason)
    return image


def _check_model_etag(state: State, model: Model, given: str) -> None:
    if given and given != etag(model.mod_revision):
        raise EtagMismatch(state.project, model.name, 0, etag(model.mod_revision))


def _check_name_free(state: State, version: ModelVersion, name: str | None) -> None:
    holder = None if name is None else state.pointers[(version.model, named(name))]
    if name is not None and holder is not None:
        raise VersionNameTaken(state.project, version.model, name, holder)
