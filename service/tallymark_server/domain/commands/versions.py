"""The commands about versions."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from tallymark_server.domain.commands.command import Command, Config, Keys, NewVersion
from tallymark_server.domain.model import (
    ModelVersion,
    Point,
    Stage,
    Value,
)
from tallymark_server.domain.reference import Reference, aliased, in_stage, named


class CreateVersions(Command[tuple[ModelVersion, ...]], frozen=True, kw_only=True):
    """Create versions of one model with successive numbers, all or none."""

    model: str
    versions: tuple[NewVersion, ...]

    @property
    def size(self) -> int:
        return len(self.versions)

    def add_required_keys(self, keys: Keys) -> None:
        Command.add_required_keys(self, keys)
        keys.models.add(self.model)
        keys.versions.update((self.model, named(v.name)) for v in self.versions if v.name is not None)


class Ensured(Struct, frozen=True):
    """A version, and whether this request created it."""

    version: ModelVersion
    created: bool


class EnsureVersion(Command[Ensured], frozen=True, kw_only=True):
    """Find or create the version that a config means."""

    config: Config
    run: str | None
    step: str = ""

    def add_required_keys(self, keys: Keys) -> None:
        Command.add_required_keys(self, keys)
        self.config.add_required_keys(keys, self.run)
        if self.run is not None:
            keys.runs.add(self.run)


class VersionCommand(Command[ModelVersion], frozen=True, kw_only=True):
    """A change to a version that exists."""

    model: str
    reference: Reference

    def add_required_keys(self, keys: Keys) -> None:
        Command.add_required_keys(self, keys)
        keys.models.add(self.model)
        keys.versions.add((self.model, self.reference))


class SetStage(VersionCommand, frozen=True, kw_only=True):
    """Move a version to another stage. With `force` the holder of the stage goes to the archive.

    `expected` is the number of the version that must hold the stage now, 0 for no version, None for any. With
    `allow_unfinished_run` and a reason, the run that created the version need not have succeeded.
    """

    stage: Stage
    force: bool = False
    expected: int | None = None
    allow_unfinished_run: bool = False
    reason: str = ""
    etag: str = ""

    def add_required_keys(self, keys: Keys) -> None:
        VersionCommand.add_required_keys(self, keys)
        keys.versions.add((self.model, in_stage(self.stage)))


class SetAlias(VersionCommand, frozen=True, kw_only=True):
    """Point an alias at a version. `expected` is the number it must point at now, 0 for nowhere, None for anywhere."""

    alias: str
    expected: int | None = None
    reason: str = ""

    def add_required_keys(self, keys: Keys) -> None:
        VersionCommand.add_required_keys(self, keys)
        keys.versions.add((self.model, aliased(self.alias)))
        keys.holders.add(self.model)


class DeleteAlias(VersionCommand, frozen=True, kw_only=True):
    """Delete an alias, which is the reference, from the version at which it points."""

    expected: int | None = None
    reason: str = ""


class LogMetadata(VersionCommand, frozen=True, kw_only=True):
    """Set metadata of a version by key, log points of its metrics, and remove keys. A point's time 0 means now."""

    metadata: dict[str, Value]
    points: tuple[Point, ...] = ()
    delete_keys: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        return 1 + len(self.points)


class UpdateVersion(VersionCommand, frozen=True, kw_only=True):
    """Change the explicit name (None for none), description or tags of a version."""

    changes: dict[str, Any]
    etag: str = ""

    def add_required_keys(self, keys: Keys) -> None:
        VersionCommand.add_required_keys(self, keys)
        if self.changes.get("name") is not None:
            keys.versions.add((self.model, named(self.changes["name"])))


class DeleteVersion(VersionCommand, frozen=True, kw_only=True):
    """Delete a version, so that it can be undeleted."""

    reload_after = True

    force: bool = False
    reason: str = ""
    etag: str = ""


class UndeleteVersion(VersionCommand, frozen=True, kw_only=True):
    """Undelete a version."""

    reload_after = True

    reason: str = ""


class PurgeVersion(VersionCommand, frozen=True, kw_only=True):
    """Purge a deleted version for ever."""

    reload_after = True

    reason: str = ""
