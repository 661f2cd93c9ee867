"""The errors with which the registry refuses requests.

RegistryError
├── InvalidArgument      MalformedRequest, InvalidField, InvalidName, ReservedName, ValueTooLarge, InvalidPageToken,
│                        InvalidFilter
├── NotFound             ProjectNotFound, ModelNotFound, VersionNotFound, StageEmpty, AliasNotFound, RunNotFound,
│                        StepNotFound, ArtifactNotFound, NothingToErase
├── AlreadyExists        ProjectExists, ModelExists, VersionNameTaken
├── Refused              StageOccupied, RunNotSucceeded, RunFinished, StepFinished, RequestIdReused, LogReplaced,
│                        ModelDeleted, VersionDeleted, VersionInUse, ModelNotDeleted, VersionNotDeleted, LimitReached,
│                        ErasedSince
├── Conflict             EtagMismatch, AliasMoved, StageMoved
├── OutOfRange           RevisionInFuture
├── Unavailable          Overloaded, Stopping, StorageUnavailable, ClockJumped
├── DeadlineExceeded     CallTimedOut
├── Forbidden            ForeignOrigin
├── Unimplemented        UnsupportedCall
├── DataLoss             DataDamaged
└── Internal             Incident

Each leaf has a reason, which is API (`protos/tallymark/v1/error.proto`), and metadata for programs. Messages are for
people: they say what is wrong and what to do next.
"""

from tallymark_server.domain.errors.arguments import (
    InvalidField,
    InvalidFilter,
    InvalidName,
    InvalidPageToken,
    MalformedRequest,
    ReservedName,
    ValueTooLarge,
)
from tallymark_server.domain.errors.branches import (
    AlreadyExists,
    Conflict,
    DataLoss,
    DeadlineExceeded,
    Forbidden,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    Refused,
    RegistryError,
    Unavailable,
    Unimplemented,
)
from tallymark_server.domain.errors.existence import (
    AliasNotFound,
    ArtifactNotFound,
    ModelExists,
    ModelNotFound,
    NothingToErase,
    ProjectExists,
    ProjectNotFound,
    RunNotFound,
    StageEmpty,
    StepNotFound,
    VersionNameTaken,
    VersionNotFound,
)
from tallymark_server.domain.errors.remembering import remembered
from tallymark_server.domain.errors.service import (
    CallTimedOut,
    ClockJumped,
    DataDamaged,
    ForeignOrigin,
    Incident,
    Overloaded,
    RevisionInFuture,
    Stopping,
    StorageUnavailable,
    UnsupportedCall,
)
from tallymark_server.domain.errors.states import (
    AliasMoved,
    ErasedSince,
    EtagMismatch,
    LimitReached,
    LogReplaced,
    ModelDeleted,
    ModelNotDeleted,
    RequestIdReused,
    RunFinished,
    RunNotSucceeded,
    StageMoved,
    StageOccupied,
    StepFinished,
    VersionDeleted,
    VersionInUse,
    VersionNotDeleted,
)

__all__ = [
    "AliasMoved",
    "AliasNotFound",
    "AlreadyExists",
    "ArtifactNotFound",
    "CallTimedOut",
    "ClockJumped",
    "Conflict",
    "DataDamaged",
    "DataLoss",
    "DeadlineExceeded",
    "ErasedSince",
    "EtagMismatch",
    "Forbidden",
    "ForeignOrigin",
    "Incident",
    "Internal",
    "InvalidArgument",
    "InvalidField",
    "InvalidFilter",
    "InvalidName",
    "InvalidPageToken",
    "LimitReached",
    "LogReplaced",
    "MalformedRequest",
    "ModelDeleted",
    "ModelExists",
    "ModelNotDeleted",
    "ModelNotFound",
    "NotFound",
    "NothingToErase",
    "OutOfRange",
    "Overloaded",
    "ProjectExists",
    "ProjectNotFound",
    "Refused",
    "RegistryError",
    "RequestIdReused",
    "ReservedName",
    "RevisionInFuture",
    "RunFinished",
    "RunNotFound",
    "RunNotSucceeded",
    "StageEmpty",
    "StageMoved",
    "StageOccupied",
    "StepFinished",
    "StepNotFound",
    "Stopping",
    "StorageUnavailable",
    "Unavailable",
    "Unimplemented",
    "UnsupportedCall",
    "ValueTooLarge",
    "VersionDeleted",
    "VersionInUse",
    "VersionNameTaken",
    "VersionNotDeleted",
    "VersionNotFound",
    "remembered",
]
