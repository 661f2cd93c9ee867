"""What MLflow keeps, in the shape that its databases, its folders and its servers share.

Each store gives mappings with nearly the same names; they are read here once, with the types that they must have.
Nothing in them is trusted: a file may be cut, a column may hold anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from msgspec import Struct, field

from tallymark_server.importers.source_fields import micros, number, shown, text, whole
from tallymark_server.importers.source_model import CorruptError

PROMPT_TAG = "mlflow.prompt.is_prompt"
DELETED_STAGE = "Deleted_Internal"


class ModelRecord(Struct, kw_only=True):
    """A registered model. `highest` is the highest number that was given in it, as far as the store still knows."""

    name: str
    description: str = ""
    created: int = 0
    updated: int = 0
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    highest: int = 0

    @property
    def is_prompt(self) -> bool:
        """Whether it is a prompt, which MLflow keeps among its models."""
        return self.tags.get(PROMPT_TAG, "").lower() == "true"


class VersionRecord(Struct, kw_only=True):
    """A version of a registered model."""

    number: int
    description: str = ""
    created: int = 0
    updated: int = 0
    user: str = ""
    stage: str = ""
    source: str = ""
    location: str = ""
    run_id: str = ""
    status: str = ""
    status_message: str = ""
    tags: dict[str, str] = field(default_factory=dict)


class PointRecord(Struct):
    """One measurement of a metric."""

    key: str
    value: float
    time: int
    step: int


class RunRecord(Struct, kw_only=True):
    """A run with all that it logged. `state` is MLflow's word."""

    id: str
    experiment: str = ""
    name: str = ""
    state: str = ""
    user: str = ""
    start: int = 0
    end: int | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    points: list[PointRecord] = field(default_factory=list)


class LoggedModelRecord(Struct, kw_only=True):
    """A logged model, which since MLflow 3 has metrics and parameters of its own."""

    location: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    points: list[PointRecord] = field(default_factory=list)


class Counts(Struct, kw_only=True):
    """How many there are, counted in another way than they are read; None: the store does not say."""

    models: int
    versions: int | None = None
    runs: int | None = None


class Source(Protocol):
    """A store of MLflow. Every method raises CannotReadError when the store as a whole cannot be read.

    What concerns one object raises a subclass of ObjectError: it is missing, forbidden or corrupt.
    """

    # What the store cannot tell, a sentence each.
    limits: tuple[str, ...]

    def models(self) -> Iterator[ModelRecord | Unread]:
        """Every registered model, prompts too, by name."""
        ...

    def versions(self, model: ModelRecord) -> Iterator[VersionRecord | Unread]:
        """The versions of the model that are not deleted, by number."""
        ...

    def run(self, run_id: str) -> RunRecord:
        """The run of that id, deleted or not."""
        ...

    def run_ids(self) -> Iterator[str]:
        """The ids of all runs."""
        ...

    def logged_model(self, model_id: str) -> LoggedModelRecord:
        """The logged model of that id."""
        ...

    def counts(self) -> Counts:
        """How much there is, counted in another way than it is read."""
        ...


class Unread(Struct):
    """An object that could not be read: what it is, and why."""

    where: str
    why: str


def version_of(raw: Mapping[str, Any], tags: Mapping[str, str]) -> VersionRecord:
    """Return the version that the mapping describes; raise CorruptError."""
    found = version_number(raw, "version")
    created = micros(raw, "creation_time", "creation_timestamp") or 0
    return VersionRecord(
        number=found,
        description=text(raw, "description"),
        created=created,
        updated=max(created, micros(raw, "last_updated_time", "last_updated_timestamp") or 0),
        user=text(raw, "user_id"),
        stage=text(raw, "current_stage"),
        source=text(raw, "source"),
        location=text(raw, "storage_location"),
        run_id=text(raw, "run_id"),
        status=_status(raw),
        status_message=text(raw, "status_message"),
        tags=dict(tags),
    )


def version_number(raw: Mapping[str, Any], name: str) -> int:
    """Return a field that must be the number of a version; raise CorruptError."""
    found = whole(raw, name)
    if not 1 <= found < 2**31:
        raise CorruptError(f"its {name} is {shown(found)}, which is no number of a version")
    return found


def model_of(raw: Mapping[str, Any], tags: Mapping[str, str], aliases: Mapping[str, int], highest: int) -> ModelRecord:
    """Return the model that the mapping describes; raise CorruptError."""
    name = text(raw, "name")
    if not name:
        raise CorruptError("it has no name")
    created = micros(raw, "creation_time", "creation_timestamp") or 0
    return ModelRecord(
        name=name,
        description=text(raw, "description"),
        created=created,
        updated=max(created, micros(raw, "last_updated_time", "last_updated_timestamp") or 0),
        tags=dict(tags),
        aliases=dict(aliases),
        highest=highest,
    )


def point_of(raw: Mapping[str, Any]) -> PointRecord:
    """Return the point that the mapping describes; raise CorruptError."""
    value = math.nan if str(raw.get("is_nan")) in ("1", "True") else number(raw.get("value"), "value")
    return PointRecord(text(raw, "key"), value, micros(raw, "timestamp") or 0, step_of(raw, "step"))


def step_of(raw: Mapping[str, Any], name: str) -> int:
    """Return the step of a point, 0 if it has none; raise CorruptError."""
    step = whole(raw, name) if raw.get(name) is not None else 0
    if not -(2**63) <= step < 2**63:
        raise CorruptError(f"its {name} is {shown(step)}")
    return step


def _status(raw: Mapping[str, Any]) -> str:
    status = text(raw, "status") or "READY"
    # Folders keep the number by which the contract of MLflow knows the status.
    return {"1": "PENDING_REGISTRATION", "2": "FAILED_REGISTRATION", "3": "READY"}.get(status, status)
