"""What the registry keeps, as it was when it was read. Times are UTC. Nothing here asks the service for anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tallymark.notebook import model_table, run_table, version_table
from tallymark.values import RunState, Stage, Uri

Value = float | bool | str | datetime | Uri | list["Value"] | dict[str, "Value"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ModelInfo:
    """A model. `last_number` is the highest number given in its line, 0 before the first version."""

    project: str
    name: str
    description: str
    license: str
    audience: str
    use_cases: str
    limitations: str
    trade_offs: str
    ethics: str
    tags: tuple[str, ...]
    last_number: int
    creator: str
    create_time: datetime
    update_time: datetime
    create_revision: int
    mod_revision: int
    etag: str
    delete_time: datetime | None

    @property
    def resource_name(self) -> str:
        """`projects/{project}/models/{model}`."""
        return f"projects/{self.project}/models/{self.name}"

    def __repr__(self) -> str:
        return f"ModelInfo({self.name}, {self.last_number} versions)"

    def _repr_html_(self) -> str:
        return model_table(self)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ModelVersion:
    """One version of a model.

    `name` is its explicit name, or its number as text. `run` is the id of the run that made it, None outside a run;
    `automatic` tells the one version that was numbered automatically for the run and model.
    """

    project: str
    model: str
    number: int
    name: str
    stage: Stage
    aliases: tuple[str, ...]
    description: str
    tags: tuple[str, ...]
    metadata: Mapping[str, Value]
    run: str | None
    step: str
    automatic: bool
    creator: str
    create_time: datetime
    update_time: datetime
    create_revision: int
    mod_revision: int
    etag: str
    delete_time: datetime | None

    @property
    def resource_name(self) -> str:
        """`projects/{project}/models/{model}/versions/{number}`."""
        return f"projects/{self.project}/models/{self.model}/versions/{self.number}"

    def __repr__(self) -> str:
        name = "" if self.name == str(self.number) else f" {self.name!r}"
        stage = "" if self.stage is Stage.NONE else f" {self.stage.value}"
        return f"ModelVersion({self.model} No.{self.number}{name}{stage})"

    def _repr_html_(self) -> str:
        return version_table(self)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Run:
    """One execution of a pipeline. `model_version` is the resource name of the version that its own model means."""

    project: str
    id: str
    pipeline: str
    state: RunState
    error: str
    model_version: str | None
    host: str
    creator: str
    create_time: datetime
    end_time: datetime | None
    create_revision: int
    mod_revision: int

    @property
    def resource_name(self) -> str:
        """`projects/{project}/runs/{run}`."""
        return f"projects/{self.project}/runs/{self.id}"

    def __repr__(self) -> str:
        return f"Run({self.id} {self.pipeline!r} {self.state.value})"

    def _repr_html_(self) -> str:
        return run_table(self)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Event:
    """What one revision of the log changed, and what the resource became.

    `kind` is one of model_created, model_updated, model_renamed, model_deleted, model_undeleted, model_purged,
    version_created, version_updated, version_renamed, version_deleted, version_undeleted, stage_changed, alias_set,
    alias_deleted, metadata_logged, run_started, run_finished.
    """

    revision: int
    kind: str
    time: datetime
    actor: str
    reason: str
    resource: ModelInfo | ModelVersion | Run
    previous_stage: Stage | None
    alias: str
    previous_number: int
    previous_name: str

    def __repr__(self) -> str:
        return f"Event({self.revision} {self.kind} {self.resource!r})"


@dataclass(frozen=True, slots=True)
class Ensured:
    """The version that was asked for, and whether asking created it."""

    version: ModelVersion
    created: bool


@dataclass(frozen=True, slots=True)
class Started:
    """A run, whether it was started now or joined, and the version that its pipeline's model means in it."""

    run: Run
    created: bool
    version: ModelVersion | None
