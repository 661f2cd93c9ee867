"""The contents of another registry. Times are microseconds since 1970, UTC."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tallymark_server.domain.model import (
    ArtifactRole,
    ArtifactType,
    ModelCard,
    Point,
    RunState,
    Stage,
    Value,
)


class CannotReadError(Exception):
    """The other registry cannot be read. The message says why, and what to do next."""


class ObjectError(Exception):
    """One object of the other registry cannot be read. The message says why."""


class MissingError(ObjectError):
    """The object does not exist."""


class ForbiddenError(ObjectError):
    """The importing user may not read the object."""


class CorruptError(ObjectError):
    """The object exists, but is invalid."""


@dataclass
class Report:
    """What an import changes or leaves out, in the order in which it is found.

    `unread` are models and versions that cannot be read at all.
    """

    losses: list[str] = field(default_factory=list)
    staying: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def lost(self, where: str, what: str) -> None:
        """Report that something is not imported unchanged, once, however often it is found."""
        if (line := f"{where}: {what}") not in self._seen:
            self._seen.add(line)
            self.losses.append(line)

    def cannot_read(self, where: str, why: str) -> None:
        """Report that a model or a version cannot be read."""
        self.unread.append(f"{where}: cannot be read: {why}")

    def stays(self, what: str) -> None:
        """Report a kind of content that this registry does not have."""
        self.staying.append(what)


@dataclass(kw_only=True)
class FoundRun:
    """A run that created or used versions."""

    id: str
    pipeline: str
    state: RunState
    error: str = ""
    host: str = ""
    user: str = ""
    commit: str = ""
    parameters: dict[str, Value] = field(default_factory=dict)
    creator: str
    start: int
    end: int | None = None


class Facts(NamedTuple):
    """Metadata that an actor logged at a time."""

    time: int
    actor: str
    values: dict[str, Value]


@dataclass(kw_only=True)
class FoundArtifact:
    """An artifact of a version. `time` is when it was linked."""

    name: str
    type: ArtifactType
    uri: str
    role: ArtifactRole = ArtifactRole.MADE
    time: int


@dataclass(kw_only=True)
class FoundVersion:
    """A version. `metadata` is current, `facts` are earlier values; `run` created it, `used_by` used it."""

    number: int
    name: str | None = None
    stage: Stage = Stage.NONE
    aliases: tuple[str, ...] = ()
    description: str = ""
    tags: tuple[str, ...] = ()
    metadata: dict[str, Value] = field(default_factory=dict)
    facts: list[Facts] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    artifacts: list[FoundArtifact] = field(default_factory=list)
    run: FoundRun | None = None
    used_by: list[FoundRun] = field(default_factory=list)
    creator: str
    create_time: int
    update_time: int


@dataclass(kw_only=True)
class FoundModel:
    """A model with its versions by number. `highest` is the highest number that it has given."""

    name: str
    card: ModelCard
    creator: str
    create_time: int
    update_time: int
    versions: Iterable[FoundVersion] = ()
    highest: int = 0


class Found(NamedTuple):
    """Everything to import, read lazily: models, then runs without versions.

    The versions of a model must be read before the next model.
    """

    models: Iterator[FoundModel]
    runs: Iterator[FoundRun]
