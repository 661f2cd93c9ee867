"""What can go wrong, for programs that use Tallymark.

TallymarkError
├── InvalidArgument      MalformedRequest, InvalidField, InvalidName, ReservedName, ValueTooLarge, InvalidPageToken,
│                        InvalidFilter, InvalidSetting
├── NotFound             ProjectNotFound, ModelNotFound, VersionNotFound, StageEmpty, AliasNotFound, RunNotFound,
│                        StepNotFound, ArtifactNotFound, NothingToErase
├── AlreadyExists        ProjectExists, ModelExists, VersionNameTaken
├── Refused              StageOccupied, RunFinished, StepFinished, RequestIdReused, LogReplaced, ModelDeleted,
│                        VersionDeleted, VersionInUse, ModelNotDeleted, VersionNotDeleted, LimitReached, NoCurrentModel,
│                        NoCurrentRun, AmbiguousRun, DigestMismatch, StoreNotTrusted, ErasedSince
├── Conflict             EtagMismatch, AliasMoved
├── OutOfRange           RevisionInFuture
├── Unavailable          Overloaded, Stopping, StorageUnavailable, StoreUnavailable, NumberPending, ClockJumped
│   └── DeadlineExceeded CallTimedOut
├── Unauthenticated
├── Forbidden            ForeignOrigin
├── Unimplemented        UnsupportedCall
├── DataLoss             DataDamaged
└── Internal             Incident

The leaves that the service raises are told by the reason in its `google.rpc.ErrorInfo`; a reason that this SDK does not
know yet arrives as the branch of its status code. `reason` and `metadata` are for programs, the message is for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class TallymarkError(Exception):
    """Whatever Tallymark raises.

    `code` is the name of the gRPC status code, empty when the error arose in this process. `metadata` has the keys that
    protos/tallymark/v1/error.proto names for the reason.
    """

    reason: ClassVar[str] = ""

    def __init__(self, message: str, *, code: str = "", metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.metadata = dict(metadata or {})

    def __reduce__(self) -> tuple[object, ...]:
        """Errors pass between processes with all they carry."""
        return _rebuilt, (type(self), str(self), self.code, self.metadata)


class InvalidArgument(TallymarkError):
    """The request can never be fulfilled as it stands."""


class NotFound(TallymarkError):
    """What the request names is not there."""


class AlreadyExists(TallymarkError):
    """What the request would create is there already."""


class Refused(TallymarkError):
    """The present state does not allow the request."""


class Conflict(TallymarkError):
    """Somebody else changed what the request was about to change; read again, then decide again."""


class OutOfRange(TallymarkError):
    """The request asks for a part of the log that is not there."""


class Unavailable(TallymarkError):
    """The service could not be reached, or cannot serve now; the same call may succeed later."""


class DeadlineExceeded(Unavailable):
    """The time that the call had has passed; it may have had an effect."""


class Unauthenticated(TallymarkError):
    """The service does not know who calls."""


class Forbidden(TallymarkError):
    """The caller may not do this."""


class Unimplemented(TallymarkError):
    """The service does not do this, or not in this way."""


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
    """A page token was not made by the registry for this list."""

    reason = "INVALID_PAGE_TOKEN"


class InvalidFilter(InvalidArgument):
    """A filter cannot be read; `metadata` has `position`, from 1, and `expected`."""

    reason = "INVALID_FILTER"


class InvalidSetting(InvalidArgument):
    """A setting, from an argument or the environment, has a value that it cannot have."""


class ProjectNotFound(NotFound):
    """No such project."""

    reason = "PROJECT_NOT_FOUND"


class ModelNotFound(NotFound):
    """No such model; `metadata["renamed_to"]` tells what it is called now, if it was renamed."""

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
    """A path of what is to be erased leads to nothing that is recorded; `metadata["path"]` is its place."""

    reason = "NOTHING_TO_ERASE"


class ArtifactNotFound(NotFound):
    """The version has no such artifact."""

    reason = "ARTIFACT_NOT_FOUND"


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


class StageOccupied(Refused):
    """Another version is in that stage; `metadata["number"]` is its number."""

    reason = "STAGE_OCCUPIED"


class RunNotSucceeded(Refused):
    """The run that made the version failed, is lost or still running: `metadata["run"]` and `metadata["run_state"]`."""

    reason = "RUN_NOT_SUCCEEDED"


class LimitReached(Refused):
    """A version or model holds as much as it can: `metadata["limit"]`; `metadata["remedy"]` says what makes room."""

    reason = "LIMIT_REACHED"


class RunFinished(Refused):
    """The run is finished with another outcome."""

    reason = "RUN_FINISHED"


class StepFinished(Refused):
    """The step is finished with another outcome."""

    reason = "STEP_FINISHED"


class DigestMismatch(Refused):
    """The bytes of an artifact are not those that were linked."""


class StoreNotTrusted(Refused):
    """The artifact lies outside of the stores that the settings trust."""


class RequestIdReused(Refused):
    """The request id was used before, with another request."""

    reason = "REQUEST_ID_REUSED"


class LogReplaced(Refused):
    """The cursor belongs to another log: the registry was replaced."""

    reason = "LOG_REPLACED"


class ModelDeleted(Refused):
    """The model is deleted; undelete it first."""

    reason = "MODEL_DELETED"


class VersionDeleted(Refused):
    """The version is deleted; undelete it first."""

    reason = "VERSION_DELETED"


class VersionInUse(Refused):
    """The version is in production, and was not to be deleted by force."""

    reason = "VERSION_IN_USE"


class ModelNotDeleted(Refused):
    """The model is not deleted, so it cannot be undeleted or purged."""

    reason = "MODEL_NOT_DELETED"


class VersionNotDeleted(Refused):
    """The version is not deleted, so it cannot be undeleted."""

    reason = "VERSION_NOT_DELETED"


class ErasedSince(Refused):
    """Content up to the revision was erased by the later event `metadata["erased_at"]`, which belongs to it."""

    reason = "ERASED_SINCE"


class NoCurrentModel(Refused):
    """The code runs in no step or pipeline that has a model."""


class NoCurrentRun(Refused):
    """The code runs in no step or pipeline."""


class AmbiguousRun(Refused):
    """Several runs go on in this process, and the thread belongs to none of them."""


class EtagMismatch(Conflict):
    """The model or version was changed since it was read."""

    reason = "ETAG_MISMATCH"


class AliasMoved(Conflict):
    """The alias points elsewhere than the request expects; `metadata["number"]` tells where, 0 for nowhere."""

    reason = "ALIAS_MOVED"


class RevisionInFuture(OutOfRange):
    """The revision has not happened yet; `metadata` has `oldest` and `newest`."""

    reason = "REVISION_IN_FUTURE"


class Overloaded(Unavailable):
    """More writes, proofs or exports are waiting than the service takes on."""

    reason = "OVERLOADED"


class Stopping(Unavailable):
    """The service is stopping."""

    reason = "STOPPING"


class StoreUnavailable(Unavailable):
    """The store of artifacts cannot be read or written."""


class NumberPending(Unavailable):
    """The version has no number yet: it is given when the run's records are sent, also by `tallymark sync`."""


class StorageUnavailable(Unavailable):
    """The service's storage does not take reads or writes now."""

    reason = "STORAGE_UNAVAILABLE"


class CallTimedOut(DeadlineExceeded):
    """The time that the caller gave, or that a request may take to arrive, has passed."""

    reason = "CALL_TIMED_OUT"


class ForeignOrigin(Forbidden):
    """A page of another site called, or the request named a host that is not the service's; over HTTP only."""

    reason = "FOREIGN_ORIGIN"


class UnsupportedCall(Unimplemented):
    """There is no such method over HTTP, or it is not called in this way."""

    reason = "UNSUPPORTED_CALL"


class ClockJumped(Unavailable):
    """The clock of the service's machine has jumped ahead, and nothing is recorded until it is set right."""

    reason = "CLOCK_JUMPED"


class DataDamaged(DataLoss):
    """What the request needs is damaged on the service's disk: its operator restores a backup."""

    reason = "DATA_DAMAGED"


class Incident(Internal):
    """A defect of the service, logged there under `metadata["incident"]`."""

    reason = "INCIDENT"


def _rebuilt(kind: type[TallymarkError], message: str, code: str, metadata: dict[str, str]) -> TallymarkError:
    return kind(message, code=code, metadata=metadata)
