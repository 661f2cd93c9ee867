"""What can be asked of the artifacts of versions."""

from __future__ import annotations

from dataclasses import dataclass

from tallymark_server.domain.commands.parts import Command, Keys
from tallymark_server.domain.model import (
    Artifact,
    ArtifactRole,
    ArtifactType,
)
from tallymark_server.domain.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactCommand(Command[Artifact]):
    """A change to the artifacts of one name of a version."""

    looks_behind = True

    model: str
    reference: Reference
    name: str

    def declare(self, keys: Keys) -> None:
        Command.declare(self, keys)
        keys.models.add(self.model)
        keys.versions.add((self.model, self.reference))
        keys.artifacts.add((self.model, self.reference, self.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkArtifact(ArtifactCommand):
    """Link an artifact to a version."""

    type: ArtifactType
    uri: str
    digest: str = ""
    size: int = 0
    format: str = ""
    role: ArtifactRole = ArtifactRole.MADE
    run: str | None = None
    step: str = ""

    def declare(self, keys: Keys) -> None:
        ArtifactCommand.declare(self, keys)
        if self.run is not None:
            keys.runs.add(self.run)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlinkArtifact(ArtifactCommand):
    """Take a link away: the one of that ordinal, or the newest."""

    ordinal: int | None = None
    reason: str = ""
