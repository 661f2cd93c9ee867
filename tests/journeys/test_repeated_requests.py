"""A request_id has one effect and always the same answer."""

from collections.abc import Callable

import grpc
import pytest
from grpc_calls import PROJECT, Calls, refused
from google.protobuf.field_mask_pb2 import FieldMask

from tallymark.testing import Server
from tallymark.v1 import model_pb2, model_registry_pb2
from tallymark.v1.model_pb2 import STAGE_ARCHIVED, STAGE_PRODUCTION
from tallymark.v1.model_registry_pb2 import DeleteModelRequest, UpdateModelRequest


def test_a_repeated_create_is_the_same_version(calls: Calls, server: Server) -> None:
    """A repeated create gets its first answer, also after other changes and a restart."""
    calls.create_model("churn", request_id="zero")
    first = calls.create_version("churn", "rc", request_id="one")
    assert calls.create_version("churn", "rc", request_id="one") == first
    calls.set_stage("churn", 1, STAGE_PRODUCTION)
    calls.create_version("churn")
    server.restart()
    with grpc.insecure_channel(server.address) as channel:
        again = Calls(channel)
        assert again.create_version("churn", "rc", request_id="one") == first
        assert again.create_model("churn", request_id="zero").create_revision == 1
        assert [version.number for version in again.versions("churn")] == [2, 1]


def test_every_kind_of_change_is_repeated_without_effect(calls: Calls) -> None:
    """Repeating any change returns its first answer, and adds no event."""
    calls.create_model("churn")
    calls.create_version("churn")
    calls.create_version("churn")
    changes: list[Callable[[], object]] = [
        lambda: calls.ensure("churn", "a", request_id="1"),
        lambda: calls.ensure("churn", request_id="2"),
        lambda: calls.set_stage("churn", 1, STAGE_PRODUCTION, request_id="3"),
        lambda: calls.set_stage("churn", 2, STAGE_PRODUCTION, force=True, request_id="4"),
        lambda: calls.set_stage("churn", 2, STAGE_ARCHIVED, request_id="5"),
        lambda: calls.set_alias("churn", 1, "champion", request_id="6"),
        lambda: calls.set_alias("churn", 2, "champion", request_id="7"),
        lambda: calls.delete_alias("churn", "champion", request_id="8"),
        lambda: calls.start_run("r1", model_pb2.ModelConfig(model="churn"), request_id="9"),
        lambda: calls.start_run("r2", model_pb2.ModelConfig(model="churn", version="a"), request_id="10"),
        lambda: calls.start_run("r3", request_id="11"),
        lambda: calls.models.UpdateModel(
            UpdateModelRequest(
                model=model_pb2.Model(name=f"{PROJECT}/models/churn", license="MIT"),
                update_mask=FieldMask(paths=["license"]),
                request_id="12",
            )
        ),
        lambda: calls.models.DeleteModel(
            DeleteModelRequest(name=f"{PROJECT}/models/churn", force=True, request_id="13")
        ),
    ]
    answers = [change() for change in changes]
    revision = calls.events()[-1].revision
    assert [change() for change in changes] == answers
    assert calls.events()[-1].revision == revision


def test_a_request_id_belongs_to_one_request(calls: Calls) -> None:
    """Another request with a used request_id is refused, whether its name, method or model differs."""
    calls.create_model("churn")
    calls.create_model("other")
    calls.create_version("churn", request_id="one")
    attempts = (
        lambda: calls.create_version("churn", "rc", request_id="one"),
        lambda: calls.create_version("other", request_id="one"),
        lambda: calls.ensure("churn", request_id="one"),
    )
    for attempt in attempts:
        with refused("REQUEST_ID_REUSED", grpc.StatusCode.FAILED_PRECONDITION) as refusal:
            attempt()
        assert refusal.metadata == {"project": "default", "request_id": "one"}
    assert [version.number for version in calls.versions("churn")] == [1]
    assert calls.versions("other") == []


def test_a_refused_request_needs_a_new_request_id(calls: Calls) -> None:
    """A refused request stays refused under its request_id, so that a late copy has no effect."""
    with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.create_version("churn", request_id="one")
    calls.create_model("churn")
    with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.create_version("churn", request_id="one")
    assert calls.create_version("churn", request_id="two").number == 1


def test_a_repeated_request_without_effect_has_none_later(calls: Calls) -> None:
    """A promotion that changed nothing changes nothing when it is repeated after another promotion."""
    calls.create_model("churn")
    calls.create_version("churn")
    calls.create_version("churn")
    calls.set_stage("churn", 1, STAGE_PRODUCTION)
    first = calls.set_stage("churn", 1, STAGE_PRODUCTION, request_id="one")
    calls.set_stage("churn", 2, STAGE_PRODUCTION, force=True)
    assert calls.set_stage("churn", 1, STAGE_PRODUCTION, request_id="one") == first
    assert calls.version("churn", "@production").number == 2


def test_a_validated_request_is_not_remembered(calls: Calls) -> None:
    """A request with validate_only does not use up its request_id."""
    request = model_registry_pb2.CreateModelRequest(
        parent=PROJECT, model_id="churn", request_id="one", validate_only=True
    )
    calls.models.CreateModel(request)
    calls.create_model("churn")
    with refused("MODEL_EXISTS"):
        calls.models.CreateModel(request)
    assert calls.create_version("churn", request_id="one").number == 1


@pytest.mark.parametrize("count", [64])
def test_the_same_request_all_at_once_is_one_version(calls: Calls, count: int) -> None:
    """64 concurrent copies of a create make one version, and all get it as their answer."""
    calls.create_model("churn")
    request = model_registry_pb2.CreateModelVersionRequest(parent=f"{PROJECT}/models/churn", request_id="one")
    futures = [calls.models.CreateModelVersion.future(request) for _ in range(count)]
    assert {future.result().number for future in futures} == {1}
    assert [version.number for version in calls.versions("churn")] == [1]
