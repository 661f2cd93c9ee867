"""What may have happened, one line for each event: what it changed, and that all else stayed as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from domain.history import DIGEST, History
from msgspec import Struct
from msgspec.structs import replace

from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import (
    Artifact,
    ArtifactType,
    Erasure,
    MetricChange,
    Model,
    ModelCard,
    ModelVersion,
    Point,
    Project,
    RecordingProblem,
    Resource,
    Run,
    RunState,
    RunStep,
    Stage,
    Value,
    VersionUse,
)

CHURN, TRAIN, FIT = "churn", "train", "fit"


class Moment(Struct, frozen=True):
    """After what something happens, when, and by whom."""

    past: History
    time: int
    actor: str

    @property
    def revision(self) -> int:
        return self.past.revision + 1

    def event(self, kind: Kind, image: Resource, **told: Any) -> Event:
        return Event(revision=self.revision, kind=kind, time=self.time, actor=self.actor, image=image, **told)

    def born(self) -> dict[str, Any]:
        """What a new resource says of its beginning."""
        return {
            "creator": self.actor,
            "create_time": self.time,
            "create_revision": self.revision,
            "mod_revision": self.revision,
        }

    def model(self, known: str, /, **changes: Any) -> Model:
        model = self.past.model(known)
        assert model is not None, f"no model {known} yet"
        return replace(model, **changes, mod_revision=self.revision, update_time=self.time)

    def version(self, model: str, number: int, /, **changes: Any) -> ModelVersion:
        version = self.past.version(model, number)
        assert version is not None, f"no version {number} of {model} yet"
        return replace(version, **changes, mod_revision=self.revision, update_time=self.time)

    def run(self, known: str, /, **changes: Any) -> Run:
        run = self.past.run(known)
        assert run is not None, f"no run {known} yet"
        return replace(run, **changes, mod_revision=self.revision)

    def place(self, model: str, number: int) -> dict[str, Any]:
        """Which version it is about."""
        return {"model_id": self.version(model, number).model_id, "model": model, "number": number}


# What happens at a moment.
Happened = Callable[[Moment], Event]


def project_created() -> Happened:
    def happen(at: Moment) -> Event:
        project = Project(
            name=at.past.project, log_id="log", creator=at.actor, create_time=at.time, mod_revision=at.revision
        )
        return at.event(Kind.PROJECT_CREATED, project)

    return happen


# Models.


def model_created(name: str = CHURN, **card: Any) -> Happened:
    """A model begins; one under the name of a purged model goes on in its line."""

    def happen(at: Moment) -> Event:
        known = at.past.model(name)
        number = max(at.past.models, default=0) + 1 if known is None else known.id
        line = 0 if known is None else known.last_number
        born = at.born()
        model = Model(id=number, name=name, card=ModelCard(**card), last_number=line, update_time=at.time, **born)
        return at.event(Kind.MODEL_CREATED, model)

    return happen


def model_updated(name: str = CHURN, **card: Any) -> Happened:
    return lambda at: at.event(Kind.MODEL_UPDATED, at.model(name, card=replace(at.model(name).card, **card)))


def model_renamed(old: str, new: str) -> Happened:
    return lambda at: at.event(Kind.MODEL_RENAMED, at.model(old, name=new), previous_name=old)


def model_deleted(name: str = CHURN, **told: Any) -> Happened:
    return lambda at: at.event(Kind.MODEL_DELETED, at.model(name, delete_time=at.time), **told)


def model_undeleted(name: str = CHURN, **told: Any) -> Happened:
    return lambda at: at.event(Kind.MODEL_UNDELETED, at.model(name, delete_time=None), **told)


def model_purged(name: str = CHURN, **told: Any) -> Happened:
    return lambda at: at.event(Kind.MODEL_PURGED, at.model(name, purged=True), **told)


# Versions.


def version_created(number: int, name: str | None = None, *, model: str = CHURN, **fields: Any) -> Happened:
    """A version outside a run, unless `run`, its `run_state` and whether it is `automatic` are said."""

    def happen(at: Moment) -> Event:
        owner = at.model(model)
        place: dict[str, Any] = {"model_id": owner.id, "model": model, "number": number}
        version = ModelVersion(**place, name=name, **fields, **at.born(), update_time=at.time)
        return at.event(Kind.VERSION_CREATED, version)

    return happen


def version_made(number: int, name: str | None = None, *, run: str = TRAIN, **fields: Any) -> Happened:
    """A version that a run made: its one automatic version of the model, or one by name."""
    made: dict[str, Any] = {"run_state": RunState.RUNNING, "automatic": name is None, **fields}
    return version_created(number, name, run=run, **made)


def version_updated(number: int, *, model: str = CHURN, **changes: Any) -> Happened:
    return lambda at: at.event(Kind.VERSION_UPDATED, at.version(model, number, **changes))


def version_renamed(number: int, name: str | None, *, previous: str, model: str = CHURN, **changes: Any) -> Happened:
    return lambda at: at.event(
        Kind.VERSION_RENAMED, at.version(model, number, name=name, **changes), previous_name=previous
    )


def version_deleted(number: int, *, model: str = CHURN, **told: Any) -> Happened:
    """A version is deleted; it is no longer the one automatic version of its run."""
    return lambda at: at.event(
        Kind.VERSION_DELETED, at.version(model, number, delete_time=at.time, automatic=False), **told
    )


def version_undeleted(number: int, *, model: str = CHURN, **told: Any) -> Happened:
    return lambda at: at.event(Kind.VERSION_UNDELETED, at.version(model, number, delete_time=None), **told)


def version_purged(number: int, *, model: str = CHURN, **told: Any) -> Happened:
    return lambda at: at.event(Kind.VERSION_PURGED, at.version(model, number, purged=True), **told)


def stage_changed(number: int, before: Stage, after: Stage, *, model: str = CHURN, **told: Any) -> Happened:
    return lambda at: at.event(
        Kind.STAGE_CHANGED, at.version(model, number, stage=after), previous_stage=before, **told
    )


def alias_set(number: int, alias: str, *, previous: int = 0, model: str = CHURN, **told: Any) -> Happened:
    def happen(at: Moment) -> Event:
        aliases = tuple(sorted({*at.version(model, number).aliases, alias}))
        image = at.version(model, number, aliases=aliases)
        return at.event(Kind.ALIAS_SET, image, alias=alias, previous_number=previous, **told)

    return happen


def alias_deleted(number: int, alias: str, *, model: str = CHURN, **told: Any) -> Happened:
    def happen(at: Moment) -> Event:
        aliases = tuple(each for each in at.version(model, number).aliases if each != alias)
        image = at.version(model, number, aliases=aliases)
        return at.event(Kind.ALIAS_DELETED, image, alias=alias, previous_number=number, **told)

    return happen


def metadata_logged(
    number: int, metadata: dict[str, Value], series: dict[str, int] | None = None, *, model: str = CHURN
) -> Happened:
    """All the metadata of a version after it, and all its series."""
    image = {"metadata": metadata, "series": series or {}}
    return lambda at: at.event(Kind.METADATA_LOGGED, at.version(model, number, **image))


def metrics_logged(number: int, *points: Point, ended: tuple[str, ...] = (), model: str = CHURN) -> Happened:
    """Points are logged, each with its time or at the time of the event, and before them series are ended."""

    def happen(at: Moment) -> Event:
        timed = tuple(replace(point, time=point.time or at.time) for point in points)
        place = at.place(model, number)
        change = MetricChange(**place, points=timed, deleted_keys=ended, mod_revision=at.revision)
        return at.event(Kind.METRICS_LOGGED, change)

    return happen


def version_used(number: int, *, run: str = TRAIN, step: str = "", model: str = CHURN) -> Happened:
    return lambda at: at.event(
        Kind.VERSION_USED, VersionUse(run=run, step=step, **at.place(model, number), mod_revision=at.revision)
    )


def run_state_changed(number: int, state: RunState, *, model: str = CHURN) -> Happened:
    return lambda at: at.event(Kind.VERSION_RUN_STATE_CHANGED, at.version(model, number, run_state=state))


def erased(*paths: str, contents: int, actor: str | None = None, reason: str = "", **subject: Any) -> Happened:
    """Content is erased from so many events: of a run, of a version or a model, or of the project. The actor may be."""

    def happen(at: Moment) -> Event:
        image = Erasure(**subject, paths=paths, contents=contents, digest=DIGEST, mod_revision=at.revision)
        event = at.event(Kind.ERASED, image, reason=reason)
        return event if actor is None else replace(event, actor=actor)

    return happen


# Artifacts.


def artifact_linked(number: int, name: str, ordinal: int, uri: str, *, model: str = CHURN, **fields: Any) -> Happened:
    def happen(at: Moment) -> Event:
        place = {**at.place(model, number), "name": name, "ordinal": ordinal, "type": ArtifactType.MODEL, "uri": uri}
        return at.event(Kind.ARTIFACT_LINKED, Artifact(**{**place, **at.born(), **fields}))

    return happen


def artifact_unlinked(number: int, name: str, ordinal: int, *, model: str = CHURN, **told: Any) -> Happened:
    def happen(at: Moment) -> Event:
        linked = at.past.links(at.version(model, number), name)[ordinal - 1]
        return at.event(Kind.ARTIFACT_UNLINKED, replace(linked, unlinked=True, mod_revision=at.revision), **told)

    return happen


# Runs and steps.


def run_started(run: str = TRAIN, *, model: str | None = None, number: int = 0, **fields: Any) -> Happened:
    """A run starts, with the version that its pipeline's own model means in it."""

    def happen(at: Moment) -> Event:
        place = {} if model is None else at.place(model, number)
        return at.event(Kind.RUN_STARTED, Run(id=run, pipeline="training", **place, **fields, **at.born()))

    return happen


def run_finished(state: RunState, run: str = TRAIN, *, end_time: int | None = None, error: str = "") -> Happened:
    return lambda at: at.event(
        Kind.RUN_FINISHED, at.run(run, state=state, error=error, end_time=at.time if end_time is None else end_time)
    )


def run_lost(run: str = TRAIN, *, end_time: int) -> Happened:
    return lambda at: at.event(Kind.RUN_LOST, at.run(run, state=RunState.LOST, end_time=end_time))


def run_resumed(run: str = TRAIN) -> Happened:
    return lambda at: at.event(Kind.RUN_RESUMED, at.run(run, state=RunState.RUNNING, end_time=None))


def problems_reported(*problems: RecordingProblem, run: str = TRAIN) -> Happened:
    """All the recording problems of a run after it."""
    return lambda at: at.event(Kind.RECORDING_PROBLEMS_REPORTED, at.run(run, recording_problems=problems))


def step_started(
    step: str = FIT, *, run: str = TRAIN, model: str | None = None, number: int = 0, **fields: Any
) -> Happened:
    """A step starts, with the version in force in it. A step is called by its id unless its name is said."""

    def happen(at: Moment) -> Event:
        place = {} if model is None else at.place(model, number)
        born = {key: value for key, value in at.born().items() if key != "creator"}
        image = RunStep(**{"run": run, "id": step, "name": step, **place, **born, **fields})
        return at.event(Kind.STEP_STARTED, image)

    return happen


def step_finished(
    state: RunState, step: str = FIT, *, run: str = TRAIN, end_time: int | None = None, error: str = ""
) -> Happened:
    def happen(at: Moment) -> Event:
        known = at.past.step(run, step)
        assert known is not None, f"no step {step} of {run} yet"
        ended = at.time if end_time is None else end_time
        image = replace(known, state=state, error=error, end_time=ended, mod_revision=at.revision)
        return at.event(Kind.STEP_FINISHED, image)

    return happen
