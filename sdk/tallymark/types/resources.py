"""The registry's resources, as they were when they were read. Times are UTC. Fields never call the service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from tallymark.types.artifact_info import ArtifactInfo
from tallymark.types.enums import RunState, Stage, Uri
from tallymark.types.html_repr import table, time_and_creator
from tallymark.types.recording_problem import RecordingProblem
from tallymark.types.version_actions import VersionActions

Value = float | bool | str | datetime | Uri | None | list["Value"] | dict[str, "Value"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Project:
    """A project, with its own models, runs and log.

    A project that the operator of the service created has no creator and no time. `log_id` identifies its log.
    """

    name: str
    creator: str
    create_time: datetime | None
    log_id: str

    @property
    def resource_name(self) -> str:
        """`projects/{project}`."""
        return f"projects/{self.name}"

    def __repr__(self) -> str:
        return f"Project({self.name})"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ModelInfo:
    """A model. `last_number` is the highest number that a version of it was given, 0 before the first.

    `latest_number`, `production_number` and `staging_number` are the numbers of these versions, 0 for none, and
    `aliases` maps each alias to the number of its version. In events these four are empty.
    """

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
    metadata: Mapping[str, Value]
    last_number: int
    creator: str
    create_time: datetime
    update_time: datetime
    create_revision: int
    mod_revision: int
    etag: str
    delete_time: datetime | None
    latest_number: int
    production_number: int
    staging_number: int
    aliases: Mapping[str, int]

    @property
    def resource_name(self) -> str:
        """`projects/{project}/models/{model}`."""
        return f"projects/{self.project}/models/{self.name}"

    def __repr__(self) -> str:
        return f"ModelInfo({self.name}, {self.last_number} versions)"

    def _repr_html_(self) -> str:
        rows = {
            "description": self.description,
            "license": self.license,
            "audience": self.audience,
            "use cases": self.use_cases,
            "limitations": self.limitations,
            "trade-offs": self.trade_offs,
            "ethics": self.ethics,
            "tags": ", ".join(self.tags),
            "last number": self.last_number,
            "latest": self.latest_number,
            "production": self.production_number or "none",
            "staging": self.staging_number or "none",
            "aliases": ", ".join(f"{alias} → {number}" for alias, number in self.aliases.items()),
            "created": time_and_creator(self.creator, self.create_time),
            "deleted": self.delete_time,
        }
        return table(self.name, rows)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ModelVersion(VersionActions):
    """A version of a model.

    `name` is its explicit name, or its number as text. `run` is the id of the run that created it, and `run_state` the
    state of that run; both are None for a version created outside of runs. `automatic` marks the one version that was
    created automatically for the run and model. `series` maps each metric with points to its highest step.
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
    series: Mapping[str, int]
    run: str | None
    run_state: RunState | None
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
        rows = {
            "name": self.name,
            "stage": self.stage.value,
            "aliases": ", ".join(self.aliases),
            "description": self.description,
            "tags": ", ".join(self.tags),
            "run": self.run,
            "run state": self.run_state.value if self.run_state else None,
            "step": self.step,
            "created": time_and_creator(self.creator, self.create_time),
            "deleted": self.delete_time,
        }
        return table(f"{self.model} No.{self.number}", rows, self.metadata)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Run:
    """A run: one execution of a pipeline. `model_version` is the resource name of the version of the pipeline's model.

    `start_time` is when the program started the run by its own clock, None if it was not reported. A run without a
    heartbeat for `heartbeat_timeout` is recorded as lost; None means never. `recording_problems` lists what could not
    be recorded, and `command` is the command line that started the program.
    """

    project: str
    id: str
    pipeline: str
    state: RunState
    error: str
    model_version: str | None
    host: str
    user: str
    commit: str
    url: str
    command: str
    parameters: Mapping[str, Value]
    heartbeat_timeout: timedelta | None
    recording_problems: tuple[RecordingProblem, ...]
    creator: str
    create_time: datetime
    start_time: datetime | None
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
        rows = {
            "pipeline": self.pipeline,
            "state": self.state.value,
            "error": self.error,
            "model version": self.model_version,
            "host": self.host,
            "command": self.command,
            "recording problems": sum(problem.count for problem in self.recording_problems) or None,
            "started": time_and_creator(self.creator, self.create_time),
            "ended": self.end_time,
        }
        return table(f"run {self.id}", rows)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunStep:
    """One execution of a step. `model_version` is the resource name of the version in force in it.

    `start_time` is when the program started the step by its own clock, None if it was not reported.
    """

    project: str
    run: str
    id: str
    name: str
    state: RunState
    error: str
    model_version: str | None
    parameters: Mapping[str, Value]
    create_time: datetime
    start_time: datetime | None
    end_time: datetime | None
    create_revision: int
    mod_revision: int

    @property
    def resource_name(self) -> str:
        """`projects/{project}/runs/{run}/steps/{step}`."""
        return f"projects/{self.project}/runs/{self.run}/steps/{self.id}"

    def __repr__(self) -> str:
        return f"RunStep({self.run} {self.name!r} {self.state.value})"


class MetricPoint(NamedTuple):
    """A point of a metric. Without a time, the time at which it is logged counts."""

    key: str
    step: int
    value: float
    time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricChange:
    """Points logged to a version, by its resource name, and the metrics whose points were deleted before that."""

    model_version: str
    points: tuple[MetricPoint, ...]
    deleted_keys: tuple[str, ...]

    @property
    def resource_name(self) -> str:
        """The resource name of the version."""
        return self.model_version


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionUse:
    """The use of a version by a run that did not make it; both by resource name."""

    run: str
    step: str
    model_version: str

    @property
    def resource_name(self) -> str:
        """The resource name of the version."""
        return self.model_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """An erasure from the log: the resource name, and the paths that were erased, with `*` for keys and names.

    `content_count` is the number of events with erased content; `digest` is the digest that proves the erasure.
    """

    name: str
    paths: tuple[str, ...]
    content_count: int
    digest: str

    @property
    def resource_name(self) -> str:
        """The name of the resource whose content was erased."""
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageNode:
    """A version, a run or an artifact, and its distance from the start of the query, in edges."""

    id: str
    depth: int
    resource: ModelVersion | Run | ArtifactInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """A graph of sources and results: `edges` go from the id of a source to the id of its result.

    `truncated` is True if there are nodes beyond the depth of the query, or more than one answer holds.
    """

    nodes: tuple[LineageNode, ...]
    edges: tuple[tuple[str, str], ...]
    truncated: bool
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Event:
    """An event: the change of one revision of the log, and the resource after it.

    `kind` is one of model_created, model_updated, model_renamed, model_deleted, model_undeleted, model_purged,
    version_created, version_updated, version_renamed, version_deleted, version_undeleted, version_purged, version_used,
    stage_changed, alias_set, alias_deleted, metadata_logged, metrics_logged, artifact_linked, artifact_unlinked,
    version_run_state_changed, run_started, run_finished, run_lost, run_resumed, recording_problems_reported,
    step_started, step_finished, project_created, erased. `erased_revision` is the revision of the last event that
    records an erasure from this one, 0 for none.
    """

    revision: int
    kind: str
    time: datetime
    actor: str
    reason: str
    resource: ModelInfo | ModelVersion | Run | RunStep | ArtifactInfo | MetricChange | VersionUse | Project | Erasure
    previous_stage: Stage | None
    alias: str
    previous_number: int
    previous_name: str
    erased_revision: int = 0

    def __repr__(self) -> str:
        return f"Event({self.revision} {self.kind} {self.resource!r})"


class Heartbeat(NamedTuple):
    """The answer to a heartbeat: the run's state, and the time within which the next must arrive, None for any."""

    state: RunState
    deadline: timedelta | None


@dataclass(frozen=True, slots=True)
class Ensured:
    """The version that `ensure_version` found or created, and whether it was created."""

    version: ModelVersion
    created: bool


@dataclass(frozen=True, slots=True)
class Started:
    """A run, whether it was created or joined, and the version of its pipeline's model."""

    run: Run
    created: bool
    version: ModelVersion | None
