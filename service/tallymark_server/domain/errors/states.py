"""Errors of state: what the registry does not allow now."""

from __future__ import annotations

from tallymark_server.domain.errors.branches import Conflict, Refused, shown


class StageOccupied(Refused):
    """Another version is in that stage, and the request has no `force`."""

    reason = "STAGE_OCCUPIED"

    def __init__(self, project: str, model: str, stage: str, number: int) -> None:
        super().__init__(
            f"number {number} of model {shown(model)} is in {stage}; repeat with force to move it to the archive",
            project=project,
            model=model,
            stage=stage,
            number=number,
        )


class RunNotSucceeded(Refused):
    """The run of the version did not succeed, and the request does not allow that."""

    reason = "RUN_NOT_SUCCEEDED"

    def __init__(self, project: str, model: str, number: int, run: str, run_state: str) -> None:
        what = {"running": "is still running", "lost": "is lost"}.get(run_state, run_state)
        wait = "wait until the run has succeeded, or " if run_state == "running" else ""
        super().__init__(
            f"run {shown(run)}, which made number {number} of model {shown(model)}, {what}; {wait}repeat with"
            " allow_unfinished_run and a reason to promote the version all the same",
            project=project,
            model=model,
            number=number,
            run=run,
            run_state=run_state,
        )


class RunFinished(Refused):
    """The run is finished with another outcome."""

    reason = "RUN_FINISHED"

    def __init__(self, project: str, run: str, state: str) -> None:
        super().__init__(
            f"run {shown(run)} is finished already: {state}; start another run", project=project, run=run, state=state
        )


class StepFinished(Refused):
    """The step is finished with another outcome."""

    reason = "STEP_FINISHED"

    def __init__(self, project: str, run: str, step: str, state: str) -> None:
        super().__init__(
            f"step {shown(step)} of run {shown(run)} is finished already: {state}; start another step",
            project=project,
            run=run,
            step=step,
            state=state,
        )


class RequestIdReused(Refused):
    """The request_id was used before, with another request."""

    reason = "REQUEST_ID_REUSED"

    def __init__(self, project: str, request_id: str) -> None:
        super().__init__(
            f"request_id {shown(request_id)} was used before with another request; give each request an id of its own,"
            " and repeat an id only with the very same request",
            project=project,
            request_id=request_id,
        )


class LogReplaced(Refused):
    """The cursor belongs to another log than this one."""

    reason = "LOG_REPLACED"

    def __init__(self, log_id: str, oldest: int, newest: int) -> None:
        super().__init__(
            f"the cursor belongs to another log; this one is {log_id} and goes from {oldest} to {newest}: read the"
            " present state, then watch from it",
            log_id=log_id,
            oldest=oldest,
            newest=newest,
        )


class LimitReached(Refused):
    """A version, model or run holds as much as it can."""

    reason = "LIMIT_REACHED"

    def __init__(self, field: str, limit: int, what: str, remedy: str) -> None:
        super().__init__(f"{what}, and {limit:,} is the most; {remedy}", field=field, limit=limit, remedy=remedy)


class EtagMismatch(Conflict):
    """The resource was changed since the etag was read."""

    reason = "ETAG_MISMATCH"

    def __init__(self, project: str, model: str, number: int, etag: str) -> None:
        what = f"number {number} of model" if number else "model"
        super().__init__(
            f"{what} {shown(model)} was changed since you read it; read it again and decide again",
            project=project,
            model=model,
            number=number,
            etag=etag,
        )


class AliasMoved(Conflict):
    """The alias points elsewhere than the request expects."""

    reason = "ALIAS_MOVED"

    def __init__(self, project: str, model: str, alias: str, number: int) -> None:
        where = f"points at number {number}" if number else "does not exist"
        super().__init__(
            f"alias {shown(alias)} of model {shown(model)} {where} now, not where you expected it; read it again and"
            " decide again",
            project=project,
            model=model,
            alias=alias,
            number=number,
        )


class StageMoved(Conflict):
    """Another version holds the stage than the request expects."""

    reason = "STAGE_MOVED"

    def __init__(self, project: str, model: str, stage: str, number: int) -> None:
        holder = f"number {number}" if number else "no version"
        super().__init__(
            f"{holder} of model {shown(model)} is in {stage} now, not the one that you expected; read it again and"
            " decide again",
            project=project,
            model=model,
            stage=stage,
            number=number,
        )


class ModelDeleted(Refused):
    """The model is deleted."""

    reason = "MODEL_DELETED"

    def __init__(self, project: str, model: str) -> None:
        super().__init__(
            f"model {shown(model)} is deleted; undelete it first, or purge it to begin anew under its name",
            project=project,
            model=model,
        )


class VersionDeleted(Refused):
    """The version is deleted."""

    reason = "VERSION_DELETED"

    def __init__(self, project: str, model: str, number: int) -> None:
        super().__init__(
            f"number {number} of model {shown(model)} is deleted; undelete it first",
            project=project,
            model=model,
            number=number,
        )


class VersionInUse(Refused):
    """The version is in production, and the request has no `force`."""

    reason = "VERSION_IN_USE"

    def __init__(self, project: str, model: str, number: int) -> None:
        super().__init__(
            f"number {number} of model {shown(model)} is in production; delete with force to delete it anyway",
            project=project,
            model=model,
            number=number,
        )


class ModelNotDeleted(Refused):
    """The model is not deleted."""

    reason = "MODEL_NOT_DELETED"

    def __init__(self, project: str, model: str) -> None:
        super().__init__(
            f"model {shown(model)} is not deleted; delete it first",
            project=project,
            model=model,
        )


class VersionNotDeleted(Refused):
    """The version is not deleted."""

    reason = "VERSION_NOT_DELETED"

    def __init__(self, project: str, model: str, number: int) -> None:
        super().__init__(
            f"number {number} of model {shown(model)} is not deleted",
            project=project,
            model=model,
            number=number,
        )


class ErasedSince(Refused):
    """Content up to the revision was erased by a later event."""

    reason = "ERASED_SINCE"

    def __init__(self, project: str, revision: int, erased_at: int) -> None:
        super().__init__(
            f"content up to revision {revision} was erased at revision {erased_at}, without which the log does not"
            f" prove itself; export up to revision {erased_at}, or the whole log",
            project=project,
            revision=revision,
            erased_at=erased_at,
        )
