"""The exceptions that Tallymark raises.

TallymarkError
├── InvalidArgument      MalformedRequest, InvalidField, InvalidName, ReservedName, ValueTooLarge, InvalidPageToken,
│                        InvalidFilter, InvalidSetting
├── NotFound             ProjectNotFound, ModelNotFound, VersionNotFound, StageEmpty, AliasNotFound, RunNotFound,
│                        StepNotFound, ArtifactNotFound, NothingToErase, AccessNotFound
├── AlreadyExists        ProjectExists, ModelExists, VersionNameTaken, AccessExists
├── Refused              StageOccupied, RunFinished, StepFinished, RequestIdReused, LogReplaced, ModelDeleted,
│                        VersionDeleted, VersionInUse, ModelNotDeleted, VersionNotDeleted, LimitReached, NoCurrentModel,
│                        NoCurrentRun, AmbiguousRun, DigestMismatch, StoreNotTrusted, ErasedSince, LastAdminToken,
│                        AccessControlOff
├── Conflict             EtagMismatch, AliasMoved, StageMoved
├── OutOfRange           RevisionInFuture
├── Unavailable          Overloaded, Stopping, StorageUnavailable, StoreUnavailable, NumberPending, ClockJumped
│   ├── DeadlineExceeded CallTimedOut
│   └── ResourceExhausted CallerLimitExceeded, ProjectQuotaExceeded
├── Unauthenticated      UnknownCaller
├── Forbidden            ForeignOrigin, PermissionDenied
├── Unimplemented        UnsupportedCall
├── DataLoss             DataDamaged
└── Internal             Incident

An error of the service is raised as the class for the reason in its `google.rpc.ErrorInfo`; for a reason that this SDK
does not know, as the class in the left column for its status code. `reason` and `metadata` are for programs, the
message is for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class TallymarkError(Exception):
    """The base class of all errors of Tallymark.

    `code` is the name of the gRPC status code, empty if the error was raised in this process. `metadata` has the keys
    that protos/tallymark/v1/error.proto lists for the reason.
    """

    reason: ClassVar[str] = ""

    def __init__(self, message: str, *, code: str = "", metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.metadata = dict(metadata or {})

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle all attributes, so that an error passes between processes whole."""
        return _rebuilt, (type(self), str(self), self.code, self.metadata)


class InvalidArgument(TallymarkError):
    """The request is invalid, whatever the state of the registry."""


class NotFound(TallymarkError):
    """What the request names does not exist."""


class AlreadyExists(TallymarkError):
    """What the request would create exists already."""


class Refused(TallymarkError):
    """The present state does not allow the request."""


class Conflict(TallymarkError):
    """Somebody else changed what the request was about to change; read again, then decide again."""


class OutOfRange(TallymarkError):
    """The request is for a part of the log that does not exist."""


class Unavailable(TallymarkError):
    """The service could not be reached, or cannot serve now; the same call may succeed later."""


class ResourceExhausted(Unavailable):
    """The caller or the project has used up what it may use; the call had no effect.

    The service says in `metadata["retry_after_ms"]` when to try again, and calls do so within their time.
    """


class DeadlineExceeded(Unavailable):
    """The deadline of the call has passed; the call may have had an effect."""


class Unauthenticated(TallymarkError):
    """The service does not know who calls."""


class Forbidden(TallymarkError):
    """The caller may not do this."""


class Unimplemented(TallymarkError):
    """The service does not have this method, or does not support this use of it."""


class DataLoss(TallymarkError):
    """What the registry has recorded can no longer be read."""


class Internal(TallymarkError):
    """A defect of the service."""


class MalformedRequest(InvalidArgument):
    """The service could not decode the request."""

    reason = "MALFORMED_REQUEST"


class InvalidField(InvalidArgument):
    """A field has a value that it cannot have."""

    reason = "INVALID_FIELD"


class InvalidName(InvalidArgument):
    """A name breaks the rule of names."""

    reason = "INVALID_NAME"


class ReservedName(InvalidArgument):
    """A name is a word that means something else: a stage, `latest`, or digits."""

    reason = "RESERVED_NAME"


class ValueTooLarge(InvalidArgument):
    """A value is larger than the field takes."""

    reason = "VALUE_TOO_LARGE"


class InvalidPageToken(InvalidArgument):
    """A page token was not issued by the registry for this list."""

    reason = "INVALID_PAGE_TOKEN"


class InvalidFilter(InvalidArgument):
    """A filter cannot be parsed; `metadata` has `position`, from 1, and `expected`."""

    reason = "INVALID_FILTER"


class InvalidSetting(InvalidArgument):
    """A setting, from an argument or the environment, has a value that it cannot have."""


class ProjectNotFound(NotFound):
    """No such project."""

    reason = "PROJECT_NOT_FOUND"


class ModelNotFound(NotFound):
    """No such model; `metadata["renamed_to"]` is its new name, if it was renamed."""

    reason = "MODEL_NOT_FOUND"


class VersionNotFound(NotFound):
    """The model has no such version."""

    reason = "VERSION_NOT_FOUND"


class StageEmpty(NotFound):
    """No version of the model is in that stage."""

    reason = "STAGE_EMPTY"


class AliasNotFound(NotFound):
    """The model has no such alias."""

    reason = "ALIAS_NOT_FOUND"


class RunNotFound(NotFound):
    """No such run."""

    reason = "RUN_NOT_FOUND"


class NothingToErase(NotFound):
    """A path to erase leads to nothing that is recorded; `metadata["path"]` is its position."""

    reason = "NOTHING_TO_ERASE"


class ArtifactNotFound(NotFound):
    """The version has no such artifact."""

    reason = "ARTIFACT_NOT_FOUND"


class AccessNotFound(NotFound):
    """There is no such token, service account or grant in the projects that the caller administers."""

    reason = "ACCESS_NOT_FOUND"


class StepNotFound(NotFound):
    """The run has no such step."""

    reason = "STEP_NOT_FOUND"


class ProjectExists(AlreadyExists):
    """A project of that name exists."""

    reason = "PROJECT_EXISTS"


class ModelExists(AlreadyExists):
    """A model of that name exists."""

    reason = "MODEL_EXISTS"


class VersionNameTaken(AlreadyExists):
    """The name belongs to another version of the model; `metadata["number"]` is its number."""

    reason = "VERSION_NAME_TAKEN"


class AccessExists(AlreadyExists):
    """A token, a service account or another member of that name exists; `metadata["kind"]` says which."""

    reason = "ACCESS_EXISTS"


class LastAdminToken(Refused):
    """After the change, no token would count that may do everything."""

    reason = "LAST_ADMIN_TOKEN"


class AccessControlOff(Refused):
    """The service has no access control, so it has no tokens and grants either."""

    reason = "ACCESS_CONTROL_OFF"


class StageOccupied(Refused):
    """Another version is in that stage; `metadata["number"]` is its number."""

    reason = "STAGE_OCCUPIED"


class RunNotSucceeded(Refused):
    """The run that made the version failed, is lost or still running; see `metadata["run"]` and `["run_state"]`."""

    reason = "RUN_NOT_SUCCEEDED"


class LimitReached(Refused):
    """A version or model has reached a limit, `metadata["limit"]`; `metadata["remedy"]` says how to make room."""

    reason = "LIMIT_REACHED"


class RunFinished(Refused):
    """The run is finished with another outcome."""

    reason = "RUN_FINISHED"


class StepFinished(Refused):
    """The step is finished with another outcome."""

    reason = "STEP_FINISHED"


class DigestMismatch(Refused):
    """The bytes of an artifact do not have the digest with which it was linked."""


class StoreNotTrusted(Refused):
    """The artifact is in a store that the settings do not trust."""


class RequestIdReused(Refused):
    """The request id was used before, with another request."""

    reason = "REQUEST_ID_REUSED"


class LogReplaced(Refused):
    """The cursor is of another log: the registry was replaced."""

    reason = "LOG_REPLACED"


class ModelDeleted(Refused):
    """The model is deleted; undelete it first."""

    reason = "MODEL_DELETED"


class VersionDeleted(Refused):
    """The version is deleted; undelete it first."""

    reason = "VERSION_DELETED"


class VersionInUse(Refused):
    """The version is in production, so it is deleted only with `force`."""

    reason = "VERSION_IN_USE"


class ModelNotDeleted(Refused):
    """The model is not deleted, so it cannot be undeleted or purged."""

    reason = "MODEL_NOT_DELETED"


class VersionNotDeleted(Refused):
    """The version is not deleted, so it cannot be undeleted."""

    reason = "VERSION_NOT_DELETED"


class ErasedSince(Refused):
    """Content up to the revision was erased by a later event, whose revision is `metadata["erased_at"]`."""

    reason = "ERASED_SINCE"


class NoCurrentModel(Refused):
    """The code does not run in a step or pipeline with a model."""


class NoCurrentRun(Refused):
    """The code does not run in a step or pipeline."""


class AmbiguousRun(Refused):
    """Several runs are open in this process, and the thread belongs to none of them."""


class EtagMismatch(Conflict):
    """The model or version was changed since it was read."""

    reason = "ETAG_MISMATCH"


class AliasMoved(Conflict):
    """The alias does not point where the request expects; it points at `metadata["number"]`, 0 for no version."""

    reason = "ALIAS_MOVED"


class StageMoved(Conflict):
    """Another version holds the stage than the request expects; `metadata["number"]` is its number, 0 for none."""

    reason = "STAGE_MOVED"


class RevisionInFuture(OutOfRange):
    """The log does not reach the revision; `metadata` has `oldest` and `newest`."""

    reason = "REVISION_IN_FUTURE"


class Overloaded(Unavailable):
    """Too many writes, verifications or exports are waiting."""

    reason = "OVERLOADED"


class CallerLimitExceeded(ResourceExhausted):
    """The caller does as much already as its limit allows; `metadata["limit"]` names the limit."""

    reason = "CALLER_LIMIT_EXCEEDED"


class ProjectQuotaExceeded(ResourceExhausted):
    """The project has as much already as its quota allows; `metadata["quota"]` names the quota."""

    reason = "PROJECT_QUOTA_EXCEEDED"


class Stopping(Unavailable):
    """The service is stopping."""

    reason = "STOPPING"


class StoreUnavailable(Unavailable):
    """The store of artifacts cannot be read or written."""


class NumberPending(Unavailable):
    """The version has no number yet; it gets one when the run's records are sent, also by `tallymark sync`."""


class StorageUnavailable(Unavailable):
    """The service's storage cannot be read or written now."""

    reason = "STORAGE_UNAVAILABLE"


class CallTimedOut(DeadlineExceeded):
    """The deadline of the call, or that for a request to arrive, has passed."""

    reason = "CALL_TIMED_OUT"


class ForeignOrigin(Forbidden):
    """A page of another site called, or the request named a host that is not the service's; over HTTP only."""

    reason = "FOREIGN_ORIGIN"


class UnknownCaller(Unauthenticated):
    """The call has no token, or one that is unknown, expired or revoked."""

    reason = "UNAUTHENTICATED"


class PermissionDenied(Forbidden):
    """The caller's role in the project is less than the call needs; `metadata` has the `role` that it needs."""

    reason = "PERMISSION_DENIED"


class UnsupportedCall(Unimplemented):
    """HTTP has no such method, or it is called in another way."""

    reason = "UNSUPPORTED_CALL"


class ClockJumped(Unavailable):
    """The clock of the service's machine has jumped ahead; nothing is recorded until it is corrected."""

    reason = "CLOCK_JUMPED"


class DataDamaged(DataLoss):
    """What the request needs is damaged on the service's disk; its operator has to restore a backup."""

    reason = "DATA_DAMAGED"


class Incident(Internal):
    """A defect of the service, logged there under `metadata["incident"]`."""

    reason = "INCIDENT"


def _rebuilt(kind: type[TallymarkError], message: str, code: str, metadata: dict[str, str]) -> TallymarkError:
    return kind(message, code=code, metadata=metadata)
