"""What commands are made of: what they must know, and what they are asked with."""

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
    """What is to be erased: of a run with its steps, of a version, of a model, or of the whole project.

    With `keys`, the last key of a path goes too. `actor` asks for it.
    """

    run: str | None = None
    model: str | None = None
    reference: Reference | None = None
    paths: tuple[str, ...]
    keys: bool = False
    actor: str = ""


class Keys(Struct):
    """What a batch of commands must know of one project. Storage loads exactly this, in a few statements.

    `holders` are models that are answered with their holders.
    `erasing` has what is to be erased looked for in the whole log.
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
    # Runs of which every version that they made is needed.
    made: set[str] = field(default_factory=set)
    erasing: Erasing | None = None


class Command(Struct, Generic[T_co], frozen=True, kw_only=True):
    """One change asked for, which is answered with a `T_co`. `fingerprint` tells requests of one request_id apart."""

    # Whether what comes after it in line must be loaded anew: it changes more than the events say of themselves.
    changes_much: ClassVar[bool] = False
    # Whether it must be loaded after everything before it in line: what it needs depends on what they do.
    looks_behind: ClassVar[bool] = False

    project: str
    actor: str
    request_id: str = ""
    fingerprint: bytes = b""
    validate_only: bool = False

    @property
    def size(self) -> int:
        """About how many rows it writes at most; nothing bounds what a command writes that changes much."""
        return 1

    def declare(self, keys: Keys) -> None:
        """Add what this command must know."""
        if self.request_id:
            keys.receipts.add(self.request_id)


class NewVersion(Struct, frozen=True, kw_only=True):
    """A version to be created. `name` is None for a version called by its number."""

    name: str | None = None
    description: str = ""
    tags: tuple[str, ...] = ()
    metadata: dict[str, Value] = field(default_factory=dict)


class Config(Struct, frozen=True, kw_only=True):
    """What a `Model(name, version)` in a program means. `reference` is None for automatic numbering."""

    model: str
    reference: Reference | None
    card: ModelCard
    version: NewVersion

    def declare(self, keys: Keys, run: str | None) -> None:
        """Add what must be known to find or create this version."""
        keys.models.add(self.model)
        if self.reference is None:
            if run is not None:
                keys.automatic.add((run, self.model))
            return
        keys.versions.add((self.model, self.reference))
        if run is not None:
            keys.uses.add((run, self.model))
