"""What can be asked of the line, and what must be known of the registry to decide it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from tallymark_server.domain.model import Model, ModelCard, ModelVersion, Run, RunState, Stage, Value
from tallymark_server.domain.reference import Reference, aliased, in_stage, named

T_co = TypeVar("T_co", covariant=True)


@dataclass(slots=True)
class Keys:
    """What a batch of commands must know of one project. Storage loads exactly this, in a few statements."""

    receipts: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    versions: set[tuple[str, Reference]] = field(default_factory=set)
    automatic: set[tuple[str, str]] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[T_co]):
    """One change asked for, which is answered with a `T_co`. `fingerprint` tells requests of one request_id apart."""

    # Whether what comes after it in line must be loaded anew: it changes more than the events say of themselves.
    changes_much: ClassVar[bool] = False

    project: str
    actor: str
    request_id: str = ""
    fingerprint: bytes = b""
    validate_only: bool = False

    def declare(self, keys: Keys) -> None:
        """Add what this command must know."""
        if self.request_id:
            keys.receipts.add(self.request_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """A version to be created. `name` is None for a version called by its number."""

    name: str | None = None
    description: str = ""
    tags: tuple[str, ...] = ()
    metadata: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a `Model(name, version)` in a program means. `reference` is None for automatic numbering."""

    model: str
    reference: Reference | None
    card: ModelCard
    version: NewVersion

    def declare(self, keys: Keys, run: str | None) -> None:
        """Add what must be known to find or create this version."""
        keys.models.add(self.model)
        if self.reference is not None:
            keys.versions.add((self.model, self.reference))
        elif run is not None:
            keys.automatic.add((run, self.model))


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateModel(Command[Model]):
    """Create a model without any version."""

    model: str
    card: ModelCard

    def declare(self, keys: Keys) -> None:
        Command.declare(self, keys)
        keys.models.add(self.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVersions(Command[tuple[ModelVersion, ...]]):
    """Create versions of one model with successive numbers, all or none."""

    model: str
    versions: tuple[NewVersion, ...]

    def declare(self, keys: Keys) -> None:
        Command.declare(self, keys)
        keys.models.add(self.model)
        keys.versions.update((self.model, named(v.name)) for v in self.versions if v.name is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureVersion(Command["Ensured"]):
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
class ModelCommand(Command[Model]):
    """A change to a model that exists."""

    model: str

    def declare(self, keys: Keys) -> None:
        Command.declare(self, keys)
        keys.models.add(self.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateModel(ModelCommand):
    """Change fields of a model's card."""

    changes: dict[str, Any]
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameModel(ModelCommand):
    """Give a model another name."""

    changes_much = True

    name: str
    etag: str = ""

    def declare(self, keys: Keys) -> None:
        ModelCommand.declare(self, keys)
        keys.models.add(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteModel(ModelCommand):
    """Delete a model, so that it can be undeleted."""

    force: bool = False
    reason: str = ""
    etag: str = ""

    def declare(self, keys: Keys) -> None:
        ModelCommand.declare(self, keys)
        keys.versions.add((self.model, in_stage(Stage.PRODUCTION)))


@dataclass(frozen=True, slots=True, kw_only=True)
class UndeleteModel(ModelCommand):
    """Bring a deleted model back."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeModel(ModelCommand):
    """Put a deleted model and its versions away for good."""

    changes_much = True

    reason: str = ""


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
    """Set metadata of a version by key, and take keys away."""

    metadata: dict[str, Value]
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
class StartRun(Command["Started"]):
    """Start a run, or join it, and find or create the version that its pipeline's config means."""

    run: str
    pipeline: str
    host: str = ""
    config: Config | None = None

    def declare(self, keys: Keys) -> None:
        Command.declare(self, keys)
        keys.runs.add(self.run)
        if self.config is not None:
            self.config.declare(keys, self.run)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishRun(Command[Run]):
    """Finish a run."""

    run: str
    state: RunState
    error: str = ""

    def declare(self, keys: Keys) -> None:
        Command.declare(self, keys)
        keys.runs.add(self.run)


@dataclass(frozen=True, slots=True)
class Ensured:
    """A version, and whether this very request created it."""

    version: ModelVersion
    created: bool


@dataclass(frozen=True, slots=True)
class Started:
    """A run, whether this very request started it, and the version that its config means."""

    run: Run
    created: bool
    version: ModelVersion | None
