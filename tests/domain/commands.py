"""What is requested of the registry, in one line each."""

from __future__ import annotations

from typing import Any

from domain.events import CHURN, FIT, TRAIN

from tallymark_server.domain import commands as c
from tallymark_server.domain.model import (
    ArtifactType,
    ModelCard,
    Point,
    RecordingProblem,
    RunState,
    Stage,
    Value,
)
from tallymark_server.domain.reference import Reference, aliased, numbered, parse, parse_selector

# Who requests, and where.
ATTEMPT: dict[str, Any] = {"project": "default", "actor": "ben"}
NO_CARD = ModelCard()


def create_project(name: str = "default", **fields: Any) -> c.CreateProject:
    return c.CreateProject(**{**ATTEMPT, **fields, "project": name})


# Models.


def create_model(name: str = CHURN, *, card: ModelCard = NO_CARD, **fields: Any) -> c.CreateModel:
    return c.CreateModel(**ATTEMPT, model=name, card=card, **fields)


def update_model(name: str = CHURN, *, etag: str = "", **changes: Any) -> c.UpdateModel:
    return c.UpdateModel(**ATTEMPT, model=name, changes=changes, etag=etag)


def rename_model(old: str, new: str, **fields: Any) -> c.RenameModel:
    return c.RenameModel(**ATTEMPT, model=old, name=new, **fields)


def delete_model(name: str = CHURN, **fields: Any) -> c.DeleteModel:
    return c.DeleteModel(**ATTEMPT, model=name, **fields)


def undelete_model(name: str = CHURN, **fields: Any) -> c.UndeleteModel:
    return c.UndeleteModel(**ATTEMPT, model=name, **fields)


def purge_model(name: str = CHURN, **fields: Any) -> c.PurgeModel:
    return c.PurgeModel(**ATTEMPT, model=name, **fields)


# Versions. A version is referred to by its number, or by the last segment of its resource name: `@production`, `=1.0`.


def create_version(name: str | None = None, *, model: str = CHURN, **fields: Any) -> c.CreateVersions:
    return create_versions(name, model=model, **fields)


def create_versions(*names: str | None, model: str = CHURN, **fields: Any) -> c.CreateVersions:
    versions = tuple(c.NewVersion(name=name) for name in names)
    return c.CreateVersions(**ATTEMPT, model=model, versions=versions, **fields)


def config(version: str = "", *, model: str = CHURN, card: ModelCard = NO_CARD, **new: Any) -> c.Config:
    """What `Model(model, version)` in a program means."""
    return c.Config(model=model, reference=parse_selector(version), card=card, version=c.NewVersion(**new))


def ensure(version: str = "", run: str | None = None, *, model: str = CHURN, **fields: Any) -> c.EnsureVersion:
    return c.EnsureVersion(**{**ATTEMPT, "config": config(version, model=model), "run": run, **fields})


def update_version(version: int | str, *, model: str = CHURN, etag: str = "", **changes: Any) -> c.UpdateVersion:
    return c.UpdateVersion(**ATTEMPT, model=model, reference=meant(version), changes=changes, etag=etag)


def delete_version(version: int | str, *, model: str = CHURN, **fields: Any) -> c.DeleteVersion:
    return c.DeleteVersion(**ATTEMPT, model=model, reference=meant(version), **fields)


def undelete_version(version: int | str, *, model: str = CHURN, **fields: Any) -> c.UndeleteVersion:
    return c.UndeleteVersion(**ATTEMPT, model=model, reference=meant(version), **fields)


def purge_version(version: int | str, *, model: str = CHURN, **fields: Any) -> c.PurgeVersion:
    return c.PurgeVersion(**ATTEMPT, model=model, reference=meant(version), **fields)


def set_stage(version: int | str, stage: Stage, *, model: str = CHURN, **fields: Any) -> c.SetStage:
    return c.SetStage(**ATTEMPT, model=model, reference=meant(version), stage=stage, **fields)


def set_alias(version: int | str, alias: str, *, model: str = CHURN, **fields: Any) -> c.SetAlias:
    return c.SetAlias(**ATTEMPT, model=model, reference=meant(version), alias=alias, **fields)


def delete_alias(alias: str, *, model: str = CHURN, **fields: Any) -> c.DeleteAlias:
    return c.DeleteAlias(**ATTEMPT, model=model, reference=aliased(alias), **fields)


def log_metadata(
    version: int | str, metadata: dict[str, Value] | None = None, *points: Point, **fields: Any
) -> c.LogMetadata:
    asked = {"model": CHURN, "reference": meant(version), "metadata": metadata or {}, "points": points}
    return c.LogMetadata(**{**ATTEMPT, **asked, **fields})


def meant(version: int | str) -> Reference:
    return numbered(version) if isinstance(version, int) else parse(version)


# Artifacts.


def link(version: int | str, name: str, uri: str, **fields: Any) -> c.LinkArtifact:
    asked = {"model": CHURN, "reference": meant(version), "name": name, "type": ArtifactType.MODEL, "uri": uri}
    return c.LinkArtifact(**{**ATTEMPT, **asked, **fields})


def unlink(version: int | str, name: str, ordinal: int | None = None, **fields: Any) -> c.UnlinkArtifact:
    asked = {"model": CHURN, "reference": meant(version), "name": name, "ordinal": ordinal}
    return c.UnlinkArtifact(**{**ATTEMPT, **asked, **fields})


# Runs and steps.


def start_run(run: str = TRAIN, **fields: Any) -> c.StartRun:
    return c.StartRun(**{**ATTEMPT, "run": run, "pipeline": "training", **fields})


def finish_run(state: RunState, run: str = TRAIN, **fields: Any) -> c.FinishRun:
    return c.FinishRun(**ATTEMPT, run=run, state=state, **fields)


def lose_run(run: str = TRAIN, *, last_seen: int) -> c.LoseRun:
    return c.LoseRun(**ATTEMPT, run=run, last_seen=last_seen)


def resume_run(run: str = TRAIN) -> c.ResumeRun:
    """What a heartbeat of a lost run requests."""
    return c.ResumeRun(**ATTEMPT, run=run)


def report_problems(*problems: RecordingProblem, run: str = TRAIN) -> c.ReportProblems:
    return c.ReportProblems(**ATTEMPT, run=run, problems=problems)


def start_step(step: str = FIT, *, run: str = TRAIN, **fields: Any) -> c.StartStep:
    return c.StartStep(**{**ATTEMPT, "run": run, "step": step, "name": step, **fields})


def finish_step(state: RunState, step: str = FIT, *, run: str = TRAIN, **fields: Any) -> c.FinishStep:
    return c.FinishStep(**ATTEMPT, run=run, step=step, state=state, **fields)


def erase(*paths: str, reason: str = "law", **of: Any) -> c.Erase:
    """Of a `run`, or of a `model` with the version of a `reference`, or without; of the project without both."""
    attempt = {key: of.pop(key) for key in ("request_id", "fingerprint") if key in of}
    return c.Erase(**ATTEMPT, **attempt, what=c.Erasing(paths=paths, actor=ATTEMPT["actor"], **of), reason=reason)
