"""The base of all commands, and the keys of the state that they need."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from msgspec import Struct, field

from tallymark_server.domain.model import (
    ModelCard,
    Value,
)
from tallymark_server.domain.reference import Reference

T_co = TypeVar("T_co", covariant=True)


class Erasing(Struct, frozen=True, kw_only=True):
    """What to erase: the contents at `paths` of a run with its steps, a version, a model, or the whole project.

    With `keys`, the last key of each path is erased too. `actor` is who requests it.
    """

    run: str | None = None
    model: str | None = None
    reference: Reference | None = None
    paths: tuple[str, ...]
    keys: bool = False
    actor: str = ""


class Keys(Struct):
    """The state of one project that a batch of commands needs. Storage loads exactly this, in a few statements.

    `holders` are models whose holders are part of an answer. `erasing` is searched for in the whole log.
    """

    receipts: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    versions: set[tuple[str, Reference]] = field(default_factory=set)
    automatic: set[tuple[str, str]] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    uses: set[tuple[str, str]] = field(default_factory=set)
    steps: set[tuple[str, str]] = field(default_factory=set)
    artifacts: set[tuple[str, Reference, str]] = field(default_factory=set)
    holders: set[str] = field(default_factory=set)
    # Runs whose created versions are all needed.
    made: set[str] = field(default_factory=set)
    erasing: Erasing | None = None


class Command(Struct, Generic[T_co], frozen=True, kw_only=True):
    """A requested change, whose result is a `T_co`. `fingerprint` distinguishes requests with the same request_id."""

    # True if the state must be reloaded after this command, because its events do not show every change.
    reload_after: ClassVar[bool] = False
    # True if the state must be reloaded before this command, because what it needs depends on those before it.
    reload_before: ClassVar[bool] = False

    project: str
    actor: str
    request_id: str = ""
    fingerprint: bytes = b""
    validate_only: bool = False

    @property
    def size(self) -> int:
        """About how many rows it writes at most. A command with `reload_after` may write any number."""
        return 1

    def add_required_keys(self, keys: Keys) -> None:
        """Add the keys of the state that this command needs."""
        if self.request_id:
            keys.receipts.add(self.request_id)


class NewVersion(Struct, frozen=True, kw_only=True):
    """A version to be created. `name` is None for a version called by its number."""

    name: str | None = None
    description: str = ""
    tags: tuple[str, ...] = ()
    metadata: dict[str, Value] = field(default_factory=dict)


class Config(Struct, frozen=True, kw_only=True):
    """The version that a `Model(name, version)` in a program means; no `reference` is automatic numbering."""

    model: str
    reference: Reference | None
    card: ModelCard
    version: NewVersion

    def add_required_keys(self, keys: Keys, run: str | None) -> None:
        """Add the keys that are needed to find or create this version."""
        keys.models.add(self.model)
        if self.reference is None:
            if run is not None:
                keys.automatic.add((run, self.model))
            return
        keys.versions.add((self.model, self.reference))
        if run is not None:
            keys.uses.add((run, self.model))
