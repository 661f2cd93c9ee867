"""The commands about artifacts of versions."""

from __future__ import annotations

from tallymark_server.domain.commands.command import Command, Keys
from tallymark_server.domain.model import (
    Artifact,
    ArtifactRole,
    ArtifactType,
)
from tallymark_server.domain.reference import Reference


class ArtifactCommand(Command[Artifact], frozen=True, kw_only=True):
    """A change to the artifacts of one name of a version."""

    reload_before = True

    model: str
    reference: Reference
    name: str

    def add_required_keys(self, keys: Keys) -> None:
        Command.add_required_keys(self, keys)
        keys.models.add(self.model)
        keys.versions.add((self.model, self.reference))
        keys.artifacts.add((self.model, self.reference, self.name))


class LinkArtifact(ArtifactCommand, frozen=True, kw_only=True):
    """Link an artifact to a version."""

    type: ArtifactType
    uri: str
    digest: str = ""
    size: int = 0
    format: str = ""
    role: ArtifactRole = ArtifactRole.MADE
    run: str | None = None
    step: str = ""

    def add_required_keys(self, keys: Keys) -> None:
        ArtifactCommand.add_required_keys(self, keys)
        if self.run is not None:
            keys.runs.add(self.run)


class UnlinkArtifact(ArtifactCommand, frozen=True, kw_only=True):
    """Unlink an artifact: that of the ordinal, or the newest."""

    ordinal: int | None = None
    reason: str = ""
