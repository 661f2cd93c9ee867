"""The records of MLflow, in the shape that its databases, folders and servers share.

Each store yields mappings with nearly the same keys, which are converted here. Their types are checked: a file may be
cut, a column may have any value.
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
    """A registered model. `highest` is the highest number that it has given, as far as the store knows it."""

    name: str
    description: str = ""
    created: int = 0
    updated: int = 0
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    highest: int = 0

    @property
    def is_prompt(self) -> bool:
        """Whether it is a prompt, which MLflow stores like a model."""
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
    """A run with everything that it logged. `state` is MLflow's word."""

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
    """The numbers of objects, counted by another query than they are read with; None if the store has no count."""

    models: int
    versions: int | None = None
    runs: int | None = None


class Source(Protocol):
    """A store of MLflow. Every method raises CannotReadError when the store as a whole cannot be read.

    If only one object cannot be read, they raise a subclass of ObjectError: it is missing, forbidden or corrupt.
    """

    # What the store does not know, a sentence each.
    limits: tuple[str, ...]

    def models(self) -> Iterator[ModelRecord | Unread]:
        """Yield every registered model by name, including prompts."""
        ...

    def versions(self, model: ModelRecord) -> Iterator[VersionRecord | Unread]:
        """Return the versions of the model that are not deleted, by number."""
        ...

    def run(self, run_id: str) -> RunRecord:
        """Return the run, deleted or not."""
        ...

    def run_ids(self) -> Iterator[str]:
        """Yield the ids of all runs."""
        ...

    def logged_model(self, model_id: str) -> LoggedModelRecord:
        """Return the logged model."""
        ...

    def counts(self) -> Counts:
        """Return the numbers of objects, counted by another query than they are read with."""
        ...


class Unread(Struct):
    """An object that cannot be read, and the reason."""

    where: str
    why: str


def version_of(raw: Mapping[str, Any], tags: Mapping[str, str]) -> VersionRecord:
    """Return the version in the mapping. Raises CorruptError."""
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
    """Return a field that must be a version number. Raises CorruptError."""
    found = whole(raw, name)
    if not 1 <= found < 2**31:
        raise CorruptError(f"its {name} is {shown(found)}, which is no number of a version")
    return found


def model_of(raw: Mapping[str, Any], tags: Mapping[str, str], aliases: Mapping[str, int], highest: int) -> ModelRecord:
    """Return the model in the mapping. Raises CorruptError."""
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
    """Return the point in the mapping. Raises CorruptError."""
    value = math.nan if str(raw.get("is_nan")) in ("1", "True") else number(raw.get("value"), "value")
    return PointRecord(text(raw, "key"), value, micros(raw, "timestamp") or 0, step_of(raw, "step"))


def step_of(raw: Mapping[str, Any], name: str) -> int:
    """Return the step of a point, 0 if it has none. Raises CorruptError."""
    step = whole(raw, name) if raw.get(name) is not None else 0
    if not -(2**63) <= step < 2**63:
        raise CorruptError(f"its {name} is {shown(step)}")
    return step


def _status(raw: Mapping[str, Any]) -> str:
    status = text(raw, "status") or "READY"
    # Folders store the number of the status in MLflow's contract.
    return {"1": "PENDING_REGISTRATION", "2": "FAILED_REGISTRATION", "3": "READY"}.get(status, status)
