"""Decide commands: from the state and a command to its answer and events, or to a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import replace

from tallymark_server.domain import commands as c
from tallymark_server.domain import lifecycle
from tallymark_server.domain.artifacts import link_artifact, unlink_artifact
from tallymark_server.domain.erasure import erase
from tallymark_server.domain.errors import ProjectNotFound, RegistryError, RequestIdReused
from tallymark_server.domain.event_recorder import EventRecorder
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.metrics import log_metadata
from tallymark_server.domain.model import (
    Artifact,
    Erasure,
    Holders,
    Model,
    ModelVersion,
    Project,
    Resource,
    Run,
    RunStep,
)
from tallymark_server.domain.projects import create_project
from tallymark_server.domain.promotion import delete_alias, set_alias, set_stage
from tallymark_server.domain.runs import (
    finish_run,
    finish_step,
    lose_run,
    report_problems,
    resume_run,
    start_run,
    start_step,
)
from tallymark_server.domain.state import Receipt, State
from tallymark_server.domain.versions import create_model, create_versions, ensure_version

Outcome = (
    Erasure
    | Project
    | Model
    | ModelVersion
    | tuple[ModelVersion, ...]
    | Run
    | RunStep
    | Artifact
    | c.Ensured
    | c.Started
)
AnyCommand = (
    c.CreateProject
    | c.CreateModel
    | c.CreateVersions
    | c.EnsureVersion
    | c.SetStage
    | c.SetAlias
    | c.DeleteAlias
    | c.LogMetadata
    | c.UpdateModel
    | c.RenameModel
    | c.DeleteModel
    | c.UndeleteModel
    | c.PurgeModel
    | c.UpdateVersion
    | c.DeleteVersion
    | c.UndeleteVersion
    | c.PurgeVersion
    | c.LinkArtifact
    | c.UnlinkArtifact
    | c.StartRun
    | c.FinishRun
    | c.LoseRun
    | c.ResumeRun
    | c.ReportProblems
    | c.StartStep
    | c.FinishStep
    | c.Erase
)


class Decision(Struct, frozen=True):
    """The answer to a command, and the events that make it true (none if it is true already)."""

    outcome: Outcome
    events: tuple[Event, ...]


def handle(state: State, command: AnyCommand, now: int) -> Decision:
    """Decide the command and apply its events to the state. Raises a RegistryError, which leaves the state as it was.

    A request that was answered before gets the same answer again, without effect. For that, the state keeps a receipt
    of every answer to a request_id, refusals included.
    """
    if not command.request_id or command.validate_only:
        return _decide_and_evolve(state, command, now)
    receipt = state.receipt(command.request_id, now)
    if receipt is not None:
        if receipt.fingerprint != command.fingerprint:
            raise RequestIdReused(state.project, command.request_id)
        return Decision(replay(command, receipt), ())
    try:
        decision = _decide_and_evolve(state, command, now)
    except RegistryError as refusal:
        if refusal.is_answer:
            state.remember(command.request_id, Receipt(fingerprint=command.fingerprint, time=now, refusal=refusal))
        raise
    state.remember(command.request_id, _receipt(command, decision, state, now))
    return decision


def decide(state: State, command: AnyCommand, now: int) -> Decision:
    """Return the answer to the command, and the events that make it true, without changing the state."""
    if state.is_new and not isinstance(command, c.CreateProject):
        raise ProjectNotFound(state.project)
    recorder = EventRecorder(state, command, now)
    outcome = _HANDLERS[type(command)](state, command, recorder)
    if isinstance(outcome, Model):
        outcome = replace(outcome, holders=_held(state, command))
    return Decision(outcome, tuple(recorder.events))


def replay(command: AnyCommand, receipt: Receipt) -> Outcome:
    """Return the answer that the command got before. Raises the RegistryError with which it was refused."""
    if receipt.refusal is not None:
        raise receipt.refusal
    kinds = {event.kind for event in receipt.events}
    images = (*(event.image for event in receipt.events), *receipt.images)
    versions = [image for image in images if isinstance(image, ModelVersion)]
    match command:
        case c.CreateVersions():
            return tuple(cast("ModelVersion", event.image) for event in receipt.events)
        case c.EnsureVersion():
            return c.Ensured(versions[-1], created=Kind.VERSION_CREATED in kinds)
        case c.StartRun():
            run = next(image for image in images if isinstance(image, Run))
            return c.Started(run, Kind.RUN_STARTED in kinds, versions[-1] if versions else None)
        case c.RunCommand():
            # The images of its versions follow it.
            return cast("Run", images[0])
        case _:
            last = images[-1]
            return replace(last, holders=receipt.holders) if isinstance(last, Model) else cast("Outcome", last)


# The function that decides each command of the union.
_HANDLERS: dict[type, Callable[[State, Any, EventRecorder], Outcome]] = {
    c.CreateProject: create_project,
    c.CreateModel: create_model,
    c.CreateVersions: create_versions,
    c.EnsureVersion: ensure_version,
    c.SetStage: set_stage,
    c.SetAlias: set_alias,
    c.DeleteAlias: delete_alias,
    c.LogMetadata: log_metadata,
    c.UpdateModel: lifecycle.update_model,
    c.RenameModel: lifecycle.rename_model,
    c.DeleteModel: lifecycle.delete_model,
    c.UndeleteModel: lifecycle.undelete_model,
    c.PurgeModel: lifecycle.purge_model,
    c.UpdateVersion: lifecycle.update_version,
    c.DeleteVersion: lifecycle.delete_version,
    c.UndeleteVersion: lifecycle.undelete_version,
    c.PurgeVersion: lifecycle.purge_version,
    c.LinkArtifact: link_artifact,
    c.UnlinkArtifact: unlink_artifact,
    c.StartRun: start_run,
    c.FinishRun: finish_run,
    c.LoseRun: lose_run,
    c.ResumeRun: resume_run,
    c.ReportProblems: report_problems,
    c.StartStep: start_step,
    c.FinishStep: finish_step,
    c.Erase: erase,
}


def _decide_and_evolve(state: State, command: AnyCommand, now: int) -> Decision:
    decision = decide(state, command, now)
    if command.validate_only:
        return Decision(decision.outcome, ())
    for event in decision.events:
        state.evolve(event)
    return decision


def _receipt(command: AnyCommand, decision: Decision, state: State, now: int) -> Receipt:
    outcome = decision.outcome
    images: tuple[Resource | None, ...]
    match outcome:
        case c.Ensured():
            images = (outcome.version,)
        case c.Started():
            images = (outcome.run, outcome.version)
        case tuple():
            images = outcome
        case _:
            images = (outcome,)
    return Receipt(
        fingerprint=command.fingerprint,
        time=now,
        revision=0 if decision.events else state.revision,
        events=decision.events,
        images=tuple(image for image in images if image is not None),
        holders=outcome.holders if isinstance(outcome, Model) else None,
    )


def _held(state: State, command: AnyCommand) -> Holders:
    """Return the holders of the model that is the answer to the command."""
    match command:
        case c.ModelCommand() if not isinstance(command, c.PurgeModel):
            # No other command about a model as a whole changes who holds its places.
            return state.holders[command.model]
        case _:
            return Holders()
