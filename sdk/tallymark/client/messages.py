"""Conversion of the contract's messages to the SDK's types and back: `x_of` reads a message, `x_to` builds one."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from tallymark.client.metadata_messages import time_of, values_of
from tallymark.conversion.problems import MAX_TEXT
from tallymark.errors import InvalidField
from tallymark.types.artifact_info import ArtifactInfo
from tallymark.types.enums import ArtifactRole, ArtifactType, RunState, Stage, stage_of
from tallymark.types.proofs import Checkpoint, Problem, Proof
from tallymark.types.recording_problem import RecordingProblem
from tallymark.types.references import last_segment
from tallymark.types.resources import (
    Erasure,
    Event,
    Heartbeat,
    Lineage,
    LineageNode,
    MetricChange,
    MetricPoint,
    ModelInfo,
    ModelVersion,
    Project,
    Run,
    RunStep,
    VersionUse,
)
from tallymark.v1 import (
    artifact_pb2,
    event_log_pb2,
    event_pb2,
    lineage_pb2,
    metric_pb2,
    model_pb2,
    project_pb2,
    run_pb2,
    run_registry_pb2,
)

_STAGES = {getattr(model_pb2, f"STAGE_{stage.name}"): stage for stage in Stage}
_ARTIFACT_TYPES = {getattr(artifact_pb2, f"ARTIFACT_TYPE_{kind.name}"): kind for kind in ArtifactType}
_ARTIFACT_ROLES = {getattr(artifact_pb2, f"ARTIFACT_ROLE_{role.name}"): role for role in ArtifactRole}
_RUN_STATES = {getattr(model_pb2, f"RUN_STATE_{state.name}"): state for state in RunState}


def project_of(message: project_pb2.Project) -> Project:
    """Return the project in the message."""
    return Project(
        name=last_segment(message.name),
        creator=message.creator,
        create_time=time_of(message.create_time) if message.HasField("create_time") else None,
        log_id=message.log_id,
    )


def model_of(message: model_pb2.Model) -> ModelInfo:
    """Return the model in the message."""
    _, project, _, name = message.name.split("/")
    return ModelInfo(
        project=project,
        name=name,
        description=message.description,
        license=message.license,
        audience=message.audience,
        use_cases=message.use_cases,
        limitations=message.limitations,
        trade_offs=message.trade_offs,
        ethics=message.ethics,
        tags=tuple(message.tags),
        metadata=values_of(message.metadata),
        last_number=message.last_number,
        creator=message.creator,
        create_time=time_of(message.create_time),
        update_time=time_of(message.update_time),
        create_revision=message.create_revision,
        mod_revision=message.mod_revision,
        etag=message.etag,
        delete_time=time_of(message.delete_time) if message.HasField("delete_time") else None,
        latest_number=message.latest_number,
        production_number=message.production_number,
        staging_number=message.staging_number,
        aliases=dict(sorted(message.aliases.items())),
    )


def version_of(message: model_pb2.ModelVersion) -> ModelVersion:
    """Return the version in the message."""
    _, project, _, model, _, _ = message.name.split("/")
    return ModelVersion(
        project=project,
        model=model,
        number=message.number,
        name=message.version_name,
        stage=_STAGES[message.stage],
        aliases=tuple(message.aliases),
        description=message.description,
        tags=tuple(message.tags),
        metadata=values_of(message.metadata),
        series=dict(message.series),
        run=last_segment(message.run) if message.run else None,
        run_state=_RUN_STATES.get(message.run_state),
        step=message.step,
        automatic=message.automatic,
        creator=message.creator,
        create_time=time_of(message.create_time),
        update_time=time_of(message.update_time),
        create_revision=message.create_revision,
        mod_revision=message.mod_revision,
        etag=message.etag,
        delete_time=time_of(message.delete_time) if message.HasField("delete_time") else None,
    )


def version_text(message: model_pb2.ModelVersion) -> str:
    """Return the version as JSON, which `version_of_text` reads, even in a later release."""
    from google.protobuf import json_format  # takes as long to import as a third of grpc, and is rarely needed

    return str(json_format.MessageToJson(message, preserving_proto_field_name=True))


def version_of_text(text: str) -> ModelVersion:
    """Return the version in JSON of `version_text`. Raises ValueError."""
    from google.protobuf import json_format

    try:
        return version_of(json_format.Parse(text, model_pb2.ModelVersion(), ignore_unknown_fields=True))
    except json_format.ParseError as error:
        raise ValueError(str(error)) from None


def run_of(message: run_pb2.Run) -> Run:
    """Return the run in the message."""
    _, project, _, run = message.name.split("/")
    return Run(
        project=project,
        id=run,
        pipeline=message.pipeline,
        state=_RUN_STATES[message.state],
        error=message.error,
        model_version=message.model_version or None,
        host=message.host,
        user=message.user,
        commit=message.commit,
        url=message.url,
        command=message.command,
        parameters=values_of(message.parameters),
        heartbeat_timeout=message.heartbeat_timeout.ToTimedelta() if message.HasField("heartbeat_timeout") else None,
        recording_problems=tuple(
            RecordingProblem(found.subject, found.problem, found.count) for found in message.recording_problems
        ),
        creator=message.creator,
        create_time=time_of(message.create_time),
        start_time=time_of(message.start_time) if message.HasField("start_time") else None,
        end_time=time_of(message.end_time) if message.HasField("end_time") else None,
        create_revision=message.create_revision,
        mod_revision=message.mod_revision,
    )


def step_of(message: run_pb2.RunStep) -> RunStep:
    """Return the step in the message."""
    _, project, _, run, _, step = message.name.split("/")
    return RunStep(
        project=project,
        run=run,
        id=step,
        name=message.display_name,
        state=_RUN_STATES[message.state],
        error=message.error,
        model_version=message.model_version or None,
        parameters=values_of(message.parameters),
        create_time=time_of(message.create_time),
        start_time=time_of(message.start_time) if message.HasField("start_time") else None,
        end_time=time_of(message.end_time) if message.HasField("end_time") else None,
        create_revision=message.create_revision,
        mod_revision=message.mod_revision,
    )


def artifact_of(message: artifact_pb2.Artifact) -> ArtifactInfo:
    """Return the artifact in the message."""
    _, project, _, model, _, number, _, name = message.name.split("/")
    return ArtifactInfo(
        project=project,
        model=model,
        number=int(number),
        name=name.rpartition("@")[0],
        ordinal=message.ordinal,
        type=_ARTIFACT_TYPES[message.type],
        uri=message.uri,
        digest=message.digest,
        size=message.size_bytes,
        format=message.format,
        role=_ARTIFACT_ROLES[message.role],
        run=last_segment(message.run) if message.run else None,
        step=message.step,
        creator=message.creator,
        create_time=time_of(message.create_time),
        create_revision=message.create_revision,
        mod_revision=message.mod_revision,
    )


def point_of(message: metric_pb2.MetricPoint) -> MetricPoint:
    """Return the point in the message."""
    return MetricPoint(message.key, message.step, message.value, time_of(message.time))


def lineage_of(message: lineage_pb2.QueryLineageResponse) -> Lineage:
    """Return the lineage in the message."""
    readers: dict[str, Any] = {"model_version": version_of, "run": run_of, "artifact": artifact_of}
    nodes = []
    for node in message.nodes:
        which = node.WhichOneof("resource") or ""
        nodes.append(LineageNode(id=node.id, depth=node.depth, resource=readers[which](getattr(node, which))))
    return Lineage(
        nodes=tuple(nodes),
        edges=tuple((edge.source, edge.target) for edge in message.edges),
        truncated=message.truncated,
        revision=message.revision,
    )


def _metric_change_of(message: metric_pb2.MetricChange) -> MetricChange:
    return MetricChange(
        model_version=message.model_version,
        points=tuple(point_of(point) for point in message.points),
        deleted_keys=tuple(message.deleted_keys),
    )


def _erasure_of(message: event_pb2.Erasure) -> Erasure:
    return Erasure(
        name=message.name, paths=tuple(message.paths), content_count=message.content_count, digest=message.digest
    )


def _use_of(message: run_pb2.VersionUse) -> VersionUse:
    return VersionUse(run=message.run, step=message.step, model_version=message.model_version)


def proof_of(message: event_log_pb2.VerifyResponse) -> Proof:
    """Return the proof in the message."""
    found = message.checkpoint
    return Proof(
        events=message.events,
        checkpoint=Checkpoint(found.log_id, found.revision, found.hash),
        problem_count=message.problem_count,
        problems=tuple(Problem(problem.where, problem.what) for problem in message.problems),
        erased_count=message.erased_count,
        erased_by=tuple(message.erased_by),
    )


def event_of(message: event_pb2.Event) -> Event:
    """Return the event in the message."""
    readers: dict[str, Any] = {
        "model": model_of,
        "model_version": version_of,
        "run": run_of,
        "run_step": step_of,
        "artifact": artifact_of,
        "metric_change": _metric_change_of,
        "version_use": _use_of,
        "project": project_of,
        "erasure": _erasure_of,
    }
    which = message.WhichOneof("resource") or ""
    return Event(
        revision=message.revision,
        kind=event_pb2.EventKind.Name(message.kind).removeprefix("EVENT_KIND_").lower(),
        time=time_of(message.time),
        actor=message.actor,
        reason=message.reason,
        resource=readers[which](getattr(message, which)),
        previous_stage=_STAGES.get(message.previous_stage),
        alias=message.alias,
        previous_number=message.previous_number,
        previous_name=message.previous_name,
        erased_revision=message.erased_revision,
    )


def stage_to(stage: Stage | str) -> model_pb2.Stage.ValueType:
    """Return the contract's value of the stage. Raises InvalidField."""
    return model_pb2.Stage.Value(f"STAGE_{stage_of(stage).name}")


def run_state_to(state: RunState | str) -> model_pb2.RunState.ValueType:
    """Return the contract's value of a run's outcome. Raises InvalidField."""
    try:
        return model_pb2.RunState.Value(f"RUN_STATE_{RunState(state).name}")
    except ValueError:
        raise InvalidField(f"state is {state!r}; a run finishes as succeeded or failed") from None


def problem_to(problem: RecordingProblem) -> run_pb2.RecordingProblem:
    """Return the problem as a message, with its texts escaped where UTF-8 cannot encode them, and truncated."""
    subject, text = (
        each[:MAX_TEXT].encode(errors="backslashreplace").decode() for each in (problem.subject, problem.problem)
    )
    return run_pb2.RecordingProblem(subject=subject, problem=text, count=problem.count)


def heartbeat_of(message: run_registry_pb2.HeartbeatRunResponse) -> Heartbeat:
    """Return the answer to a heartbeat in the message."""
    deadline = message.deadline.ToTimedelta() if message.HasField("deadline") else None
    return Heartbeat(_RUN_STATES[message.state], deadline)


def artifact_type_to(kind: ArtifactType | str) -> artifact_pb2.ArtifactType.ValueType:
    """Return the contract's value of the type of artifact. Raises InvalidField."""
    try:
        return artifact_pb2.ArtifactType.Value(f"ARTIFACT_TYPE_{ArtifactType(kind).name}")
    except ValueError:
        raise InvalidField(f"type is {kind!r}; name one of {', '.join(ArtifactType)}") from None


def artifact_role_to(role: ArtifactRole | str) -> artifact_pb2.ArtifactRole.ValueType:
    """Return the contract's value of the role of an artifact. Raises InvalidField."""
    try:
        return artifact_pb2.ArtifactRole.Value(f"ARTIFACT_ROLE_{ArtifactRole(role).name}")
    except ValueError:
        raise InvalidField(f"role is {role!r}; name one of {', '.join(ArtifactRole)}") from None


def point_to(point: MetricPoint) -> metric_pb2.MetricPoint:
    """Return the point as a message."""
    message = metric_pb2.MetricPoint(key=point.key, step=point.step, value=point.value)
    if point.time is not None:
        message.time.FromDatetime(point.time.astimezone(UTC))
    return message


def kind_to(kind: str) -> event_pb2.EventKind.ValueType:
    """Return the contract's value of the kind of event. Raises InvalidField."""
    try:
        return event_pb2.EventKind.Value(f"EVENT_KIND_{kind.upper()}")
    except ValueError:
        names = (name.removeprefix("EVENT_KIND_").lower() for name in event_pb2.EventKind.keys()[1:])
        raise InvalidField(f"kind is {kind!r}; name one of {', '.join(names)}") from None
