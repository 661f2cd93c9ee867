"""Reads as of the past, orders, and pages that show one revision."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
import pytest
from grpc_calls import DEADLINE, PROJECT, Calls, refusal_of, refused
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from tallymark.testing import Server
from tallymark.v1 import model_pb2, model_registry_pb2
from tallymark.v1.event_log_pb2 import ListEventsRequest
from tallymark.v1.event_pb2 import (
    EVENT_KIND_ALIAS_SET,
    EVENT_KIND_METADATA_LOGGED,
    EVENT_KIND_MODEL_CREATED,
    EVENT_KIND_STAGE_CHANGED,
    Event,
)
from tallymark.v1.model_pb2 import STAGE_ARCHIVED, STAGE_NONE, STAGE_PRODUCTION, STAGE_STAGING, MetadataValue
from tallymark.v1.model_registry_pb2 import (
    DeleteModelRequest,
    DeleteModelVersionRequest,
    GetModelRequest,
    GetModelVersionRequest,
    ListModelsRequest,
    ListModelVersionsRequest,
    PurgeModelRequest,
    RenameModelRequest,
    SetStageRequest,
    UpdateModelVersionRequest,
)

CHURN = f"{PROJECT}/models/churn"


def get(calls: Calls, reference: str, revision: int, model: str = "churn") -> model_pb2.ModelVersion:
    request = GetModelVersionRequest(name=f"{PROJECT}/models/{model}/versions/{reference}", read_revision=revision)
    return calls.models.GetModelVersion(request, timeout=DEADLINE)


def pages(calls: Calls, **fields: Any) -> Iterator[list[model_pb2.ModelVersion]]:
    token = ""
    while True:
        request = ListModelVersionsRequest(**{"parent": CHURN, "page_size": 2, **fields}, page_token=token)
        page = calls.models.ListModelVersions(request, timeout=DEADLINE)
        yield list(page.model_versions)
        token = page.next_page_token
        if not token:
            return


def numbers(found: Iterator[list[model_pb2.ModelVersion]]) -> list[int]:
    return [version.number for page in found for version in page]


def revision(calls: Calls) -> int:
    return calls.events()[-1].revision


def rename_version(calls: Calls, number: int, name: str) -> None:
    version = model_pb2.ModelVersion(name=f"{CHURN}/versions/{number}", version_name=name)
    calls.models.UpdateModelVersion(
        UpdateModelVersionRequest(model_version=version, update_mask=FieldMask(paths=["version_name"]))
    )


def test_a_version_is_read_as_it_was_by_every_reference(calls: Calls) -> None:
    """By number, latest, stage, alias and name, a read as of a revision returns what a read returned then."""
    calls.create_model("churn")
    steps: list[Callable[[], object]] = [
        lambda: calls.create_version("churn", "gold"),
        lambda: calls.set_stage("churn", 1, STAGE_PRODUCTION),
        lambda: calls.set_alias("churn", 1, "champion"),
        lambda: calls.create_version("churn", metadata={"auc": MetadataValue(number=1)}),
        lambda: calls.set_stage("churn", 2, STAGE_PRODUCTION, force=True),
        lambda: calls.set_alias("churn", 2, "champion"),
        lambda: rename_version(calls, 1, "old"),
        lambda: rename_version(calls, 2, "gold"),
        lambda: calls.set_stage("churn", 1, STAGE_PRODUCTION, force=True),
        lambda: calls.delete_alias("churn", "champion"),
        lambda: calls.models.DeleteModelVersion(DeleteModelVersionRequest(name=f"{CHURN}/versions/2")),
        lambda: calls.set_stage("churn", 1, STAGE_ARCHIVED),
        lambda: calls.create_version("churn", "last"),
    ]
    references = ["1", "2", "3", "latest", "@production", "@champion", "=gold", "=old", "=last"]
    seen: dict[int, dict[str, object]] = {}
    for step in steps:
        step()
        seen[revision(calls)] = {
            reference: answer(partial(calls.version, "churn", reference)) for reference in references
        }
    for at, answers in seen.items():
        for reference, expected in answers.items():
            assert answer(partial(get, calls, reference, at)) == expected, (at, reference)


def answer(ask: Callable[[], object]) -> object:
    """Return the response, or the status of the refusal."""
    try:
        return ask()
    except grpc.RpcError as error:
        return refusal_of(error).info.SerializeToString(deterministic=True)


def test_a_time_means_the_last_revision_until_then(calls: Calls) -> None:
    """A read as of an event's time sees it; a microsecond earlier it does not, and before all nothing is there."""
    calls.create_model("churn")
    calls.create_version("churn")
    made = calls.set_stage("churn", 1, STAGE_PRODUCTION).update_time
    name = f"{CHURN}/versions/@production"
    assert calls.models.GetModelVersion(GetModelVersionRequest(name=name, read_time=made)).number == 1
    before = Timestamp()
    before.FromMicroseconds(made.ToMicroseconds() - 1)
    with refused("STAGE_EMPTY", grpc.StatusCode.NOT_FOUND):
        calls.models.GetModelVersion(GetModelVersionRequest(name=name, read_time=before))
    with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.models.GetModel(GetModelRequest(name=CHURN, read_time=Timestamp(seconds=1)))


def test_a_model_is_read_as_it_was_under_the_name_it_had(calls: Calls) -> None:
    """A renamed and deleted model is found in the past by its old name, with its last number at that time."""
    calls.create_model("churn", description="first")
    calls.create_version("churn")
    then = revision(calls)
    calls.create_version("churn")
    calls.models.RenameModel(RenameModelRequest(name=CHURN, new_model_id="retention"))
    calls.create_model("churn", description="second")
    calls.models.DeleteModel(DeleteModelRequest(name=f"{PROJECT}/models/retention"))
    model = calls.models.GetModel(GetModelRequest(name=CHURN, read_revision=then))
    assert (model.description, model.last_number, model.name) == ("first", 1, CHURN)
    listed = calls.models.ListModels(ListModelsRequest(parent=PROJECT, read_revision=then)).models
    assert list(listed) == [model]
    assert get(calls, "latest", then).number == 1
    assert calls.model("churn").description == "second"
    with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.models.GetModel(GetModelRequest(name=f"{PROJECT}/models/retention", read_revision=then))


def test_a_model_that_was_purged_since_is_not_read(calls: Calls) -> None:
    """A purged model is neither read nor listed in the past, even if a new model has its name by now."""
    calls.create_model("churn", description="secret")
    calls.create_version("churn")
    calls.models.DeleteModel(DeleteModelRequest(name=CHURN))
    calls.models.PurgeModel(PurgeModelRequest(name=CHURN))
    calls.create_model("churn", description="anew")
    for at in range(1, 5):
        with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
            calls.models.GetModel(GetModelRequest(name=CHURN, read_revision=at, show_deleted=True))
        request = ListModelsRequest(parent=PROJECT, read_revision=at, show_deleted=True)
        assert not calls.models.ListModels(request).models
    listed = calls.models.ListModels(ListModelsRequest(parent=PROJECT, read_revision=5)).models
    assert [model.description for model in listed] == ["anew"]


@pytest.mark.parametrize(("at", "reason"), [(99, "REVISION_IN_FUTURE"), (0, "INVALID_FIELD"), (-1, "INVALID_FIELD")])
def test_a_revision_that_never_was_is_refused(calls: Calls, at: int, reason: str) -> None:
    """The future cannot be read, and revisions go from 1."""
    calls.create_model("churn")
    for ask in (
        lambda: calls.models.GetModel(GetModelRequest(name=CHURN, read_revision=at)),
        lambda: calls.models.ListModels(ListModelsRequest(parent=PROJECT, read_revision=at)),
        lambda: calls.models.ListModelVersions(ListModelVersionsRequest(parent=CHURN, read_revision=at)),
    ):
        with refused(reason):
            ask()


def test_pages_show_one_revision_while_others_write(calls: Calls) -> None:
    """Whatever happens between two pages, every version is listed once, as it was, and in its place."""
    calls.create_model("churn")
    for index in range(7):
        calls.create_version("churn", metadata={"auc": MetadataValue(number=index % 4)})
    expected = {
        "": [7, 6, 5, 4, 3, 2, 1],
        "metadata.auc desc, number": [4, 3, 7, 2, 6, 1, 5],
        "update_time": [1, 2, 3, 4, 5, 6, 7],
    }
    running = {order: pages(calls, order_by=order, filter="number > 0 AND stage = none") for order in expected}
    first = {order: next(found) for order, found in running.items()}
    calls.create_version("churn")
    calls.log_metadata("churn", 2, auc=MetadataValue(number=9))
    calls.set_stage("churn", 1, STAGE_PRODUCTION)
    calls.models.DeleteModelVersion(DeleteModelVersionRequest(name=f"{CHURN}/versions/4"))
    calls.models.RenameModel(RenameModelRequest(name=CHURN, new_model_id="retention"))
    calls.models.RenameModel(RenameModelRequest(name=f"{PROJECT}/models/retention", new_model_id="churn"))
    for order, found in running.items():
        assert [version.number for version in first[order]] + numbers(found) == expected[order], order


def test_pages_of_models_show_one_revision_while_others_write(calls: Calls) -> None:
    """A model that is renamed between two pages is listed once, under the name and in the place it had."""
    for name in "abcdef":
        calls.create_model(name)
    first = calls.models.ListModels(ListModelsRequest(parent=PROJECT, page_size=2))
    for old, new in (("a", "z"), ("f", "aa"), ("d", "b0")):
        calls.models.RenameModel(RenameModelRequest(name=f"{PROJECT}/models/{old}", new_model_id=new))
    calls.create_model("a")
    found = [model.name[-1] for model in first.models]
    token = first.next_page_token
    while token:
        page = calls.models.ListModels(ListModelsRequest(parent=PROJECT, page_size=2, page_token=token))
        found += [model.name.rsplit("/", 1)[1] for model in page.models]
        token = page.next_page_token
    assert found == list("abcdef")


def test_an_order_lists_what_has_no_such_fact_last(calls: Calls) -> None:
    """Numbers, texts, times and missing facts are ordered, up and down, over pages of every size."""
    calls.create_model("churn")
    facts = [
        MetadataValue(number=-1.5),
        MetadataValue(text="b"),
        None,
        MetadataValue(number=30),
        MetadataValue(uri="a:b"),
    ]
    for fact in facts:
        calls.create_version("churn", metadata={"it's": fact} if fact else {})
    for size in (1, 2, 10):
        assert numbers(pages(calls, order_by='metadata."it\'s"', page_size=size)) == [1, 4, 5, 2, 3]
        assert numbers(pages(calls, order_by='metadata."it\'s" desc', page_size=size)) == [2, 5, 4, 1, 3]
        assert numbers(pages(calls, order_by="number asc", page_size=size)) == [1, 2, 3, 4, 5]
        assert numbers(pages(calls, order_by="creator, version_name desc", page_size=size)) == [5, 4, 3, 2, 1]


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("colour", 1, "version_name"),
        ("number down", 8, "asc or desc"),
        ("tags", 1, "a field with one value"),
        ("metadata", 1, "metadata.auc"),
        ("number,", 8, "a word"),
        ("number, step, run, creator", 20, "at most 3"),
        ("number; DROP TABLE versions", 14, "the end"),
    ],
)
def test_a_bad_order_says_where_and_what_was_expected(calls: Calls, text: str, position: int, expected: str) -> None:
    """The error for a bad order has the position and the expectation, as that for a filter."""
    calls.create_model("churn")
    with refused("INVALID_FILTER", grpc.StatusCode.INVALID_ARGUMENT) as refusal:
        next(pages(calls, order_by=text))
    assert (refusal.metadata["field"], int(refusal.metadata["position"])) == ("order_by", position), refusal.message
    assert expected in refusal.metadata["expected"]


def history(calls: Calls, **fields: Any) -> list[Event]:
    return list(calls.log.ListEvents(ListEventsRequest(parent=PROJECT, **fields), timeout=DEADLINE).events)


def test_a_history_is_of_one_model_or_version(calls: Calls) -> None:
    """A history is of a model with its versions, or of one version; of some kinds; oldest or newest first."""
    for model in ("churn", "fraud"):
        calls.create_model(model)
        calls.create_version(model)
        calls.create_version(model)
        calls.set_stage(model, 1, STAGE_PRODUCTION, reason="better")
        calls.set_stage(model, 2, STAGE_PRODUCTION, force=True, reason="best")
    of_model = history(calls, name=CHURN)
    assert [event.revision for event in of_model] == [1, 2, 3, 4, 5, 6]
    of_version = history(calls, name=f"{CHURN}/versions/1")
    assert [event.revision for event in of_version] == [2, 4, 5]
    moves = history(calls, name=CHURN, kinds=[EVENT_KIND_STAGE_CHANGED], newest_first=True)
    assert [(event.model_version.number, event.reason) for event in moves] == [(2, "best"), (1, "best"), (1, "better")]
    assert history(calls, name=CHURN, newest_first=True, before_revision=3) == [of_model[1], of_model[0]]
    assert history(calls, name=CHURN, after_revision=4) == of_model[4:]


def test_events_of_some_kinds_come_in_their_order_page_by_page(calls: Calls) -> None:
    """Pages of any size, in both orders, have the events that a reader of the log would select."""
    calls.create_model("churn")
    for _ in range(3):
        calls.create_version("churn")
    for number in (1, 2, 1, 3, 2):
        calls.set_stage("churn", number, STAGE_PRODUCTION, force=True, reason=f"for {number}")
        calls.set_alias("churn", number, "champion")
        calls.log_metadata("churn", number, auc=MetadataValue(number=number))
    told = calls.events()
    rare = [EVENT_KIND_STAGE_CHANGED, EVENT_KIND_ALIAS_SET, EVENT_KIND_MODEL_CREATED]
    for kinds in (rare, rare[:1], [EVENT_KIND_STAGE_CHANGED, EVENT_KIND_METADATA_LOGGED], rare[2:]):
        for name, number in (("", 0), (CHURN, 0), (f"{CHURN}/versions/2", 2)):
            wanted = [each for each in told if each.kind in kinds and number in (0, each.model_version.number)]
            for size in (1, 2, 1000):
                assert paged(calls, name=name, kinds=kinds, page_size=size) == wanted, (kinds, name)
                backwards = paged(calls, name=name, kinds=kinds, page_size=size, newest_first=True)
                assert backwards == wanted[::-1], (kinds, name)


def paged(calls: Calls, **fields: Any) -> list[Event]:
    found: list[Event] = []
    while page := history(calls, **fields):
        found += page
        fields["before_revision" if "newest_first" in fields else "after_revision"] = page[-1].revision
    return found


def test_a_version_tells_who_moved_it_when_and_why(server: Server) -> None:
    """All transitions are returned, each with actor, reason, time, and the stages that the version left and entered."""
    steps = [("ana", STAGE_STAGING, "to try"), ("bo", STAGE_PRODUCTION, "better"), ("cy", STAGE_ARCHIVED, "done")]
    with grpc.insecure_channel(server.address) as channel:
        calls = Calls(channel)
        calls.create_model("churn")
        calls.create_version("churn")
        for actor, stage, why in steps:
            request = SetStageRequest(name=f"{CHURN}/versions/1", stage=stage, reason=why)
            calls.models.SetStage(request, metadata=(("tallymark-actor", actor),), timeout=DEADLINE)
        for name in (f"{CHURN}/versions/1", CHURN):
            moves = history(calls, name=name, kinds=[EVENT_KIND_STAGE_CHANGED])
            assert [(move.actor, move.model_version.stage, move.reason) for move in moves] == steps
            assert [move.previous_stage for move in moves] == [STAGE_NONE, STAGE_STAGING, STAGE_PRODUCTION]
            assert all(move.time == move.model_version.update_time for move in moves)


def test_a_history_must_be_asked_for_rightly(calls: Calls) -> None:
    """Contradicting cursors, another project and missing resources are refused."""
    calls.create_model("churn")
    for fields in (
        {"newest_first": True, "after_revision": 1},
        {"before_revision": 1},
        {"name": "projects/other/models/churn"},
        {"name": "churn"},
        {"kinds": [99]},
    ):
        with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT):
            history(calls, **fields)
    with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        history(calls, name=f"{PROJECT}/models/none")


def test_fields_of_models_and_versions_can_be_cleared(calls: Calls) -> None:
    """Metadata is set on creation, replaced as a whole by an update, and may become empty; series stay."""
    fact = {"owner": MetadataValue(text="ana")}
    assert calls.create_model("churn", metadata=fact).metadata["owner"].text == "ana"
    calls.create_version("churn", metadata=fact)
    model = model_pb2.Model(name=CHURN)
    request = model_registry_pb2.UpdateModelRequest(model=model, update_mask=FieldMask(paths=["metadata"]))
    assert calls.models.UpdateModel(request).metadata == {}
    version = model_pb2.ModelVersion(name=f"{CHURN}/versions/1", metadata={"n": MetadataValue(number=1)})
    update = UpdateModelVersionRequest(model_version=version, update_mask=FieldMask(paths=["metadata"]))
    assert calls.models.UpdateModelVersion(update).metadata == version.metadata
    assert [
        model.name
        for model in calls.models.ListModels(ListModelsRequest(parent=PROJECT, filter="metadata:owner")).models
    ] == []
