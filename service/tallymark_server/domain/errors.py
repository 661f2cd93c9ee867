"""The errors with which the registry refuses requests.

RegistryError
├── InvalidArgument      MalformedRequest, InvalidField, InvalidName, ReservedName, ValueTooLarge, InvalidPageToken,
│                        InvalidFilter
├── NotFound             ProjectNotFound, ModelNotFound, VersionNotFound, StageEmpty, AliasNotFound, RunNotFound,
│                        StepNotFound, ArtifactNotFound, NothingToErase, AccessNotFound
├── AlreadyExists        ProjectExists, ModelExists, VersionNameTaken, AccessExists
├── Refused              StageOccupied, RunNotSucceeded, RunFinished, StepFinished, RequestIdReused, LogReplaced,
│                        ModelDeleted, VersionDeleted, VersionInUse, ModelNotDeleted, VersionNotDeleted, LimitReached,
│                        ErasedSince, LastAdminToken, AccessControlOff
├── Conflict             EtagMismatch, AliasMoved, StageMoved
├── OutOfRange           RevisionInFuture
├── Unavailable          Overloaded, Stopping, StorageUnavailable, ClockJumped
│   └── ResourceExhausted CallerLimitExceeded, ProjectQuotaExceeded
├── DeadlineExceeded     CallTimedOut
├── Unauthenticated      UnknownCaller
├── Forbidden            ForeignOrigin, PermissionDenied
├── Unimplemented        UnsupportedCall
├── DataLoss             DataDamaged
└── Internal             Incident

Each leaf has a reason, which is API (`protos/tallymark/v1/error.proto`), and metadata for programs. Messages are for
people: they say what is wrong and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

# Quotes from a request must not let a status exceed 8 kB, which clients refuse. A status has the message up to three
# times, once with three characters for each byte that is not ASCII. No valid name is cut.
MESSAGE_BYTES = 700
VALUE_BYTES = 1020
# How many receipts without events a project keeps at most.
MAX_REMEMBERED_ANSWERS = 1_000_000


class RegistryError(Exception):
    """A request that the registry does not fulfil."""

    reason: ClassVar[str]
    # True if the refusal is final: the same request under the same request_id gets it again.
    is_answer: ClassVar[bool] = True

    def __init__(self, message: str, **metadata: object) -> None:
        super().__init__(fitting(message, MESSAGE_BYTES))
        self.metadata = {key: fitting(value, VALUE_BYTES) for key, value in metadata.items()}


class InvalidArgument(RegistryError):
    """The request can never be fulfilled without a change."""


class NotFound(RegistryError):
    """What the request names does not exist."""


class AlreadyExists(RegistryError):
    """What the request would create exists already."""


class Refused(RegistryError):
    """The state of the registry does not allow the request."""


class Conflict(RegistryError):
    """Somebody else changed what the request was about to change; read again, then decide again."""


class OutOfRange(RegistryError):
    """The request reads a part of the log that does not exist."""


class Unavailable(RegistryError):
    """The request may be fulfilled later; it had no effect."""

    is_answer = False

    def __init__(self, message: str, *, retry_after_ms: int, **metadata: object) -> None:
        super().__init__(message, retry_after_ms=retry_after_ms, **metadata)
        self.retry_after_ms = retry_after_ms


class ResourceExhausted(Unavailable):
    """The caller or the project has used up what it may use; the request had no effect."""


class DeadlineExceeded(RegistryError):
    """The deadline of the request has passed; it may have had an effect."""


class Unauthenticated(RegistryError):
    """The server does not know who calls."""


class Forbidden(RegistryError):
    """The caller may not do this."""


class Unimplemented(RegistryError):
    """The service does not do this, or not in this way."""


class DataLoss(RegistryError):
    """What the registry has recorded can no longer be read."""

    is_answer = False


class Internal(RegistryError):
    """A defect of the server."""

    is_answer = False


def shortened(value: object, limit: int = 80) -> str:
    """Return the value as text, cut to that many characters."""
    text = str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def fitting(value: object, limit: int) -> str:
    """Return the value as text, cut to that many bytes of UTF-8."""
    encoded = str(value).encode(errors="replace")
    return str(value) if len(encoded) <= limit else encoded[: limit - 3].decode(errors="ignore") + "…"


def shown(value: object) -> str:
    """Return the value for a message: quoted, cut, with invisible characters spelled out."""
    return ascii_controls(repr(shortened(value)))


def ascii_controls(text: str) -> str:
    """Return the text with every unprintable character spelled out."""
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode("ascii") for ch in text)


class MalformedRequest(InvalidArgument):
    """The request could not be decoded."""

    reason = "MALFORMED_REQUEST"

    def __init__(self, message_name: str) -> None:
        super().__init__(
            f"the request is not a valid {message_name}: it is truncated, or has text that is not UTF-8; send it again"
            " with a client generated from protos/tallymark/v1"
        )


class InvalidField(InvalidArgument):
    """A field has a value that it cannot have."""

    reason = "INVALID_FIELD"

    def __init__(self, field: str, value: object, rule: str) -> None:
        super().__init__(f"{field} is {shown(value)}: {rule}", field=field, value=shortened(value))


class InvalidName(InvalidArgument):
    """A name breaks the rule of names."""

    reason = "INVALID_NAME"

    def __init__(self, field: str, value: str, problem: str) -> None:
        super().__init__(
            f"{field} {shown(value)} {problem}; a name has 1 to 255 characters, none of / @ = : and no control"
            " character, and no space at either end",
            field=field,
            value=shortened(value),
        )


class ReservedName(InvalidArgument):
    """A name is a word that means something else."""

    reason = "RESERVED_NAME"

    def __init__(self, field: str, value: str, meaning: str) -> None:
        super().__init__(f"{field} {shown(value)} {meaning}; choose another name", field=field, value=shortened(value))


class ValueTooLarge(InvalidArgument):
    """A value is larger than the field takes."""

    reason = "VALUE_TOO_LARGE"

    def __init__(
        self, field: str, limit: int, unit: str, size: int = 0, remedy: str = "store it elsewhere and keep its URI here"
    ) -> None:
        # The size is unknown where counting stops at the limit.
        has = f"{size:,}" if size > limit else "more"
        super().__init__(
            f"{field} has {has} {unit}, and takes at most {limit:,}; {remedy}",
            field=field,
            limit=limit,
        )


class InvalidPageToken(InvalidArgument):
    """A page token was not created by this registry for this list."""

    reason = "INVALID_PAGE_TOKEN"

    def __init__(self) -> None:
        super().__init__(
            "page_token was not given by this registry for this list; start again without one", field="page_token"
        )


class InvalidFilter(InvalidArgument):
    """A filter or an order cannot be read."""

    reason = "INVALID_FILTER"

    def __init__(self, field: str, found: str, position: int, expected: str) -> None:
        super().__init__(
            f"{field} cannot be read at position {position} ({shown(found)}): expected {expected}",
            field=field,
            position=position,
            expected=expected,
        )


class ProjectNotFound(NotFound):
    """No such project."""

    reason = "PROJECT_NOT_FOUND"

    def __init__(self, project: str) -> None:
        super().__init__(
            f"no project {shown(project)}; create it with `tallymark project create`, or check the project's name",
            project=shortened(project),
        )


class ModelNotFound(NotFound):
    """No such model."""

    reason = "MODEL_NOT_FOUND"

    def __init__(self, project: str, model: str, renamed_to: str | None = None) -> None:
        message = f"no model {shown(model)} in project {project!r}; create it, or check its name and the project"
        metadata = {"project": project, "model": model}
        # A former name leads nowhere until another model takes it.
        if renamed_to not in (None, model):
            message = f"model {shown(model)} is called {shown(renamed_to)} now"
            metadata["renamed_to"] = renamed_to
        super().__init__(message, **metadata)


class VersionNotFound(NotFound):
    """The model has no such version."""

    reason = "VERSION_NOT_FOUND"

    def __init__(self, project: str, model: str, version: str) -> None:
        if version == "latest":
            message = f"model {shown(model)} has no version yet; create one"
        else:
            what = f"no version named {shown(version[1:])}" if version.startswith("=") else f"no version {version}"
            message = f"model {shown(model)} has {what}; list its versions, also with show_deleted"
        super().__init__(message, project=project, model=model, version=version)


class StageEmpty(NotFound):
    """No version of the model is in that stage."""

    reason = "STAGE_EMPTY"

    def __init__(self, project: str, model: str, stage: str) -> None:
        super().__init__(f"no version of model {shown(model)} is in {stage}", project=project, model=model, stage=stage)


class AliasNotFound(NotFound):
    """The model has no such alias."""

    reason = "ALIAS_NOT_FOUND"

    def __init__(self, project: str, model: str, alias: str) -> None:
        super().__init__(
            f"model {shown(model)} has no alias {shown(alias)}; set it, or see which aliases the model has",
            project=project,
            model=model,
            alias=alias,
        )


class RunNotFound(NotFound):
    """No such run."""

    reason = "RUN_NOT_FOUND"

    def __init__(self, project: str, run: str) -> None:
        super().__init__(
            f"no run {shown(run)} in project {project!r}; start it, or check its id and the project",
            project=project,
            run=run,
        )


class ArtifactNotFound(NotFound):
    """The version has no such artifact."""

    reason = "ARTIFACT_NOT_FOUND"

    def __init__(self, project: str, model: str, number: int, artifact: str) -> None:
        super().__init__(
            f"number {number} of model {shown(model)} has no artifact {shown(artifact)}; list those it has",
            project=project,
            model=model,
            number=number,
            artifact=artifact,
        )


class NothingToErase(NotFound):
    """A path of content to erase leads to nothing that is recorded."""

    reason = "NOTHING_TO_ERASE"

    def __init__(self, project: str, place: int) -> None:
        # The path itself may be a secret.
        super().__init__(
            f"paths[{place}] leads to nothing that is recorded and not erased yet, so nothing was erased; look up what"
            " is recorded, and write the path as it is written there",
            project=project,
            path=place,
        )


class AccessNotFound(NotFound):
    """There is no such token, service account or grant. `kind` says which, in words."""

    reason = "ACCESS_NOT_FOUND"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(
            f"no {kind} {shown(name)} in the projects that you administer; list them with `tallymark access"
            f" {kind.replace(' ', '-')} list`",
            kind=kind,
            name=name,
        )


class StepNotFound(NotFound):
    """The run has no such step."""

    reason = "STEP_NOT_FOUND"

    def __init__(self, project: str, run: str, step: str) -> None:
        super().__init__(
            f"run {shown(run)} has no step {shown(step)}; start it with StartStep first",
            project=project,
            run=run,
            step=step,
        )


class ProjectExists(AlreadyExists):
    """A project of that name exists."""

    reason = "PROJECT_EXISTS"

    def __init__(self, project: str) -> None:
        super().__init__(
            f"project {shown(project)} exists already; use it, or choose another name", project=shortened(project)
        )


class ModelExists(AlreadyExists):
    """A model of that name exists."""

    reason = "MODEL_EXISTS"

    def __init__(self, project: str, model: str) -> None:
        super().__init__(
            f"model {shown(model)} exists already in project {project!r}; use it, or choose another name",
            project=project,
            model=model,
        )


class AccessExists(AlreadyExists):
    """A token, a service account or another member of that name exists. `kind` says which, in words."""

    reason = "ACCESS_EXISTS"

    def __init__(self, kind: str, name: str, remedy: str) -> None:
        super().__init__(f"{kind} {shown(name)} exists already; {remedy}", kind=kind, name=name)


class VersionNameTaken(AlreadyExists):
    """The name belongs to another version of the model."""

    reason = "VERSION_NAME_TAKEN"

    def __init__(self, project: str, model: str, version: str, number: int) -> None:
        super().__init__(
            f"version name {shown(version)} of model {shown(model)} is taken by number {number}; get that version"
            f" by its name, or choose another name",
            project=project,
            model=model,
            version=version,
            number=number,
        )


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


class LastAdminToken(Refused):
    """After the change, no token would count that may do everything."""

    reason = "LAST_ADMIN_TOKEN"

    def __init__(self) -> None:
        super().__init__(
            "this would leave no token of an admin of all projects, and nobody could change access any more; create"
            " another one first: tallymark access token create NAME --role admin --project '*'"
        )


class AccessControlOff(Refused):
    """The server has no access control, so it has no tokens and grants either."""

    reason = "ACCESS_CONTROL_OFF"

    def __init__(self) -> None:
        super().__init__(
            "this server has no access control: whoever reaches it may do everything; its operator stops it, runs"
            " `tallymark access init`, and starts it again"
        )


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


class RevisionInFuture(OutOfRange):
    """The revision has not happened yet."""

    reason = "REVISION_IN_FUTURE"

    def __init__(self, revision: int, oldest: int, newest: int) -> None:
        super().__init__(
            f"revision {revision} has not happened yet; the log goes from {oldest} to {newest}",
            revision=revision,
            oldest=oldest,
            newest=newest,
        )


class Overloaded(Unavailable):
    """More writes, proofs or exports are waiting than the server takes on."""

    reason = "OVERLOADED"

    def __init__(self, waiting: int, what: str = "writes are waiting") -> None:
        super().__init__(f"{waiting:,} {what} already; try again in a moment", retry_after_ms=200)

    @classmethod
    def of_answers(cls) -> Overloaded:
        """Return the refusal of a request without effect, when no more receipts without events can be kept."""
        return cls(MAX_REMEMBERED_ANSWERS, "answers without effect are remembered for the request_ids of ten minutes")


class CallerLimitExceeded(ResourceExhausted):
    """The caller does as much already as its limit allows. `used` says what it does, as a clause."""

    reason = "CALLER_LIMIT_EXCEEDED"

    def __init__(self, caller: str, limit: str, used: str, retry_after_ms: int) -> None:
        super().__init__(
            f"{shown(caller)} {used}, which is its limit {shown(limit)}; try again in {_delay(retry_after_ms)}",
            retry_after_ms=retry_after_ms,
            caller=caller,
            limit=limit,
        )


class ProjectQuotaExceeded(ResourceExhausted):
    """The project has as much already as its quota allows. `used` says what it has, as a clause."""

    reason = "PROJECT_QUOTA_EXCEEDED"

    def __init__(self, project: str, quota: str, used: str, retry_after_ms: int) -> None:
        super().__init__(
            f"project {shown(project)} {used}, which is its quota {shown(quota)}; try again in"
            f" {_delay(retry_after_ms)}, or let the operator raise the quota",
            retry_after_ms=retry_after_ms,
            project=project,
            quota=quota,
        )


def _delay(milliseconds: int) -> str:
    """Return a delay in words."""
    for length, unit in ((3_600_000, "h"), (60_000, "min")):
        if milliseconds >= 2 * length:
            return f"{milliseconds / length:.0f} {unit}"
    return f"{milliseconds / 1000:.1f} s"


class Stopping(Unavailable):
    """The server is stopping."""

    reason = "STOPPING"

    def __init__(self) -> None:
        super().__init__("the server is stopping; try again when it is back", retry_after_ms=1000)


class StorageUnavailable(Unavailable):
    """The storage cannot read or write now."""

    reason = "STORAGE_UNAVAILABLE"

    def __init__(self, problem: str) -> None:
        super().__init__(f"the registry's storage cannot be used now: {problem}; try again later", retry_after_ms=1000)


class CallTimedOut(DeadlineExceeded):
    """The deadline of the caller, or the time that a request may take to arrive, has passed."""

    reason = "CALL_TIMED_OUT"

    def __init__(self, timeout_ms: int, what: str = "the call took longer") -> None:
        super().__init__(
            f"{what} than {timeout_ms:,} ms; give it more time, and repeat a change with the same request_id",
            timeout_ms=timeout_ms,
        )


class ForeignOrigin(Forbidden):
    """A page of another site calls, or the request names a host that the server is not known by."""

    reason = "FOREIGN_ORIGIN"

    def __init__(self, field: str, value: str, rule: str) -> None:
        super().__init__(f"{field} is {shown(value)}: {rule}", field=field, value=shortened(value))


class UnknownCaller(Unauthenticated):
    """The call has no token, or one that is not valid. `problem` says which, as a clause, and quotes no secret."""

    reason = "UNAUTHENTICATED"

    def __init__(self, problem: str = "the call has no token, and this server answers only known callers") -> None:
        super().__init__(
            f"{problem}; set TALLYMARK_TOKEN to a token of this server, or run `tallymark login`; an admin creates one"
            " with `tallymark access token create`"
        )


class PermissionDenied(Forbidden):
    """The caller is known, and its role is less than the request needs. `project` is `*` for all projects."""

    reason = "PERMISSION_DENIED"

    def __init__(self, caller: str, what: str, needed: str, project: str) -> None:
        where = "in all projects" if project == "*" else f"in project {shown(project)}"
        super().__init__(
            f"{what} needs the role {needed} {where}, which {shown(caller)} does not have; ask an admin to run"
            f" `tallymark access grant add {caller} --role {needed} --project {project}`",
            caller=caller,
            role=needed,
            project=project,
        )


class UnsupportedCall(Unimplemented):
    """The method does not exist over HTTP, or is called in another way."""

    reason = "UNSUPPORTED_CALL"

    def __init__(self, field: str, value: str, rule: str) -> None:
        super().__init__(f"{field} is {shown(value)}: {rule}", field=field, value=shortened(value))


class ClockJumped(Unavailable):
    """The machine's clock has jumped ahead, so events cannot get its time."""

    reason = "CLOCK_JUMPED"

    def __init__(self, minutes: int) -> None:
        super().__init__(
            f"the clock of the service's machine has jumped {minutes:,} minutes ahead, and nothing is recorded with"
            " such a time; its operator sets the clock, or restarts the service if the clock is right",
            retry_after_ms=10_000,
        )
        self.metadata["minutes"] = str(minutes)


class DataDamaged(DataLoss):
    """What the request needs is damaged on the disk."""

    reason = "DATA_DAMAGED"

    def __init__(self, what: str, revision: int = 0) -> None:
        super().__init__(
            f"the registry's file is damaged: {what}; its operator runs `tallymark verify` and restores a backup",
            revision=revision,
        )


class Incident(Internal):
    """A defect of the server, logged there under the incident's id."""

    reason = "INCIDENT"

    def __init__(self, incident: str) -> None:
        super().__init__(
            f"the server failed, and logged it as incident {incident}; send that number to its operator",
            incident=incident,
        )


def remembered(reason: str, message: str, metadata: Mapping[str, str]) -> RegistryError:
    """Return the refusal with that reason, message and metadata. Raises KeyError if there is no such reason."""
    kind = next((leaf for leaf in _leaves(RegistryError) if leaf.reason == reason), None)
    if kind is None:
        raise KeyError(reason)
    error = kind.__new__(kind)
    RegistryError.__init__(error, message, **metadata)
    return error


def _leaves(branch: type[RegistryError]) -> Iterator[type[RegistryError]]:
    for kind in branch.__subclasses__():
        if hasattr(kind, "reason"):
            yield kind
        yield from _leaves(kind)
