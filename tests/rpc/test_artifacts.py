"""Artifacts of versions over gRPC."""

from typing import Any

import grpc
import pytest
from grpc_calls import DEADLINE, PROJECT, Calls, refused

from tallymark.v1.artifact_pb2 import (
    ARTIFACT_ROLE_MADE,
    ARTIFACT_ROLE_USED,
    ARTIFACT_TYPE_DATA,
    ARTIFACT_TYPE_MODEL,
    Artifact,
    GetArtifactRequest,
    LinkArtifactRequest,
    ListArtifactsRequest,
    UnlinkArtifactRequest,
)
from tallymark.v1.model_pb2 import STAGE_PRODUCTION
from tallymark.v1.model_registry_pb2 import DeleteModelVersionRequest, PurgeModelVersionRequest

VERSION = f"{PROJECT}/models/churn/versions/1"
DIGEST = "sha256:" + "0a" * 32


@pytest.fixture(autouse=True)
def churn(calls: Calls) -> None:
    calls.create_model("churn")
    calls.create_version("churn")


def link(
    calls: Calls, name: str = "classifier", parent: str = VERSION, request_id: str = "", **fields: Any
) -> Artifact:
    artifact = Artifact(**{"uri": "s3://models/1", **fields})
    request = LinkArtifactRequest(parent=parent, artifact_id=name, artifact=artifact, request_id=request_id)
    return calls.models.LinkArtifact(request, timeout=DEADLINE)


def listed(calls: Calls, text: str = "", page_size: int = 2) -> list[str]:
    found: list[str] = []
    token = ""
    while True:
        request = ListArtifactsRequest(parent=VERSION, filter=text, page_size=page_size, page_token=token)
        page = calls.models.ListArtifacts(request, timeout=DEADLINE)
        found += [artifact.name.rsplit("/", 1)[1] for artifact in page.artifacts]
        token = page.next_page_token
        if not token:
            return found


def test_an_artifact_keeps_what_it_was_linked_with(calls: Calls) -> None:
    """Uri, digest, size, type, format, role and run come back, with who linked it and when."""
    calls.start_run("r1")
    linked = link(
        calls, digest=DIGEST, size_bytes=9, type=ARTIFACT_TYPE_MODEL, format="skops", role=ARTIFACT_ROLE_USED,
        run=f"{PROJECT}/runs/r1", step="fit",
    )  # fmt: skip
    assert linked.name == f"{VERSION}/artifacts/classifier@1"
    assert (linked.uri, linked.digest, linked.size_bytes, linked.format) == ("s3://models/1", DIGEST, 9, "skops")
    assert (linked.type, linked.role, linked.run) == (ARTIFACT_TYPE_MODEL, ARTIFACT_ROLE_USED, f"{PROJECT}/runs/r1")
    assert (linked.step, linked.creator, linked.ordinal) == ("fit", "anonymous", 1)
    assert calls.models.GetArtifact(GetArtifactRequest(name=linked.name), timeout=DEADLINE) == linked
    assert calls.events()[-1].artifact == linked


def test_a_name_has_several_versions(calls: Calls) -> None:
    """Each link of a name has its ordinal, which is never reused; a name without one means the newest link."""
    first = link(calls)
    assert (first.type, first.role) == (ARTIFACT_TYPE_DATA, ARTIFACT_ROLE_MADE)
    assert link(calls) == first
    second = link(calls, uri="s3://models/2")
    name = f"{VERSION}/artifacts/classifier"
    assert calls.models.GetArtifact(GetArtifactRequest(name=name)) == second
    assert calls.models.GetArtifact(GetArtifactRequest(name=f"{name}@1")) == first
    calls.models.UnlinkArtifact(UnlinkArtifactRequest(name=name, reason="wrong"))
    assert calls.events()[-1].reason == "wrong"
    assert calls.models.GetArtifact(GetArtifactRequest(name=name)) == first
    assert link(calls, uri="s3://models/3").ordinal == 3
    assert listed(calls, page_size=1) == ["classifier@1", "classifier@3"]


def test_artifacts_are_listed_by_filter_in_the_order_of_linking(calls: Calls) -> None:
    """Filters accept every field, and pages hold each artifact once."""
    link(calls, "train", type=ARTIFACT_TYPE_DATA, role=ARTIFACT_ROLE_USED, uri="s3://data/train")
    link(calls, "classifier", type=ARTIFACT_TYPE_MODEL, format="skops", size_bytes=2000)
    link(calls, "a report", uri="file:///tmp/report.html")
    assert listed(calls) == ["train@1", "classifier@1", "a report@1"]
    for text, names in (
        ("role = used", ["train@1"]),
        ("type = model AND size_bytes > 1000", ["classifier@1"]),
        ('uri = "s3://*"', ["train@1", "classifier@1"]),
        ("format = skops OR artifact = train", ["train@1", "classifier@1"]),
        ("creator = bob", []),
    ):
        assert listed(calls, text) == names, text


def test_a_link_follows_the_reference_at_its_turn(calls: Calls) -> None:
    """A link to a stage or an alias is added to the version that holds it then, even right after it moved."""
    calls.create_version("churn")
    calls.set_stage("churn", 2, STAGE_PRODUCTION)
    futures = [
        calls.models.LinkArtifact.future(
            LinkArtifactRequest(
                parent=f"{PROJECT}/models/churn/versions/{reference}",
                artifact_id="x",
                artifact=Artifact(uri=f"s3://{index}"),
            ),
            timeout=DEADLINE,
        )
        for index, reference in enumerate(["@production", "latest", "2", "1"] * 4)
    ]
    linked = [future.result().name.removeprefix(f"{PROJECT}/models/churn/versions/") for future in futures]
    assert sorted(linked) == sorted(
        [f"2/artifacts/x@{ordinal}" for ordinal in range(1, 13)]
        + [f"1/artifacts/x@{ordinal}" for ordinal in range(1, 5)]
    )


def test_what_is_missing_is_not_found(calls: Calls) -> None:
    """A missing artifact, version or run is reported as not found, and nothing is linked."""
    for name in (f"{VERSION}/artifacts/none", f"{VERSION}/artifacts/none@4"):
        with refused("ARTIFACT_NOT_FOUND", grpc.StatusCode.NOT_FOUND) as refusal:
            calls.models.GetArtifact(GetArtifactRequest(name=name))
        assert refusal.metadata["artifact"] == name.rsplit("/", 1)[1]
        with refused("ARTIFACT_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
            calls.models.UnlinkArtifact(UnlinkArtifactRequest(name=name))
    with refused("VERSION_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        link(calls, parent=f"{PROJECT}/models/churn/versions/9")
    with refused("RUN_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        link(calls, run=f"{PROJECT}/runs/none")
    assert listed(calls) == []


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    "fields",
    [
        {"uri": ""},
        {"uri": "x" * 8193},
        {"uri": "a\nb"},
        {"digest": "abc"},
        {"digest": "sha256:XYZ"},
        {"size_bytes": -1},
        {"type": 9},
        {"role": 9},
        {"run": "projects/other/runs/r1"},
        {"name": "a/b"},
        {"name": "a@b"},
    ],
)
def test_a_bad_artifact_is_refused(calls: Calls, fields: dict[str, Any]) -> None:
    """What cannot be an artifact is refused with what it should be."""
    with refused("INVALID_NAME" if "name" in fields else "INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT):
        link(calls, **fields)


def test_a_repeated_link_has_one_effect(calls: Calls) -> None:
    """The same request_id returns the same link, even after it was removed."""
    first = link(calls, request_id="one")
    calls.models.UnlinkArtifact(UnlinkArtifactRequest(name=first.name))
    assert link(calls, request_id="one") == first
    assert listed(calls) == []


def test_a_purged_version_is_gone_with_its_artifacts(calls: Calls) -> None:
    """A purged version is neither found nor listed, and its number and name are never assigned again."""
    link(calls)
    calls.create_version("churn", "gold")
    for number in (1, 2):
        name = f"{PROJECT}/models/churn/versions/{number}"
        with refused("VERSION_NOT_DELETED", grpc.StatusCode.FAILED_PRECONDITION):
            calls.models.PurgeModelVersion(PurgeModelVersionRequest(name=name))
        calls.models.DeleteModelVersion(DeleteModelVersionRequest(name=name))
        calls.models.PurgeModelVersion(PurgeModelVersionRequest(name=name, reason="privacy"))
        with refused("VERSION_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
            calls.models.PurgeModelVersion(PurgeModelVersionRequest(name=name))
    assert calls.versions("churn") == []
    with refused("VERSION_NAME_TAKEN", grpc.StatusCode.ALREADY_EXISTS):
        calls.create_version("churn", "gold")
    assert calls.create_version("churn").number == 3
    assert calls.events()[-2].reason == "privacy"
