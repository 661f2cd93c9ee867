"""What there is in another registry. Times are microseconds since 1970, UTC."""

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
    """The other registry cannot be read; the message says why, and what to do next."""


class ObjectError(Exception):
    """One object of the other registry cannot be read, and the others can; the message says why."""


class MissingError(ObjectError):
    """The object is not there."""


class ForbiddenError(ObjectError):
    """The object may not be read by whoever imports."""


class CorruptError(ObjectError):
    """The object is there, and is not what it should be."""


@dataclass
class Report:
    """What cannot be kept as it was, in the order in which it was met, and what has no place in this registry.

    `unread` are models and versions that could not be read at all.
    """

    losses: list[str] = field(default_factory=list)
    staying: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def lost(self, where: str, what: str) -> None:
        """Note that something is not here as it was there; once, however often it is met."""
        if (line := f"{where}: {what}") not in self._seen:
            self._seen.add(line)
            self.losses.append(line)

    def cannot_read(self, where: str, why: str) -> None:
        """Note that a model or a version could not be read."""
        self.unread.append(f"{where}: cannot be read: {why}")

    def stays(self, what: str) -> None:
        """Note that something there has no place here, whatever it is like."""
        self.staying.append(what)


@dataclass(kw_only=True)
class FoundRun:
    """A run that made or used versions."""

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
    """Metadata that somebody told at a time."""

    time: int
    actor: str
    values: dict[str, Value]


@dataclass(kw_only=True)
class FoundArtifact:
    """Something that belongs to a version. `time` is when it was linked."""

    name: str
    type: ArtifactType
    uri: str
    role: ArtifactRole = ArtifactRole.MADE
    time: int


@dataclass(kw_only=True)
class FoundVersion:
    """A version. `metadata` is as of now, `facts` tells what was said of it when; `run` made it, `used_by` used it."""

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
    """A model with its versions, in the order of their numbers. `highest` is the highest number given there."""

    name: str
    card: ModelCard
    creator: str
    create_time: int
    update_time: int
    versions: Iterable[FoundVersion] = ()
    highest: int = 0


class Found(NamedTuple):
    """Everything that is imported, read as it is asked for: models, then runs that have to do with no version.

    The versions of a model are asked for before the next model.
    """

    models: Iterator[FoundModel]
    runs: Iterator[FoundRun]
