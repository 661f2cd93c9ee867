"""Whether an answer matches the log as of a revision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from consistency.expected import PROJECT, RUN_STATES, STAGES, Image, Past
from tallymark.v1 import artifact_pb2, model_pb2, model_registry_pb2, run_pb2, run_registry_pb2


def model_and_reference(name: str) -> tuple[str, str]:
    """Return the model and the reference in the name of a model, a version or an artifact."""
    _, _, _, model, *rest = name.split("/")
    return model, rest[1] if rest else ""


# How many of the compared fields every message of a version has; lineage omits the others.
_LINEAGE_FIELDS = 6


def version_matches(past: Past, message: model_pb2.ModelVersion, *, whole: bool = True) -> bool:
    """Return whether the message is the state of its version, under the current name of its model."""
    name, number = model_and_reference(message.name)
    model = past.model(name)
    image = None if model is None else past.image("version", model["id"], int(number))
    if image is None or message.etag != f"r{message.mod_revision}":
        return False
    compared = slice(None if whole else _LINEAGE_FIELDS)
    same = _fields_of_image(image)[compared] == _fields_of_message(message)[compared]
    return bool(same and image["mod_revision"] == message.mod_revision)


def _fields_of_image(image: Image) -> tuple[Any, ...]:
    return (
        image["number"],
        image.get("name") or str(image["number"]),
        STAGES[image.get("stage", "none")],
        list(image.get("aliases", ())),
        "delete_time" in image,
        RUN_STATES[image.get("run_state", "")],
        sorted(image.get("metadata", {})),
        image.get("description", ""),
    )


def _fields_of_message(message: model_pb2.ModelVersion) -> tuple[Any, ...]:
    return (
        message.number,
        message.version_name,
        message.stage,
        list(message.aliases),
        message.HasField("delete_time"),
        message.run_state,
        sorted(message.metadata),
        message.description,
    )


def model_matches(past: Past, message: model_pb2.Model) -> bool:
    """Return whether the message is the state of its model, with its last number, stages and aliases."""
    image = past.model(model_and_reference(message.name)[0])
    if image is None or image["mod_revision"] != message.mod_revision:
        return False
    held = message.latest_number, message.production_number, message.staging_number, dict(message.aliases)
    actual = message.last_number, message.HasField("delete_time"), message.license, held
    card = image.get("card", {})
    expected = past.last_number(image["id"]), "delete_time" in image, card.get("license", ""), past.holders(image)
    return actual == expected


def run_matches(past: Past, message: run_pb2.Run) -> bool:
    image = past.image("run", message.name.split("/")[3])
    if image is None or image["mod_revision"] != message.mod_revision:
        return False
    where = ""
    if image.get("model_id"):
        where = f"{PROJECT}/models/{past.model_name(image['model_id'])}/versions/{image['number']}"
    return (RUN_STATES[image.get("state", "running")], where) == (message.state, message.model_version)


def step_matches(past: Past, message: run_pb2.RunStep) -> bool:
    _, _, _, run, _, step = message.name.split("/")
    image = past.image("step", run, step)
    known = image is not None and image["mod_revision"] == message.mod_revision
    return known and RUN_STATES[(image or {}).get("state", "running")] == message.state


def artifact_matches(past: Past, message: artifact_pb2.Artifact) -> bool:
    name, number = model_and_reference(message.name)
    model = past.model(name)
    called = message.name.split("/")[7].partition("@")[0]
    image = None if model is None else past.image("artifact", model["id"], int(number), called, message.ordinal)
    return image is not None and (image["mod_revision"], image["uri"]) == (message.mod_revision, message.uri)


def resources_in(reply: Any) -> Iterator[Any]:
    """Yield the resources in a reply."""
    match reply:
        case model_registry_pb2.BatchCreateModelVersionsResponse():
            yield from reply.model_versions
        case model_registry_pb2.EnsureModelVersionResponse():
            yield reply.model_version
        case run_registry_pb2.StartRunResponse():
            yield reply.run
            if reply.HasField("model_version"):
                yield reply.model_version
        case _:
            yield reply


_MATCHES: dict[type, Callable[[Past, Any], bool]] = {
    model_pb2.Model: model_matches,
    model_pb2.ModelVersion: version_matches,
    run_pb2.Run: run_matches,
    run_pb2.RunStep: step_matches,
    artifact_pb2.Artifact: artifact_matches,
}


def resources_match(past: Past, reply: Any) -> bool:
    """Return whether all resources in the reply match the log."""
    return all(_MATCHES[type(each)](past, each) for each in resources_in(reply))


def _list_matches(past: Past, request: Any, items: Any, images: list[Image]) -> bool:
    received = [item.mod_revision for item in items]
    return received == [image["mod_revision"] for image in images] and all(
        _MATCHES[type(each)](past, each) for each in items
    )


def _resolved(past: Past, name: str, *, deleted: bool = False) -> Image | None:
    image = past.version(*model_and_reference(name), of_deleted=deleted)
    return None if image is not None and "delete_time" in image and not deleted else image


def _get_version(past: Past, request: Any, reply: Any) -> bool:
    image = _resolved(past, request.name, deleted=request.show_deleted)
    return image is not None and image["number"] == reply.number and version_matches(past, reply)


def _list_versions(past: Past, request: Any, reply: Any) -> bool:
    model = past.model(model_and_reference(request.parent)[0])
    if model is None or ("delete_time" in model and not request.show_deleted):
        return False
    versions = [each for each in past.versions(model).values() if request.show_deleted or "delete_time" not in each]
    return _list_matches(past, request, reply.model_versions, versions[::-1])


def _list_models(past: Past, request: Any, reply: Any) -> bool:
    models = [image for _, image in past.all("model") if not image.get("purged")]
    shown = [image for image in models if request.show_deleted or "delete_time" not in image]
    return _list_matches(past, request, reply.models, sorted(shown, key=lambda image: str(image["name"])))


def _list_runs(past: Past, request: Any, reply: Any) -> bool:
    runs = sorted((image for _, image in past.all("run")), key=lambda image: -image["create_revision"])
    if not request.model_version:
        return _list_matches(past, request, reply.runs, runs)
    return _resolved(past, request.model_version) is not None and all(run_matches(past, run) for run in reply.runs)


def _list_steps(past: Past, request: Any, reply: Any) -> bool:
    run = request.parent.split("/")[3]
    steps = sorted((image for _, image in past.all("step", run)), key=lambda image: image["create_revision"])
    return past.image("run", run) is not None and _list_matches(past, request, reply.steps, steps)


def _get_artifact(past: Past, request: Any, reply: Any) -> bool:
    version = _resolved(past, request.name)
    links = [] if version is None else past.links(version, request.name.split("/")[7])
    return bool(links) and links[-1]["ordinal"] == reply.ordinal and artifact_matches(past, reply)


def _list_artifacts(past: Past, request: Any, reply: Any) -> bool:
    version = _resolved(past, request.parent)
    return version is not None and _list_matches(past, request, reply.artifacts, past.links(version))


def _list_points(past: Past, request: Any, reply: Any) -> bool:
    version = _resolved(past, request.parent)
    received = {(point.key, point.step): point.value for point in reply.points}
    return version is not None and received == past.points(version)


def _lineage(past: Past, request: Any, reply: Any) -> bool:
    start = past.image("run", request.name.split("/")[3]) if "/runs/" in request.name else _resolved(past, request.name)
    received = [getattr(node, node.WhichOneof("resource")) for node in reply.nodes]
    if start is None or received[0].mod_revision != start["mod_revision"]:
        return False
    return all(
        version_matches(past, each, whole=False)
        if isinstance(each, model_pb2.ModelVersion)
        else _MATCHES[type(each)](past, each)
        for each in received
    )


def _heartbeat(past: Past, request: Any, reply: Any) -> bool:
    image = past.image("run", request.name.split("/")[3])
    return image is not None and RUN_STATES[image.get("state", "running")] == reply.state


# By method, whether the reply of a read matches the log as of a revision.
READS: dict[str, Callable[[Past, Any, Any], bool]] = {
    "GetModel": lambda past, request, reply: (
        model_matches(past, reply)
        and reply.name == request.name
        and request.show_deleted >= reply.HasField("delete_time")
    ),
    "GetModelVersion": _get_version,
    "ListModels": _list_models,
    "ListModelVersions": _list_versions,
    "GetRun": lambda past, request, reply: run_matches(past, reply) and reply.name == request.name,
    "ListRuns": _list_runs,
    "ListSteps": _list_steps,
    "GetArtifact": _get_artifact,
    "ListArtifacts": _list_artifacts,
    "ListMetricPoints": _list_points,
    "QueryLineage": _lineage,
    "HeartbeatRun": _heartbeat,
}
