"""Lineage over gRPC."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_calls import DEADLINE, PROJECT, Calls, refused

from tallymark.v1.artifact_pb2 import (
    ARTIFACT_ROLE_UNSPECIFIED,
    ARTIFACT_ROLE_USED,
    Artifact,
    ArtifactRole,
    LinkArtifactRequest,
    UnlinkArtifactRequest,
)
from tallymark.v1.event_pb2 import EVENT_KIND_VERSION_USED
from tallymark.v1.lineage_pb2 import (
    LINEAGE_DIRECTION_DOWNSTREAM,
    LINEAGE_DIRECTION_UNSPECIFIED,
    LINEAGE_DIRECTION_UPSTREAM,
    LineageDirection,
    QueryLineageRequest,
    QueryLineageResponse,
)
from tallymark.v1.model_pb2 import RUN_STATE_SUCCEEDED, STAGE_PRODUCTION, ModelConfig, ModelVersion
from tallymark.v1.model_registry_pb2 import BatchCreateModelVersionsRequest
from tallymark.v1.run_registry_pb2 import ListRunsRequest


def link(
    calls: Calls,
    version: str,
    name: str,
    uri: str,
    role: ArtifactRole.ValueType = ARTIFACT_ROLE_UNSPECIFIED,
    digest: str = "",
) -> None:
    artifact = Artifact(uri=uri, role=role, digest=digest)
    parent = f"{PROJECT}/models/{version.replace('/', '/versions/')}"
    request = LinkArtifactRequest(parent=parent, artifact_id=name, artifact=artifact)
    calls.models.LinkArtifact(request, timeout=DEADLINE)


@pytest.fixture(autouse=True)
def story(calls: Calls) -> None:
    """A run trains base/1 on data; another run tunes tuned/1 from base/1; tuned/1 is evaluated by a third run."""
    calls.start_run("train", ModelConfig(model="base"))
    link(calls, "base/1", "data", "s3://data", ARTIFACT_ROLE_USED)
    link(calls, "base/1", "weights", "s3://weights", digest="sha256:" + "0a" * 32)
    calls.finish_run("train", RUN_STATE_SUCCEEDED)
    calls.set_stage("base", 1, STAGE_PRODUCTION)
    calls.start_run("tune", ModelConfig(model="tuned"))
    calls.ensure("base", "production", run="tune")
    link(calls, "tuned/1", "start", "s3://copy-of-weights", ARTIFACT_ROLE_USED, digest="sha256:" + "0a" * 32)
    calls.start_run("check", ModelConfig(model="tuned", version="1"))
    calls.create_model("other")
    calls.create_version("other")
    link(calls, "other/1", "data", "s3://data", ARTIFACT_ROLE_USED)


def ask(
    calls: Calls, start: str, direction: LineageDirection.ValueType = LINEAGE_DIRECTION_UNSPECIFIED, depth: int = 0
) -> QueryLineageResponse:
    request = QueryLineageRequest(name=f"{PROJECT}/{start}", direction=direction, depth=depth)
    return calls.models.QueryLineage(request, timeout=DEADLINE)


def short(name: str) -> str:
    return name.removeprefix(f"{PROJECT}/").removeprefix("models/").replace("/versions/", "/")


def nodes(reply: QueryLineageResponse) -> dict[str, int]:
    return {short(node.id): node.depth for node in reply.nodes}


def edges(reply: QueryLineageResponse) -> set[tuple[str, str]]:
    return {(short(edge.source), short(edge.target)) for edge in reply.edges}


WEIGHTS = "sha256:" + "0a" * 32


def test_upstream_is_what_a_version_came_from(calls: Calls) -> None:
    """Upstream of a version are the run that created it, what that run used, and what these came from."""
    reply = ask(calls, "models/tuned/versions/1", LINEAGE_DIRECTION_UPSTREAM)
    assert nodes(reply) == {"tuned/1": 0, "runs/tune": 1, WEIGHTS: 1, "base/1": 2, "runs/train": 3, "s3://data": 3}
    assert edges(reply) == {
        ("runs/tune", "tuned/1"), (WEIGHTS, "tuned/1"), ("base/1", "runs/tune"), ("base/1", WEIGHTS),
        ("runs/train", "base/1"), ("s3://data", "base/1"),
    }  # fmt: skip
    assert not reply.truncated
    assert reply.nodes[0].model_version == calls.version("tuned", "1")


def test_downstream_is_what_came_from_it(calls: Calls) -> None:
    """Downstream of a version are its users and what they created; the same bytes are one artifact at any address."""
    reply = ask(calls, "models/base/versions/@production", LINEAGE_DIRECTION_DOWNSTREAM)
    assert nodes(reply) == {"base/1": 0, "runs/tune": 1, WEIGHTS: 1, "tuned/1": 2, "runs/check": 3}
    reply = ask(calls, "runs/train", LINEAGE_DIRECTION_DOWNSTREAM, depth=1)
    assert (nodes(reply), reply.truncated) == ({"runs/train": 0, "base/1": 1}, True)


def test_both_ways_do_not_turn_around(calls: Calls) -> None:
    """Other results of the same data are neither upstream nor downstream."""
    found = nodes(ask(calls, "models/base/versions/1"))
    assert found.keys() == {"base/1", "runs/train", "s3://data", "runs/tune", WEIGHTS, "tuned/1", "runs/check"}


def test_an_unlinked_artifact_links_nothing(calls: Calls) -> None:
    """Removing a link removes its edge."""
    name = f"{PROJECT}/models/tuned/versions/1/artifacts/start"
    calls.models.UnlinkArtifact(UnlinkArtifactRequest(name=name))
    assert WEIGHTS not in nodes(ask(calls, "models/tuned/versions/1", LINEAGE_DIRECTION_UPSTREAM, depth=1))


def runs_of(calls: Calls, version: str) -> list[str]:
    name = f"{PROJECT}/models/{version.replace('/', '/versions/')}"
    reply = calls.runs.ListRuns(ListRunsRequest(parent=PROJECT, model_version=name), timeout=DEADLINE)
    return [run.name.rsplit("/", 1)[1] for run in reply.runs]


def test_runs_are_found_by_what_they_made_and_used(calls: Calls) -> None:
    """Runs are listed by the version that they created or used, the last started first."""
    assert runs_of(calls, "base/1") == ["tune", "train"]
    assert runs_of(calls, "tuned/1") == ["check", "tune"]
    assert runs_of(calls, "other/1") == []


def test_a_use_is_recorded_once(calls: Calls) -> None:
    """A second use of a version in the same run writes no event; a run does not use the version that it created."""
    uses = [event for event in calls.events() if event.kind == EVENT_KIND_VERSION_USED]
    assert [(short(event.version_use.run), short(event.version_use.model_version)) for event in uses] == [
        ("runs/tune", "base/1"), ("runs/check", "tuned/1"),
    ]  # fmt: skip
    before = len(calls.events())
    calls.ensure("base", "1", run="tune")
    calls.ensure("tuned", "1", run="tune")
    calls.ensure("tuned", run="tune")
    assert len(calls.events()) == before


def test_a_repeated_use_is_answered_as_the_first(calls: Calls) -> None:
    """The same request_id returns the version that was used then, even if the stage has moved."""
    first = calls.ensure("base", "production", run="check", request_id="one")
    calls.create_version("base")
    calls.set_stage("base", 2, STAGE_PRODUCTION, force=True)
    again = calls.ensure("base", "production", run="check", request_id="one")
    assert (first.model_version.number, again.model_version.number, again.created) == (1, 1, False)


def test_a_bad_start_is_refused(calls: Calls) -> None:
    """A missing start is not found, and a start that is neither version nor run is refused."""
    for start, reason, code in (
        ("models/base/versions/9", "VERSION_NOT_FOUND", grpc.StatusCode.NOT_FOUND),
        ("runs/none", "RUN_NOT_FOUND", grpc.StatusCode.NOT_FOUND),
        ("models/base", "INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with refused(reason, code):
            ask(calls, start)
    with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT):
        ask(calls, "runs/train", LineageDirection.ValueType(9))


def test_a_wide_lineage_ends(calls: Calls) -> None:
    """The lineage of a source of very many versions is returned as far as it fits, with `truncated` set."""
    calls.create_model("wide")
    request = BatchCreateModelVersionsRequest(parent=f"{PROJECT}/models/wide", model_versions=[ModelVersion()] * 1000)
    calls.models.BatchCreateModelVersions(request)
    calls.create_version("wide")
    requests = [
        LinkArtifactRequest(
            parent=f"{PROJECT}/models/wide/versions/{number}",
            artifact_id="data",
            artifact=Artifact(uri="s3://data", role=ARTIFACT_ROLE_USED),
        )
        for number in range(1, 1002)
    ]
    # A connection carries 250 calls at the same time.
    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(calls.models.LinkArtifact, requests))
    reply = ask(calls, "runs/train", LINEAGE_DIRECTION_DOWNSTREAM)
    assert not reply.truncated
    link(calls, "tuned/1", "data", "s3://data")
    reply = ask(calls, "models/tuned/versions/1", LINEAGE_DIRECTION_DOWNSTREAM)
    assert reply.truncated
    assert 900 < len(reply.nodes) <= 1000
    ids = {node.id for node in reply.nodes}
    assert all({edge.source, edge.target} <= ids for edge in reply.edges)
