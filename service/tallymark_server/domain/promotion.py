"""The rules for stages and aliases: who holds them, and how they move between versions."""

from __future__ import annotations

from tallymark_server.domain.capacity import check_aliases, check_version
from tallymark_server.domain.commands import DeleteAlias, SetAlias, SetStage
from tallymark_server.domain.errors import (
    AliasMoved,
    EtagMismatch,
    InvalidField,
    RunNotSucceeded,
    StageMoved,
    StageOccupied,
)
from tallymark_server.domain.event_recorder import EventRecorder
from tallymark_server.domain.events import Kind
from tallymark_server.domain.model import EXCLUSIVE_STAGES, ModelVersion, RunState, Stage
from tallymark_server.domain.reference import aliased, in_stage
from tallymark_server.domain.state import State


def etag(mod_revision: int) -> str:
    """Return the etag of a resource, which changes whenever the resource does."""
    return f"r{mod_revision}"


def check_etag(state: State, version: ModelVersion, given: str) -> None:
    """Raise EtagMismatch if an etag is given and is not that of the current version."""
    if given and given != etag(version.mod_revision):
        raise EtagMismatch(state.project, version.model, version.number, etag(version.mod_revision))


def set_stage(state: State, command: SetStage, recorder: EventRecorder) -> ModelVersion:
    """Move a version to a stage; with force, archive the version that holds it. Return the version."""
    version = state.version(command.model, command.reference)
    check_etag(state, version, command.etag)
    holder = _expected_holder(state, version.model, command)
    if version.stage is command.stage:
        return version
    if command.stage in EXCLUSIVE_STAGES:
        _check_run(state, version, command)
    if holder is not None:
        if not command.force:
            raise StageOccupied(state.project, version.model, command.stage.value, holder.number)
        change_stage(holder, Stage.ARCHIVED, command.reason, recorder)
    return change_stage(version, command.stage, command.reason, recorder)


def set_alias(state: State, command: SetAlias, recorder: EventRecorder) -> ModelVersion:
    """Point an alias at a version, away from any other. Return the version."""
    version = state.version(command.model, command.reference)
    holder = state.find(command.model, aliased(command.alias))
    _check_expected(state, version.model, command.alias, holder, command.expected)
    if holder is not None and holder.number == version.number:
        return version
    check_aliases(version, of_model=len(state.holders[version.model].aliases) if holder is None else 0)
    if holder is not None:
        drop_alias(holder, command.alias, command.reason, recorder)
    image = recorder.changed(version, aliases=tuple(sorted({*version.aliases, command.alias})))
    check_version(image, version)
    previous = holder.number if holder else 0
    recorder.record(Kind.ALIAS_SET, image, reason=command.reason, alias=command.alias, previous_number=previous)
    return image


def delete_alias(state: State, command: DeleteAlias, recorder: EventRecorder) -> ModelVersion:
    """Delete an alias. Return the version that had it."""
    holder = state.version(command.model, command.reference)
    alias = str(command.reference.value)
    _check_expected(state, holder.model, alias, holder, command.expected)
    return drop_alias(holder, alias, command.reason, recorder)


def change_stage(version: ModelVersion, stage: Stage, reason: str, recorder: EventRecorder) -> ModelVersion:
    """Record that the version moves to another stage. Return the version."""
    image = recorder.changed(version, stage=stage)
    recorder.record(Kind.STAGE_CHANGED, image, reason=reason, previous_stage=version.stage)
    return image


def drop_alias(holder: ModelVersion, alias: str, reason: str, recorder: EventRecorder) -> ModelVersion:
    """Delete an alias. Return the version that had it."""
    image = recorder.changed(holder, aliases=tuple(name for name in holder.aliases if name != alias))
    recorder.record(Kind.ALIAS_DELETED, image, reason=reason, alias=alias, previous_number=holder.number)
    return image


def _expected_holder(state: State, model: str, command: SetStage) -> ModelVersion | None:
    """Return the version that holds the stage, None for no version. Raises StageMoved, InvalidField."""
    if command.stage not in EXCLUSIVE_STAGES:
        if command.expected is not None:
            raise InvalidField("expected_number", command.expected, "only staging and production hold one version")
        return None
    holder = state.find(command.model, in_stage(command.stage))
    number = 0 if holder is None else holder.number
    if command.expected is not None and command.expected != number:
        raise StageMoved(state.project, model, command.stage.value, number)
    return holder


def _check_run(state: State, version: ModelVersion, command: SetStage) -> None:
    """Raise RunNotSucceeded if the version's run did not succeed and that is not allowed, or InvalidField."""
    if version.run_state in (None, RunState.SUCCEEDED):
        return
    if not command.allow_unfinished_run:
        run, run_state = version.run or "", version.run_state or RunState.RUNNING
        raise RunNotSucceeded(state.project, version.model, version.number, run, run_state.value)
    if not command.reason.strip():
        raise InvalidField(
            "reason", command.reason, "with allow_unfinished_run, say why the version is good all the same"
        )


def _check_expected(state: State, model: str, alias: str, holder: ModelVersion | None, expected: int | None) -> None:
    number = 0 if holder is None else holder.number
    if expected is not None and expected != number:
        raise AliasMoved(state.project, model, alias, number)
