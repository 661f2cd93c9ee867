"""Every response that has a model has its holders; an event has none."""

from __future__ import annotations

import pytest
from grpc_calls import DEADLINE, PROJECT, Calls
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from tallymark.v1 import model_pb2, model_registry_pb2

CHURN = f"{PROJECT}/models/churn"
Places = tuple[int, int, int, dict[str, int]]


def places(model: model_pb2.Model) -> Places:
    return model.latest_number, model.production_number, model.staging_number, dict(model.aliases)


@pytest.fixture
def history(calls: Calls) -> list[Places]:
    """Return the holders of the model after each revision, from the first on."""
    told: list[Places] = []

    def then(latest: int = 0, production: int = 0, staging: int = 0, **aliases: int) -> None:
        told.append((latest, production, staging, aliases))

    calls.create_model("churn")
    then()
    for number in (1, 2, 3):
        calls.create_version("churn")
        then(number)
    calls.set_stage("churn", 1, model_pb2.STAGE_PRODUCTION)
    then(3, 1)
    calls.set_stage("churn", 2, model_pb2.STAGE_STAGING)
    then(3, 1, 2)
    calls.set_alias("churn", 3, "champion")
    then(3, 1, 2, champion=3)
    calls.set_stage("churn", 2, model_pb2.STAGE_PRODUCTION, force=True)
    then(3, 0, 2, champion=3)
    then(3, 2, 0, champion=3)
    request = model_registry_pb2.DeleteModelVersionRequest(name=f"{CHURN}/versions/3")
    calls.models.DeleteModelVersion(request, timeout=DEADLINE)
    then(3, 2)
    then(2, 2)
    return told


def test_holders_are_right_now_and_as_of_any_revision_and_time(calls: Calls, history: list[Places]) -> None:
    """GetModel and ListModels return the same holders; a deleted version holds nothing."""
    assert places(calls.model("churn")) == history[-1] == (2, 2, 0, {})
    events = calls.events()
    assert len(events) == len(history)
    for event, expected in zip(events, history, strict=True):
        get = model_registry_pb2.GetModelRequest(name=CHURN, read_revision=event.revision)
        assert places(calls.models.GetModel(get, timeout=DEADLINE)) == expected
        listing = model_registry_pb2.ListModelsRequest(parent=PROJECT, read_revision=event.revision)
        (listed,) = calls.models.ListModels(listing, timeout=DEADLINE).models
        assert places(listed) == expected
    last = events[-1]
    by_time = model_registry_pb2.GetModelRequest(name=CHURN, read_time=last.time)
    assert places(calls.models.GetModel(by_time, timeout=DEADLINE)) == history[-1]


def test_pages_show_the_holders_of_their_revision(calls: Calls, history: list[Places]) -> None:
    """A later page shows the revision of the first, whatever has happened in between."""
    calls.create_model("zoo")
    calls.create_version("zoo")
    first = calls.models.ListModels(model_registry_pb2.ListModelsRequest(parent=PROJECT, page_size=1), timeout=DEADLINE)
    calls.create_version("zoo")
    calls.set_stage("zoo", 2, model_pb2.STAGE_PRODUCTION)
    second = calls.models.ListModels(
        model_registry_pb2.ListModelsRequest(parent=PROJECT, page_size=1, page_token=first.next_page_token),
        timeout=DEADLINE,
    )
    assert [places(model) for page in (first, second) for model in page.models] == [history[-1], (1, 0, 0, {})]
    assert places(calls.model("zoo")) == (2, 2, 0, {})


def test_changes_of_a_model_are_answered_with_its_holders(calls: Calls, history: list[Places]) -> None:
    """Update, rename, delete and undelete return the model as GetModel does; a purged model has no holders."""
    models, gone = calls.models, f"{PROJECT}/models/gone"

    def ask(method: str, request: Message) -> Places:
        return places(getattr(models, method)(request, timeout=DEADLINE))

    update = model_registry_pb2.UpdateModelRequest(
        model=model_pb2.Model(name=CHURN, license="MIT"), update_mask=FieldMask(paths=["license"])
    )
    assert ask("UpdateModel", update) == ask("UpdateModel", update) == history[-1]
    assert ask("RenameModel", model_registry_pb2.RenameModelRequest(name=CHURN, new_model_id="gone")) == history[-1]
    assert ask("DeleteModel", model_registry_pb2.DeleteModelRequest(name=gone, force=True)) == history[-1]
    shown = model_registry_pb2.GetModelRequest(name=gone, show_deleted=True)
    assert ask("GetModel", shown) == history[-1]
    assert ask("UndeleteModel", model_registry_pb2.UndeleteModelRequest(name=gone)) == history[-1]
    ask("DeleteModel", model_registry_pb2.DeleteModelRequest(name=gone, force=True))
    assert ask("PurgeModel", model_registry_pb2.PurgeModelRequest(name=gone)) == (0, 0, 0, {})
    assert places(calls.create_model("gone")) == (0, 0, 0, {})


def test_an_event_has_no_holders(calls: Calls, history: list[Places]) -> None:
    """The model in an event has no holders, because other events change them."""
    calls.models.UpdateModel(
        model_registry_pb2.UpdateModelRequest(
            model=model_pb2.Model(name=CHURN, license="MIT"), update_mask=FieldMask(paths=["license"])
        ),
        timeout=DEADLINE,
    )
    told = [event.model for event in calls.events() if event.HasField("model")]
    assert [places(model) for model in told] == [(0, 0, 0, {})] * 2
    assert len(history) == 11
