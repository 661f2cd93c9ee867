"""Decides: from what is known and what is asked, to what happens, or to a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import replace

from tallymark_server.domain import changing
from tallymark_server.domain import commands as c
from tallymark_server.domain.errors import RequestIdReused, VersionNotFound
from tallymark_server.domain.events import Event
from tallymark_server.domain.linking import link_artifact, unlink_artifact
from tallymark_server.domain.measuring import log_metadata
from tallymark_server.domain.model import Artifact, Holders, Model, ModelVersion, Project, Run, RunStep, VersionUse
from tallymark_server.domain.numbering import create_model, create_versions, ensure_version
from tallymark_server.domain.projects import create_project
from tallymark_server.domain.promotion import delete_alias, set_alias, set_stage
from tallymark_server.domain.running import (
    finish_run,
    finish_step,
    lose_run,
    report_problems,
    resume_run,
    start_run,
    start_step,
)
from tallymark_server.domain.scribe import Scribe
from tallymark_server.domain.state import Receipt, State

Outcome = Project | Model | ModelVersion | tuple[ModelVersion, ...] | Run | RunStep | Artifact | c.Ensured | c.Started
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
)


class Decision(Struct, frozen=True):
    """What a command comes to: the answer, and the events that make it true (none if it is true already)."""

    outcome: Outcome
    events: tuple[Event, ...]


def take(state: State, command: AnyCommand, now: int) -> Decision:
    """Decide the command and let the state take in what happens; a RegistryError leaves the state as it was.

    A request that had an effect before is answered as it was answered then, and has no effect again.
    """
    receipt = state.receipts[command.request_id] if command.request_id and not command.validate_only else None
    if receipt is not None:
        if receipt.fingerprint != command.fingerprint:
            raise RequestIdReused(state.project, command.request_id)
        outcome = replay(state, command, receipt)
        return Decision(replace(outcome, holders=receipt.holders) if isinstance(outcome, Model) else outcome, ())
    decision = decide(state, command, now)
    held = None
    if isinstance(decision.outcome, Model):
        held = _held(state, command)
        decision = Decision(replace(decision.outcome, holders=held), decision.events)
    if command.validate_only:
        return Decision(decision.outcome, ())
    for event in decision.events:
        state.evolve(event)
    if command.request_id and decision.events:
        state.receipts[command.request_id] = Receipt(command.fingerprint, decision.events, held)
    return decision


def decide(state: State, command: AnyCommand, now: int) -> Decision:
    """The answer to the command, and the events that make it true. Reads the state, and changes nothing."""
    scribe = Scribe(state, command, now)
    outcome = _ANSWERS[type(command)](state, command, scribe)
    return Decision(outcome, tuple(scribe.events))


def replay(state: State, command: AnyCommand, receipt: Receipt) -> Outcome:
    """The answer that the command was given when it had its effect."""
    last = receipt.events[-1].image
    match command:
        case c.CreateVersions():
            return tuple(cast("ModelVersion", event.image) for event in receipt.events)
        case c.EnsureVersion() if isinstance(last, VersionUse):
            return c.Ensured(_used(state, last), created=False)
        case c.EnsureVersion():
            return c.Ensured(cast("ModelVersion", last), created=True)
        case c.StartRun() if isinstance(last, Run):
            version = None if last.model is None else state.versions.get((last.model, last.number))
            return c.Started(last, created=True, version=version)
        case c.StartRun():
            version = _used(state, last) if isinstance(last, VersionUse) else cast("ModelVersion", last)
            return c.Started(_known(state.runs[command.run]), created=False, version=version)
        case c.RunCommand():
            # What the run's versions became follows it.
            return cast("Run", receipt.events[0].image)
        case _:
            return cast("Outcome", last)


# What answers each command; every command of the union has its place here.
_ANSWERS: dict[type, Callable[[State, Any, Scribe], Outcome]] = {
    c.CreateProject: create_project,
    c.CreateModel: create_model,
    c.CreateVersions: create_versions,
    c.EnsureVersion: ensure_version,
    c.SetStage: set_stage,
    c.SetAlias: set_alias,
    c.DeleteAlias: delete_alias,
    c.LogMetadata: log_metadata,
    c.UpdateModel: changing.update_model,
    c.RenameModel: changing.rename_model,
    c.DeleteModel: changing.delete_model,
    c.UndeleteModel: changing.undelete_model,
    c.PurgeModel: changing.purge_model,
    c.UpdateVersion: changing.update_version,
    c.DeleteVersion: changing.delete_version,
    c.UndeleteVersion: changing.undelete_version,
    c.PurgeVersion: changing.purge_version,
    c.LinkArtifact: link_artifact,
    c.UnlinkArtifact: unlink_artifact,
    c.StartRun: start_run,
    c.FinishRun: finish_run,
    c.LoseRun: lose_run,
    c.ResumeRun: resume_run,
    c.ReportProblems: report_problems,
    c.StartStep: start_step,
    c.FinishStep: finish_step,
}


def _held(state: State, command: AnyCommand) -> Holders:
    """Return who holds the places of the model with which the command is answered."""
    match command:
        case c.ModelCommand() if not isinstance(command, c.PurgeModel):
            # No other command about a model as a whole changes who holds its places.
            return state.holders[command.model]
        case _:
            return Holders()


def _used(state: State, use: VersionUse) -> ModelVersion:
    version = state.versions[(use.model, use.number)]
    if version is None:  # purged since, with all that could be answered
        raise VersionNotFound(state.project, use.model, str(use.number))
    return version


def _known(run: Run | None) -> Run:
    assert run is not None, "a run that was joined exists"  # noqa: S101
    return run
