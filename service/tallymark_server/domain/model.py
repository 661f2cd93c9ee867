"""The things that the registry keeps. Times are microseconds since 1970, UTC.

Structs of msgspec are frozen dataclasses in every respect but the price, which a busy line pays thousands of times a
second: they are made in a quarter of the time, and written as JSON in a twentieth.
"""

from __future__ import annotations

import enum

from msgspec import Struct, field


class Stage(enum.StrEnum):
    """The lifecycle state of a version."""

    NONE = "none"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"


# Each of these stages has at most one version of a model.
EXCLUSIVE_STAGES = frozenset({Stage.STAGING, Stage.PRODUCTION})


class RunState(enum.StrEnum):
    """How far a run has come."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"


class ArtifactType(enum.StrEnum):
    """What an artifact is."""

    DATA = "data"
    MODEL = "model"
    DEPLOYMENT = "deployment"


class ArtifactRole(enum.StrEnum):
    """How a version and an artifact belong together."""

    MADE = "made"
    USED = "used"


class Time(Struct, frozen=True):
    """A metadata value that is a point in time."""

    micros: int


class Uri(Struct, frozen=True):
    """A metadata value that refers to something elsewhere."""

    text: str


# An int is a whole number that a float does not hold exactly; all other numbers are floats.
Value = float | int | str | bool | None | Time | Uri | tuple["Value", ...] | dict[str, "Value"]


class ModelCard(Struct, frozen=True, omit_defaults=True):
    """What people write about a model."""

    description: str = ""
    license: str = ""
    audience: str = ""
    use_cases: str = ""
    limitations: str = ""
    trade_offs: str = ""
    ethics: str = ""
    tags: tuple[str, ...] = ()
    metadata: dict[str, Value] = field(default_factory=dict)


class Holders(Struct, frozen=True, kw_only=True):
    """The numbers of the versions that hold the places of a model, 0 for none. Deleted versions hold nothing."""

    latest: int = 0
    production: int = 0
    staging: int = 0
    aliases: dict[str, int] = field(default_factory=dict)


class Model(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A named line of versions. `id` never changes, whatever the name. A purged model is but its line's last number.

    `holders` is None where they were not read, as in an event: other events change them.
    """

    id: int
    name: str
    card: ModelCard = ModelCard()
    last_number: int = 0
    creator: str
    create_time: int
    update_time: int
    create_revision: int
    mod_revision: int
    delete_time: int | None = None
    purged: bool = False
    holders: Holders | None = None


class ModelVersion(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry in a model's line. `name` is the explicit name, None when the version is called by its number.

    `series` are the metrics that have points, each with its highest step. `run_state` is the state of the run that made
    the version, None when it was made outside a run.
    """

    model_id: int
    model: str = ""
    number: int
    name: str | None = None
    stage: Stage = Stage.NONE
    aliases: tuple[str, ...] = ()
    description: str = ""
    tags: tuple[str, ...] = ()
    metadata: dict[str, Value] = field(default_factory=dict)
    series: dict[str, int] = field(default_factory=dict)
    run: str | None = None
    run_state: RunState | None = None
    step: str = ""
    automatic: bool = False
    creator: str
    create_time: int
    update_time: int
    create_revision: int
    mod_revision: int
    delete_time: int | None = None
    purged: bool = False


class Point(Struct, frozen=True):
    """One measurement of a metric."""

    key: str
    step: int
    value: float
    time: int


class MetricChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Points logged to a version, and before that series taken away from it."""

    model_id: int
    model: str = ""
    number: int
    points: tuple[Point, ...] = ()
    deleted_keys: tuple[str, ...] = ()
    mod_revision: int


class Artifact(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A link from a version to something kept elsewhere; the `ordinal`-th of its name."""

    model_id: int
    model: str = ""
    number: int
    name: str
    ordinal: int
    type: ArtifactType = ArtifactType.DATA
    uri: str
    digest: str = ""
    size: int = 0
    format: str = ""
    role: ArtifactRole = ArtifactRole.MADE
    run: str | None = None
    step: str = ""
    creator: str
    create_time: int
    create_revision: int
    mod_revision: int
    unlinked: bool = False


class RecordingProblem(Struct, frozen=True):
    """Something that a program could not record in a run, why, and how often."""

    subject: str
    problem: str
    count: int


class Run(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One execution of a pipeline. `model` and `number` are the version that the pipeline's own model means in it.

    `start_time` is when the program started it by its own clock, None when it did not say. `heartbeat_timeout` is in
    microseconds, None for a run that is never lost.
    """

    id: str
    pipeline: str
    state: RunState = RunState.RUNNING
    error: str = ""
    model_id: int = 0
    model: str | None = None
    number: int = 0
    host: str = ""
    user: str = ""
    commit: str = ""
    url: str = ""
    command: str = ""
    parameters: dict[str, Value] = field(default_factory=dict)
    recording_problems: tuple[RecordingProblem, ...] = ()
    heartbeat_timeout: int | None = None
    creator: str
    create_time: int
    start_time: int | None = None
    end_time: int | None = None
    create_revision: int
    mod_revision: int


class RunStep(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One execution of a step in a run. `model` and `number` are the version in force in it."""

    run: str
    id: str
    name: str
    state: RunState = RunState.RUNNING
    error: str = ""
    model_id: int = 0
    model: str | None = None
    number: int = 0
    parameters: dict[str, Value] = field(default_factory=dict)
    create_time: int
    start_time: int | None = None
    end_time: int | None = None
    create_revision: int
    mod_revision: int


class VersionUse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """That a run used a version which it did not make."""

    run: str
    step: str = ""
    model_id: int
    model: str = ""
    number: int
    mod_revision: int


class Project(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A log of its own, and all that it records. One that the operator created has no creator and no time."""

    name: str
    log_id: str
    creator: str = ""
    create_time: int | None = None
    mod_revision: int = 0


class Erasure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Content that was erased from the log: of a run with its steps, else of a version, a model or the whole project.

    `paths` say what was erased, without keys and names, which may be secrets. `contents` is from how many events, and
    `digest` is of their revisions and the digests of what is left in them.
    """

    run: str | None = None
    model_id: int = 0
    model: str | None = None
    number: int = 0
    paths: tuple[str, ...]
    contents: int = 0
    digest: str = ""
    mod_revision: int


Resource = Erasure | Model | ModelVersion | Run | RunStep | Artifact | MetricChange | VersionUse | Project
