"""The resources of the registry. Times are microseconds since 1970, UTC.

They are structs of msgspec, which are frozen dataclasses that cost less: they are created in a quarter of the time and
encoded as JSON in a twentieth, thousands of times a second in a busy server.
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
    """The state of a run."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"


class ArtifactType(enum.StrEnum):
    """The kind of an artifact."""

    DATA = "data"
    MODEL = "model"
    DEPLOYMENT = "deployment"


class ArtifactRole(enum.StrEnum):
    """Whether the run of the version created the artifact or used it."""

    MADE = "made"
    USED = "used"


class Time(Struct, frozen=True):
    """A metadata value that is a point in time."""

    micros: int


class Uri(Struct, frozen=True):
    """A metadata value that is a URI."""

    text: str


# An int is an integer that a float cannot represent exactly; all other numbers are floats.
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
    """The numbers of the versions that the references of a model point at, 0 for none; never deleted ones."""

    latest: int = 0
    production: int = 0
    staging: int = 0
    aliases: dict[str, int] = field(default_factory=dict)


class Model(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A named series of versions. `id` never changes, unlike the name. A purged model keeps only its last number.

    `holders` is None where they are not read, as in an event: events of other resources change them.
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
    """A version of a model. `name` is the explicit name, None when the version is called by its number.

    `series` are the metrics that have points, each with its highest step. `run_state` is the state of the run that
    created the version, None when it was created outside a run.
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
    """Points logged to a version, after the removal of series from it."""

    model_id: int
    model: str = ""
    number: int
    points: tuple[Point, ...] = ()
    deleted_keys: tuple[str, ...] = ()
    mod_revision: int


class Artifact(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A link from a version to a file that is stored elsewhere, the `ordinal`-th of that name."""

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
    """One execution of a pipeline. `model` and `number` are the version of the pipeline's own model in it.

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
    """One execution of a step in a run. `model` and `number` are the version that applies in it."""

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
    """A record that a run used a version which it did not create."""

    run: str
    step: str = ""
    model_id: int
    model: str = ""
    number: int
    mod_revision: int


class Project(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A project, which has a log of its own. One that the operator has created has no creator and no time."""

    name: str
    log_id: str
    creator: str = ""
    create_time: int | None = None
    mod_revision: int = 0


class Erasure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Content that was erased from the log: of a run with its steps, else of a version, a model or the whole project.

    `paths` are without keys and names, which may be secrets. `contents` is the number of rewritten events, and `digest`
    covers their revisions and the digests of their remaining contents.
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
