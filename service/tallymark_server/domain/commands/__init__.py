"""What can be asked of the line, and what must be known of the registry to decide it."""

from tallymark_server.domain.commands.artifacts import ArtifactCommand, LinkArtifact, UnlinkArtifact
from tallymark_server.domain.commands.models import (
    CreateModel,
    DeleteModel,
    ModelCommand,
    PurgeModel,
    RenameModel,
    UndeleteModel,
    UpdateModel,
)
from tallymark_server.domain.commands.parts import Command, Config, Keys, NewVersion
from tallymark_server.domain.commands.projects import CreateProject
from tallymark_server.domain.commands.runs import FinishRun, FinishStep, Started, StartRun, StartStep, StepCommand
from tallymark_server.domain.commands.versions import (
    CreateVersions,
    DeleteAlias,
    DeleteVersion,
    Ensured,
    EnsureVersion,
    LogMetadata,
    PurgeVersion,
    SetAlias,
    SetStage,
    UndeleteVersion,
    UpdateVersion,
    VersionCommand,
)

__all__ = [
    "ArtifactCommand",
    "Command",
    "Config",
    "CreateModel",
    "CreateProject",
    "CreateVersions",
    "DeleteAlias",
    "DeleteModel",
    "DeleteVersion",
    "EnsureVersion",
    "Ensured",
    "FinishRun",
    "FinishStep",
    "Keys",
    "LinkArtifact",
    "LogMetadata",
    "ModelCommand",
    "NewVersion",
    "PurgeModel",
    "PurgeVersion",
    "RenameModel",
    "SetAlias",
    "SetStage",
    "StartRun",
    "StartStep",
    "Started",
    "StepCommand",
    "UndeleteModel",
    "UndeleteVersion",
    "UnlinkArtifact",
    "UpdateModel",
    "UpdateVersion",
    "VersionCommand",
]
