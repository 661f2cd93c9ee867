"""What there is in another registry. Times are microseconds since 1970, UTC."""

from __future__ import annotations

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


@dataclass
class Report:
    """What cannot be kept as it was, in the order in which it was met, and what is no matter of this registry."""

    losses: list[str] = field(default_factory=list)
    staying: list[str] = field(default_factory=list)

    def lost(self, where: str, what: str) -> None:
        """Note that something is not here as it was there; once, however often it is met."""
        if (line := f"{where}: {what}") not in self.losses:
            self.losses.append(line)

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
    """A model with its versions, in the order of their numbers."""

    name: str
    card: ModelCard
    creator: str
    create_time: int
    update_time: int
    versions: list[FoundVersion] = field(default_factory=list)
