"""The same request_id has one effect and one answer for ever."""

import grpc
import pytest
from grpc_calls import PROJECT, Calls, refused
from google.protobuf.field_mask_pb2 import FieldMask

from tallymark.testing import Server
from tallymark.v1 import model_pb2, model_registry_pb2
from tallymark.v1.model_pb2 import STAGE_ARCHIVED, STAGE_PRODUCTION
from tallymark.v1.model_registry_pb2 import DeleteModelRequest, UpdateModelRequest


def test_a_repeated_create_is_the_same_version(calls: Calls, server: Server) -> None:
    """The answer is the first answer, also after other changes and after the server was started anew."""
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
    """Repeating any change answers as before, and adds nothing to the log."""
    calls.create_model("churn")
    calls.create_version("churn")
    calls.create_version("churn")
    changes = [
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
    """Another request under a used id is refused, whether another name, another method or another model."""
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


def test_a_refused_request_is_asked_again_under_another_id(calls: Calls) -> None:
    """A refusal stands for its id: a copy that comes late has no effect behind the back of who was refused."""
    with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.create_version("churn", request_id="one")
    calls.create_model("churn")
    with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.create_version("churn", request_id="one")
    assert calls.create_version("churn", request_id="two").number == 1


def test_what_changed_nothing_changes_nothing_later(calls: Calls) -> None:
    """A promotion of what is promoted already does not bring it back when it is sent again after another."""
    calls.create_model("churn")
    calls.create_version("churn")
    calls.create_version("churn")
    calls.set_stage("churn", 1, STAGE_PRODUCTION)
    first = calls.set_stage("churn", 1, STAGE_PRODUCTION, request_id="one")
    calls.set_stage("churn", 2, STAGE_PRODUCTION, force=True)
    assert calls.set_stage("churn", 1, STAGE_PRODUCTION, request_id="one") == first
    assert calls.version("churn", "@production").number == 2


def test_a_trial_is_not_remembered(calls: Calls) -> None:
    """validate_only tells what would be now, under an id that stays free."""
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
    """However many send the same request at the same moment, there is one version, and all are told of it."""
    calls.create_model("churn")
    request = model_registry_pb2.CreateModelVersionRequest(parent=f"{PROJECT}/models/churn", request_id="one")
    futures = [calls.models.CreateModelVersion.future(request) for _ in range(count)]
    assert {future.result().number for future in futures} == {1}
    assert [version.number for version in calls.versions("churn")] == [1]
