"""Changes that are recorded now and sent later: calls as bytes for a journal, and back.

A change about a version that has no number yet is recorded without the version's name, which is filled in when it is
sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from tallymark.client import messages as m
from tallymark.client.calls.artifacts import link_artifact
from tallymark.client.calls.call import Call
from tallymark.client.calls.runs import report_recording_problems
from tallymark.client.metadata_messages import metadata_to, values_of
from tallymark.types.recording_problem import RecordingProblem
from tallymark.types.references import last_segment
from tallymark.types.resources import Run, Value
from tallymark.v1 import artifact_pb2, metric_pb2, model_registry_pb2, run_registry_pb2
from tallymark.v1.model_registry_pb2_grpc import ModelRegistryStub
from tallymark.v1.run_registry_pb2_grpc import RunRegistryStub

# By the numbers that journals use for them: never change one, and add new ones at the end.
_METHODS: tuple[tuple[type, str, Any], ...] = (
    (RunRegistryStub, "StartRun", run_registry_pb2.StartRunRequest),
    (RunRegistryStub, "StartStep", run_registry_pb2.StartStepRequest),
    (RunRegistryStub, "FinishStep", run_registry_pb2.FinishStepRequest),
    (RunRegistryStub, "FinishRun", run_registry_pb2.FinishRunRequest),
    (RunRegistryStub, "ReportRecordingProblems", run_registry_pb2.ReportRecordingProblemsRequest),
    (ModelRegistryStub, "LinkArtifact", artifact_pb2.LinkArtifactRequest),
    (ModelRegistryStub, "EnsureModelVersion", model_registry_pb2.EnsureModelVersionRequest),
    (ModelRegistryStub, "LogMetadata", model_registry_pb2.LogMetadataRequest),
)
_NUMBERS = {method: number for number, (_, method, _) in enumerate(_METHODS)}


def packed(call: Call[Any]) -> bytes:
    """Serialize the change."""
    request: bytes = call.request.SerializeToString()
    return bytes([_NUMBERS[call.method]]) + request


def unpacked(body: bytes, version: str = "") -> Call[Any]:
    """Return the serialized change as a call, which returns the contract's message. Raises ValueError.

    `version` is the resource name to fill in, if the change is about a version.
    """
    try:
        service, method, kind = _METHODS[body[0]]
        request: Any = kind.FromString(body[1:])
    except (DecodeError, IndexError) as error:
        raise ValueError(f"not a change: {error}") from None
    if version and method == "StartStep":
        request.step.model_version = version
    elif version and method == "LinkArtifact":
        request.parent = version
    return Call(service, method, request, _unchanged, writes=True)


def _unchanged(message: Any) -> Any:
    return message


def subject_of(call: Call[Any]) -> str:
    """Return the subject of the change, for a recording problem."""
    request = call.request
    match call.method:
        case "StartRun":
            return f"run {request.run_id!r}"
        case "FinishRun":
            return "outcome of the run"
        case "StartStep":
            return f"step {request.step.display_name!r}"
        case "FinishStep":
            return f"outcome of step {last_segment(request.name)!r}"
        case "LinkArtifact":
            return f"artifact {request.artifact_id!r}"
        case method:
            return method


def packed_metadata(metadata: Mapping[str, object]) -> bytes:
    """Serialize metadata. The bytes of several may be concatenated. Raises InvalidField."""
    return model_registry_pb2.LogMetadataRequest(metadata=metadata_to(metadata)).SerializeToString()


def metadata_of(body: bytes) -> dict[str, Value]:
    """Return packed metadata as it was recorded, with the last value of each key."""
    return values_of(model_registry_pb2.LogMetadataRequest.FromString(body).metadata)


def metadata_keys(body: bytes) -> frozenset[str]:
    """Return the keys of packed metadata. Raises ValueError."""
    try:
        return frozenset(model_registry_pb2.LogMetadataRequest.FromString(body).metadata)
    except DecodeError as error:
        raise ValueError(f"not metadata: {error}") from None


def log_to(
    version: str,
    points: Sequence[tuple[str, int, float, int]],
    metadata: bytes,
    request_id: str,
    keys: Sequence[str] | None = None,
) -> Call[Any]:
    """LogMetadata of points (key, step, value, time) and of packed metadata, or only of these keys of it."""
    request = model_registry_pb2.LogMetadataRequest.FromString(metadata)
    if keys is not None:
        for key in set(request.metadata) - set(keys):
            del request.metadata[key]
    request.name = version
    request.request_id = request_id
    request.points.extend(
        [
            metric_pb2.MetricPoint(
                key=key, step=step, value=value, time=Timestamp(seconds=at // 1_000_000, nanos=at % 1_000_000 * 1000)
            )
            for key, step, value, at in points
        ]
    )
    return Call(ModelRegistryStub, "LogMetadata", request, _unchanged, writes=True)


def report_problems(project: str, run: str, problems: Sequence[RecordingProblem], request_id: str) -> Call[Run]:
    """ReportRecordingProblems, with this request id, so that it can be sent again."""
    call = report_recording_problems(project, run, problems)
    call.request.request_id = request_id
    return call


def link_artifact_later(project: str, name: str, given: Mapping[str, Any]) -> Call[Any]:
    """LinkArtifact to a version whose name is filled in when the change is sent."""
    return link_artifact(project, "unknown/1", name, given)


def with_artifact_uri(call: Call[Any], uri: str) -> Call[Any]:
    """Set the URI of the artifact that the call links."""
    call.request.artifact.uri = uri
    return call


def version_in(reply: Any) -> Any:
    """Return the version in a reply of StartRun or EnsureModelVersion, None if there is none."""
    return m.version_of(reply.model_version) if reply.HasField("model_version") else None
