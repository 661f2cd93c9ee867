"""What the registry refuses.

RegistryError
├── InvalidArgument      MalformedRequest, InvalidField, InvalidName, ReservedName, ValueTooLarge, InvalidPageToken
├── NotFound             ProjectNotFound, ModelNotFound, VersionNotFound, StageEmpty, AliasNotFound, RunNotFound
├── AlreadyExists        ModelExists, VersionNameTaken
├── Refused              StageOccupied, RunFinished, RequestIdReused, LogReplaced
├── Conflict             EtagMismatch, AliasMoved
├── OutOfRange           RevisionInFuture
├── Unavailable          Overloaded, Stopping, StorageUnavailable
└── Internal             Incident

Each leaf has a reason, which is API (`protos/tallymark/v1/error.proto`), and metadata by which a program can act.
Messages are for people: they say what is wrong and what to do next.
"""

from __future__ import annotations

from typing import ClassVar


class RegistryError(Exception):
    """A request that the registry does not fulfil."""

    reason: ClassVar[str]

    def __init__(self, message: str, **metadata: object) -> None:
        super().__init__(message)
        self.metadata = {key: str(value) for key, value in metadata.items()}


class InvalidArgument(RegistryError):
    """The request can never be fulfilled as it stands."""


class NotFound(RegistryError):
    """What the request names is not there."""


class AlreadyExists(RegistryError):
    """What the request would create is there already."""


class Refused(RegistryError):
    """The state of the registry does not allow the request."""


class Conflict(RegistryError):
    """Somebody else changed what the request was about to change; read again, then decide again."""


class OutOfRange(RegistryError):
    """The request asks for a part of the log that is not there."""


class Unavailable(RegistryError):
    """The request may be fulfilled later; it had no effect."""

    def __init__(self, message: str, *, retry_after_ms: int) -> None:
        super().__init__(message, retry_after_ms=retry_after_ms)
        self.retry_after_ms = retry_after_ms


class Internal(RegistryError):
    """A defect of the server."""


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

    def __init__(self, field: str, limit: int, unit: str, size: int) -> None:
        super().__init__(
            f"{field} has {size:,} {unit}, and takes at most {limit:,}; store it elsewhere and keep its URI here",
            field=field,
            limit=limit,
        )


class InvalidPageToken(InvalidArgument):
    """A page token was not made by this registry for this list."""

    reason = "INVALID_PAGE_TOKEN"

    def __init__(self) -> None:
        super().__init__(
            "page_token was not given by this registry for this list; start again without one", field="page_token"
        )


class ProjectNotFound(NotFound):
    """No such project."""

    reason = "PROJECT_NOT_FOUND"

    def __init__(self, project: str) -> None:
        super().__init__(
            f"no project {shown(project)}; projects are named by the operator: tallymark serve --project NAME",
            project=shortened(project),
        )


class ModelNotFound(NotFound):
    """No such model."""

    reason = "MODEL_NOT_FOUND"

    def __init__(self, project: str, model: str) -> None:
        super().__init__(f"no model {shown(model)} in project {project!r}", project=project, model=model)


class VersionNotFound(NotFound):
    """The model has no such version."""

    reason = "VERSION_NOT_FOUND"

    def __init__(self, project: str, model: str, version: str) -> None:
        what = "no version yet" if version == "latest" else f"no version {version}"
        super().__init__(f"model {shown(model)} has {what}", project=project, model=model, version=version)


class StageEmpty(NotFound):
    """No version of the model is in that stage."""

    reason = "STAGE_EMPTY"

    def __init__(self, project: str, model: str, stage: str) -> None:
        super().__init__(f"no version of model {shown(model)} is in {stage}", project=project, model=model, stage=stage)


class AliasNotFound(NotFound):
    """The model has no such alias."""

    reason = "ALIAS_NOT_FOUND"

    def __init__(self, project: str, model: str, alias: str) -> None:
        super().__init__(f"model {shown(model)} has no alias {shown(alias)}", project=project, model=model, alias=alias)


class RunNotFound(NotFound):
    """No such run."""

    reason = "RUN_NOT_FOUND"

    def __init__(self, project: str, run: str) -> None:
        super().__init__(
            f"no run {shown(run)} in project {project!r}; start it with StartRun first", project=project, run=run
        )


class ModelExists(AlreadyExists):
    """A model of that name exists."""

    reason = "MODEL_EXISTS"

    def __init__(self, project: str, model: str) -> None:
        super().__init__(f"model {shown(model)} exists already in project {project!r}", project=project, model=model)


class VersionNameTaken(AlreadyExists):
    """The name belongs to another version of the model."""

    reason = "VERSION_NAME_TAKEN"

    def __init__(self, project: str, model: str, version: str, number: int) -> None:
        super().__init__(
            f"version name {shown(version)} of model {shown(model)} is taken by number {number}; ask for that version"
            f" by its name, or choose another name",
            project=project,
            model=model,
            version=version,
            number=number,
        )


class StageOccupied(Refused):
    """Another version is in that stage, and the request did not say to swap."""

    reason = "STAGE_OCCUPIED"

    def __init__(self, project: str, model: str, stage: str, number: int) -> None:
        super().__init__(
            f"number {number} of model {shown(model)} is in {stage}; ask with force to send it to the archive",
            project=project,
            model=model,
            stage=stage,
            number=number,
        )


class RunFinished(Refused):
    """The run is finished with another outcome."""

    reason = "RUN_FINISHED"

    def __init__(self, project: str, run: str, state: str) -> None:
        super().__init__(
            f"run {shown(run)} is finished already: {state}; start another run", project=project, run=run, state=state
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

    def __init__(self, log_id: str) -> None:
        super().__init__(
            f"the cursor belongs to another log; this one is {log_id}: read the present state, then watch from it",
            log_id=log_id,
        )


class EtagMismatch(Conflict):
    """The resource was changed since the etag was read."""

    reason = "ETAG_MISMATCH"

    def __init__(self, project: str, model: str, number: int, etag: str) -> None:
        super().__init__(
            f"number {number} of model {shown(model)} was changed since you read it; read it again and decide again",
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
    """More writes are waiting than the server takes on."""

    reason = "OVERLOADED"

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting:,} writes are waiting already; try again in a moment", retry_after_ms=200)


class Stopping(Unavailable):
    """The server is stopping."""

    reason = "STOPPING"

    def __init__(self) -> None:
        super().__init__("the server is stopping; try again when it is back", retry_after_ms=1000)


class StorageUnavailable(Unavailable):
    """The storage does not take reads or writes now."""

    reason = "STORAGE_UNAVAILABLE"

    def __init__(self, problem: str) -> None:
        super().__init__(f"the registry's storage cannot be used now: {problem}; try again later", retry_after_ms=1000)


class Incident(Internal):
    """A defect of the server, logged there under the incident's id."""

    reason = "INCIDENT"

    def __init__(self, incident: str) -> None:
        super().__init__(
            f"the server made a mistake, and logged it as incident {incident}; tell its operator", incident=incident
        )


def shortened(value: object) -> str:
    """The value as text, cut to a length that fits a status's metadata."""
    text = str(value)
    return text if len(text) <= 80 else text[:79] + "…"


def shown(value: object) -> str:
    """The value as a person should see it in a message: quoted, cut, with invisible characters spelled out."""
    return ascii_controls(repr(shortened(value)))


def ascii_controls(text: str) -> str:
    """The text with every character that does not print spelled out."""
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode("ascii") for ch in text)
