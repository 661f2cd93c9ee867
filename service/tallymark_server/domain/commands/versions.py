"""What can be asked of versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tallymark_server.domain.commands.parts import Command, Config, Keys, NewVersion
from tallymark_server.domain.model import (
    ModelVersion,
    Point,
    Stage,
    Value,
)
from tallymark_server.domain.reference import Reference, aliased, in_stage, named


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVersions(Command[tuple[ModelVersion, ...]]):
    """Create versions of one model with successive numbers, all or none."""

    model: str
    versions: tuple[NewVersion, ...]

    def declare(self, keys: Keys) -> None:
        Command.declare(self, keys)
        keys.models.add(self.model)
        keys.versions.update((self.model, named(v.name)) for v in self.versions if v.name is not None)


@dataclass(frozen=True, slots=True)
class Ensured:
    """A version, and whether this very request created it."""

    version: ModelVersion
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureVersion(Command[Ensured]):
    """Find or create the version that a config means."""

    config: Config
    run: str | None
    step: str = ""

    def declare(self, keys: Keys) -> None:
        Command.declare(self, keys)
        self.config.declare(keys, self.run)
        if self.run is not None:
            keys.runs.add(self.run)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionCommand(Command[ModelVersion]):
    """A change to a version that exists."""

    model: str
    reference: Reference

    def declare(self, keys: Keys) -> None:
        Command.declare(self, keys)
        keys.models.add(self.model)
        keys.versions.add((self.model, self.reference))


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStage(VersionCommand):
    """Move a version to another stage."""

    stage: Stage
    force: bool = False
    reason: str = ""
    etag: str = ""

    def declare(self, keys: Keys) -> None:
        VersionCommand.declare(self, keys)
        keys.versions.add((self.model, in_stage(self.stage)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAlias(VersionCommand):
    """Point an alias at a version. `expected` is the number it must point at now, 0 for nowhere, None for anywhere."""

    alias: str
    expected: int | None = None
    reason: str = ""

    def declare(self, keys: Keys) -> None:
        VersionCommand.declare(self, keys)
        keys.versions.add((self.model, aliased(self.alias)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteAlias(VersionCommand):
    """Take an alias, which is the reference, away from the version at which it points."""

    expected: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogMetadata(VersionCommand):
    """Set metadata of a version by key, log points of its metrics, and take keys away. A point's time may be 0: now."""

    metadata: dict[str, Value]
    points: tuple[Point, ...] = ()
    delete_keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateVersion(VersionCommand):
    """Change the explicit name (None for none), description or tags of a version."""

    changes: dict[str, Any]
    etag: str = ""

    def declare(self, keys: Keys) -> None:
        VersionCommand.declare(self, keys)
        if self.changes.get("name") is not None:
            keys.versions.add((self.model, named(self.changes["name"])))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteVersion(VersionCommand):
    """Delete a version, so that it can be undeleted."""

    changes_much = True

    force: bool = False
    reason: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndeleteVersion(VersionCommand):
    """Bring a deleted version back."""

    changes_much = True

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeVersion(VersionCommand):
    """Put a deleted version away for good."""

    changes_much = True

    reason: str = ""
