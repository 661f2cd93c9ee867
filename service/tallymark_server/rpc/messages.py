"""Convert results to messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping

from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import NULL_VALUE
from google.protobuf.timestamp_pb2 import Timestamp

from tallymark.v1 import (
    artifact_pb2,
    event_log_pb2,
    event_pb2,
    lineage_pb2,
    metric_pb2,
    model_pb2,
    project_pb2,
    run_pb2,
)
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import (
    Artifact,
    Erasure,
    Holders,
    MetricChange,
    Model,
    ModelVersion,
    Point,
    Project,
    Run,
    RunState,
    RunStep,
    Stage,
    Time,
    Uri,
    Value,
    VersionUse,
)
from tallymark_server.domain.promotion import etag
from tallymark_server.registry import Lineage, NodeKey, Proof
from tallymark_server.rpc import names

# The default limit of clients is 4 MiB, and one event is far smaller than half of that.
MAX_PIECE = 2 * 1024 * 1024

_STAGES = {
    Stage.NONE: model_pb2.STAGE_NONE,
    Stage.STAGING: model_pb2.STAGE_STAGING,
    Stage.PRODUCTION: model_pb2.STAGE_PRODUCTION,
    Stage.ARCHIVED: model_pb2.STAGE_ARCHIVED,
}
_RUN_STATES = {
    RunState.RUNNING: model_pb2.RUN_STATE_RUNNING,
    RunState.SUCCEEDED: model_pb2.RUN_STATE_SUCCEEDED,
    RunState.FAILED: model_pb2.RUN_STATE_FAILED,
    RunState.LOST: model_pb2.RUN_STATE_LOST,
}
_NOBODY = Holders()
_KINDS = {kind: event_pb2.EventKind.Value(f"EVENT_KIND_{kind.value.upper()}") for kind in Kind}


def of_project(project: Project) -> project_pb2.Project:
    """Return the project as a message."""
    return project_pb2.Project(
        name=names.of_project(project.name),
        creator=project.creator,
        create_time=_maybe_timestamp(project.create_time),
        log_id=project.log_id,
    )


def model(project: str, model: Model) -> model_pb2.Model:
    """Return the model as a message."""
    card = model.card
    held = model.holders or _NOBODY
    message = model_pb2.Model(
        name=names.of_model(project, model.name),
        description=card.description,
        license=card.license,
        audience=card.audience,
        use_cases=card.use_cases,
        limitations=card.limitations,
        trade_offs=card.trade_offs,
        ethics=card.ethics,
        tags=card.tags,
        last_number=model.last_number,
        creator=model.creator,
        create_time=timestamp(model.create_time),
        update_time=timestamp(model.update_time),
        create_revision=model.create_revision,
        mod_revision=model.mod_revision,
        etag=etag(model.mod_revision),
        delete_time=_maybe_timestamp(model.delete_time),
        latest_number=held.latest,
        production_number=held.production,
        staging_number=held.staging,
        aliases=held.aliases,
    )
    _fill(card.metadata, message.metadata)
    return message


def version(
    project: str, version: ModelVersion, make: Callable[..., model_pb2.ModelVersion] = model_pb2.ModelVersion
) -> model_pb2.ModelVersion:
    """Return the version as a message. `make` may be the `add` of a reply, which saves a copy."""
    message = make(
        name=names.of_version(project, version.model, version.number),
        number=version.number,
        version_name=version.name or str(version.number),
        stage=_STAGES[version.stage],
        creator=version.creator,
        create_revision=version.create_revision,
        mod_revision=version.mod_revision,
        etag=etag(version.mod_revision),
    )
    _set_time(message.create_time, version.create_time)
    _set_time(message.update_time, version.update_time)
    # Empty fields are skipped: assigning an empty value costs as much as assigning a real one.
    if version.aliases:
        message.aliases.extend(version.aliases)
    if version.description:
        message.description = version.description
    if version.tags:
        message.tags.extend(version.tags)
    if version.metadata:
        _fill(version.metadata, message.metadata)
    if version.series:
        message.series.update(version.series)
    if version.run:
        message.run = names.of_run(project, version.run)
        message.automatic = version.automatic
        if version.run_state is not None:
            message.run_state = _RUN_STATES[version.run_state]
    if version.step:
        message.step = version.step
    if version.delete_time is not None:
        _set_time(message.delete_time, version.delete_time)
    return message


def run(project: str, run: Run) -> run_pb2.Run:
    """Return the run as a message."""
    message = run_pb2.Run(
        name=names.of_run(project, run.id),
        pipeline=run.pipeline,
        state=_RUN_STATES[run.state],
        error=run.error,
        model_version=names.of_version(project, run.model, run.number) if run.model else "",
        host=run.host,
        user=run.user,
        commit=run.commit,
        url=run.url,
        command=run.command,
        recording_problems=[
            run_pb2.RecordingProblem(subject=found.subject, problem=found.problem, count=found.count)
            for found in run.recording_problems
        ],
        heartbeat_timeout=None if run.heartbeat_timeout is None else duration(run.heartbeat_timeout),
        creator=run.creator,
        create_time=timestamp(run.create_time),
        start_time=_maybe_timestamp(run.start_time),
        end_time=_maybe_timestamp(run.end_time),
        create_revision=run.create_revision,
        mod_revision=run.mod_revision,
    )
    _fill(run.parameters, message.parameters)
    return message


def run_state(state: RunState) -> model_pb2.RunState.ValueType:
    """Return the state as the enum of the contract."""
    return _RUN_STATES[state]


def duration(micros: int) -> Duration:
    """Return that many microseconds as a message."""
    seconds, rest = divmod(micros, 1_000_000)
    return Duration(seconds=seconds, nanos=rest * 1000)


def step(project: str, step: RunStep) -> run_pb2.RunStep:
    """Return the step as a message."""
    message = run_pb2.RunStep(
        name=names.of_step(project, step.run, step.id),
        display_name=step.name,
        state=_RUN_STATES[step.state],
        error=step.error,
        model_version=names.of_version(project, step.model, step.number) if step.model else "",
        create_time=timestamp(step.create_time),
        start_time=_maybe_timestamp(step.start_time),
        end_time=_maybe_timestamp(step.end_time),
        create_revision=step.create_revision,
        mod_revision=step.mod_revision,
    )
    _fill(step.parameters, message.parameters)
    return message


def artifact(project: str, artifact: Artifact) -> artifact_pb2.Artifact:
    """Return the artifact as a message."""
    return artifact_pb2.Artifact(
        name=names.of_artifact(project, artifact.model, artifact.number, artifact.name, artifact.ordinal),
        ordinal=artifact.ordinal,
        type=artifact_pb2.ArtifactType.Value(f"ARTIFACT_TYPE_{artifact.type.name}"),
        uri=artifact.uri,
        digest=artifact.digest,
        size_bytes=artifact.size,
        format=artifact.format,
        role=artifact_pb2.ArtifactRole.Value(f"ARTIFACT_ROLE_{artifact.role.name}"),
        run=names.of_run(project, artifact.run) if artifact.run else "",
        step=artifact.step,
        creator=artifact.creator,
        create_time=timestamp(artifact.create_time),
        create_revision=artifact.create_revision,
        mod_revision=artifact.mod_revision,
    )


def point(point: Point) -> metric_pb2.MetricPoint:
    """Return the point as a message."""
    return metric_pb2.MetricPoint(key=point.key, step=point.step, value=point.value, time=timestamp(point.time))


def lineage(project: str, lineage: Lineage, revision: int) -> lineage_pb2.QueryLineageResponse:
    """Return the lineage as a message."""
    ids: dict[NodeKey, str] = {}
    nodes = []
    for node in lineage.nodes:
        target = lineage_pb2.LineageNode(depth=node.depth)
        match node.resource:
            case ModelVersion() as found:
                target.model_version.CopyFrom(version(project, found))
                target.id = target.model_version.name
            case Run() as found:
                target.run.CopyFrom(run(project, found))
                target.id = target.run.name
            case Artifact() as found:
                target.artifact.CopyFrom(artifact(project, found))
                target.id = found.digest or found.uri
        ids[node.key] = target.id
        nodes.append(target)
    edges = [lineage_pb2.LineageEdge(source=ids[edge.source], target=ids[edge.target]) for edge in lineage.edges]
    return lineage_pb2.QueryLineageResponse(nodes=nodes, edges=edges, truncated=lineage.truncated, revision=revision)


def event(project: str, event: Event) -> event_pb2.Event:
    """Return the event as a message."""
    message = event_pb2.Event(
        revision=event.revision,
        kind=_KINDS[event.kind],
        time=timestamp(event.time),
        actor=event.actor,
        reason=event.reason,
        previous_stage=_STAGES[event.previous_stage] if event.previous_stage else model_pb2.STAGE_UNSPECIFIED,
        alias=event.alias,
        previous_number=event.previous_number,
        previous_name=event.previous_name,
        erased_revision=event.erased_at,
    )
    match event.image:
        case Model():
            message.model.CopyFrom(model(project, event.image))
        case ModelVersion():
            message.model_version.CopyFrom(version(project, event.image))
        case Run():
            message.run.CopyFrom(run(project, event.image))
        case RunStep():
            message.run_step.CopyFrom(step(project, event.image))
        case Artifact():
            message.artifact.CopyFrom(artifact(project, event.image))
        case MetricChange() as change:
            message.metric_change.model_version = names.of_version(project, change.model, change.number)
            message.metric_change.points.extend(point(item) for item in change.points)
            message.metric_change.deleted_keys.extend(change.deleted_keys)
        case Project():
            message.project.CopyFrom(of_project(event.image))
        case Erasure() as erasure:
            message.erasure.CopyFrom(_erasure(project, erasure))
        case VersionUse() as use:
            message.version_use.run = names.of_run(project, use.run)
            message.version_use.step = use.step
            message.version_use.model_version = names.of_version(project, use.model, use.number)
    return message


def _erasure(project: str, erasure: Erasure) -> event_pb2.Erasure:
    if erasure.run is not None:
        name = names.of_run(project, erasure.run)
    elif erasure.number:
        name = names.of_version(project, erasure.model or "", erasure.number)
    elif erasure.model_id:
        name = names.of_model(project, erasure.model or "")
    else:
        name = names.of_project(project)
    return event_pb2.Erasure(name=name, paths=erasure.paths, content_count=erasure.contents, digest=erasure.digest)


def in_pieces(events: Iterable[event_pb2.Event]) -> Iterator[list[event_pb2.Event]]:
    """Yield the events in parts within the limit of clients, each with at least one event."""
    piece: list[event_pb2.Event] = []
    size = 0
    for each in events:
        size += each.ByteSize()
        if piece and size > MAX_PIECE:
            yield piece
            piece, size = [], each.ByteSize()
        piece.append(each)
    if piece:
        yield piece


def proof(found: Proof) -> event_log_pb2.VerifyResponse:
    """Return the proof as a message."""
    return event_log_pb2.VerifyResponse(
        events=found.events,
        checkpoint=event_log_pb2.Checkpoint(**found.mark._asdict()),
        problems=[event_log_pb2.Problem(where=where, what=what) for where, what in found.problems],
        problem_count=found.problem_count,
        erased_count=found.erased,
        erased_by=found.erased_by,
    )


def timestamp(micros: int) -> Timestamp:
    seconds, rest = divmod(micros, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def _set_time(field: Timestamp, micros: int) -> None:
    field.seconds, rest = divmod(micros, 1_000_000)
    field.nanos = rest * 1000


def _maybe_timestamp(micros: int | None) -> Timestamp | None:
    return None if micros is None else timestamp(micros)


def _fill(facts: Mapping[str, Value], target: MutableMapping[str, model_pb2.MetadataValue]) -> None:
    """Write the facts directly into the target, since adding a finished message to another one copies it."""
    for key, value in facts.items():
        _write(value, target[key])


def _write(value: Value, target: model_pb2.MetadataValue) -> None:
    match value:
        case None:
            target.null = NULL_VALUE
        case bool():
            target.flag = value
        case int():
            target.integer = value
        case float():
            target.number = value
        case str():
            target.text = value
        case Time(micros):
            target.time.SetInParent()
            _set_time(target.time, micros)
        case Uri(text):
            target.uri = text
        case tuple():
            target.list.SetInParent()
            add = target.list.values.add
            for item in value:
                _write(item, add())
        case dict():
            target.map.SetInParent()
            _fill(value, target.map.values)
