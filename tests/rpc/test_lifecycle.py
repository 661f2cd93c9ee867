"""Updating, renaming, deleting, undeleting and purging over gRPC."""

from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
import pytest
from grpc_calls import PROJECT, Calls, refused
from google.protobuf.field_mask_pb2 import FieldMask

from tallymark.v1 import event_pb2, model_pb2
from tallymark.v1.model_pb2 import STAGE_ARCHIVED, STAGE_PRODUCTION, MetadataValue
from tallymark.v1.model_registry_pb2 import (
    DeleteModelRequest,
    DeleteModelVersionRequest,
    GetModelRequest,
    GetModelVersionRequest,
    ListModelsRequest,
    ListModelVersionsRequest,
    LogMetadataRequest,
    PurgeModelRequest,
    RenameModelRequest,
    UndeleteModelRequest,
    UndeleteModelVersionRequest,
    UpdateModelRequest,
    UpdateModelVersionRequest,
)

CHURN = f"{PROJECT}/models/churn"


@pytest.fixture(autouse=True)
def churn(calls: Calls) -> None:
    """Create a model of three versions, the second of them named."""
    calls.create_model("churn", description="d", license="MIT", tags=["a"])
    for name in ("", "rc", ""):
        calls.create_version("churn", name)


def update(calls: Calls, *paths: str, **fields: Any) -> model_pb2.Model:
    return calls.models.UpdateModel(
        UpdateModelRequest(model=model_pb2.Model(name=CHURN, **fields), update_mask=FieldMask(paths=paths))
    )


def update_version(calls: Calls, number: int, *paths: str, **fields: Any) -> model_pb2.ModelVersion:
    version = model_pb2.ModelVersion(name=f"{CHURN}/versions/{number}", **fields)
    return calls.models.UpdateModelVersion(
        UpdateModelVersionRequest(model_version=version, update_mask=FieldMask(paths=paths))
    )


def delete(calls: Calls, **fields: Any) -> model_pb2.Model:
    return calls.models.DeleteModel(DeleteModelRequest(name=CHURN, **fields))


def delete_version(calls: Calls, number: int, **fields: Any) -> model_pb2.ModelVersion:
    return calls.models.DeleteModelVersion(DeleteModelVersionRequest(name=f"{CHURN}/versions/{number}", **fields))


def rename(calls: Calls, name: str, new_name: str, **fields: Any) -> model_pb2.Model:
    return calls.models.RenameModel(
        RenameModelRequest(name=f"{PROJECT}/models/{name}", new_model_id=new_name, **fields)
    )


def test_fields_in_the_mask_change_and_may_be_cleared(calls: Calls) -> None:
    """The fields in the mask get the values of the request, empty ones too; the others stay."""
    changed = update(calls, "description", "license", "tags", license="BSD", tags=["b"])
    assert (changed.description, changed.license, list(changed.tags)) == ("", "BSD", ["b"])
    assert changed == calls.model("churn")
    assert (changed.last_number, changed.create_revision, changed.mod_revision) == (3, 1, 5)
    assert update(calls, "ethics") == changed


@pytest.mark.sqlite_only
@pytest.mark.parametrize("paths", [(), ("name",), ("last_number",), ("nonsense",)])
def test_a_mask_names_fields_that_can_change(calls: Calls, paths: tuple[str, ...]) -> None:
    """An empty mask, and fields that cannot be set, are refused with the fields that can be."""
    for change in (partial(update, calls), partial(update_version, calls, 1)):
        with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT) as refusal:
            change(*paths)
        assert refusal.metadata["field"] == "update_mask"
        assert "description" in refusal.message


def test_a_change_of_what_was_read_before_is_refused(calls: Calls) -> None:
    """With an etag, a change that was made since the read is not overwritten."""
    read = calls.model("churn")
    update(calls, "ethics", ethics="e", etag=read.etag)
    changes: tuple[Callable[[], model_pb2.Model], ...] = (
        lambda: update(calls, "ethics", ethics="f", etag=read.etag),
        lambda: rename(calls, "churn", "other", etag=read.etag),
        lambda: delete(calls, etag=read.etag),
    )
    for change in changes:
        with refused("ETAG_MISMATCH", grpc.StatusCode.ABORTED):
            change()
    assert calls.model("churn").ethics == "e"


def test_a_version_is_rewritten_and_renamed(calls: Calls) -> None:
    """The name, description and tags of a version change; its old name is free again, and its number stays."""
    renamed = update_version(calls, 2, "version_name", "description", version_name="final", description="d")
    assert (renamed.number, renamed.version_name, renamed.description) == (2, "final", "d")
    assert calls.version("churn", "=final").number == 2
    with refused("VERSION_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.version("churn", "=rc")
    assert calls.create_version("churn", "rc").number == 4
    event = calls.events()[-2]
    assert (event.kind, event.previous_name) == (event_pb2.EVENT_KIND_VERSION_RENAMED, "rc")
    assert update_version(calls, 2, "version_name").version_name == "2"
    assert update_version(calls, 2, "tags", tags=["x"]).version_name == "2"


@pytest.mark.parametrize(
    ("name", "reason"), [("rc", "VERSION_NAME_TAKEN"), ("7", "RESERVED_NAME"), ("a/b", "INVALID_NAME")]
)
def test_a_rename_obeys_the_rule_of_names(calls: Calls, name: str, reason: str) -> None:
    """A rename to a name that is taken or invalid is refused, and does not affect the numbering."""
    with refused(reason):
        update_version(calls, 1, "version_name", version_name=name)
    assert calls.version("churn", "1").version_name == "1"
    assert calls.create_version("churn").number == 4


def test_a_renamed_model_keeps_its_line(calls: Calls) -> None:
    """A renamed model keeps its versions, numbers and history, and the error for its old name has the new one."""
    assert rename(calls, "churn", "retention").name == f"{PROJECT}/models/retention"
    for ask in (
        lambda: calls.model("churn"),
        lambda: calls.version("churn", "1"),
        lambda: calls.create_version("churn"),
    ):
        with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND) as refusal:
            ask()
        assert refusal.metadata == {"project": "default", "model": "churn", "renamed_to": "retention"}
    assert calls.create_version("retention").number == 4
    assert calls.version("retention", "=rc").name == f"{PROJECT}/models/retention/versions/2"
    assert {event.model_version.name.split("/")[3] for event in calls.events() if event.model_version.name} == {
        "retention"
    }
    rename(calls, "retention", "loyalty")
    with refused("MODEL_NOT_FOUND") as refusal:
        calls.model("churn")
    assert refusal.metadata["renamed_to"] == "loyalty"


def test_a_name_that_was_left_is_free(calls: Calls) -> None:
    """Another model may take the old name of a renamed model, and is found by it."""
    rename(calls, "churn", "retention")
    assert calls.create_model("churn").last_number == 0
    with refused("MODEL_EXISTS", grpc.StatusCode.ALREADY_EXISTS):
        rename(calls, "retention", "churn")


def test_a_deleted_model_is_hidden_and_comes_back_as_it_was(calls: Calls) -> None:
    """A deleted model is returned only with `show_deleted`; its name stays taken; undeleting restores all of it."""
    calls.set_alias("churn", 2, "champion")
    deleted = delete(calls, reason="old")
    assert deleted.HasField("delete_time")
    for ask in (
        lambda: calls.model("churn"),
        lambda: calls.version("churn", "@champion"),
        lambda: calls.versions("churn"),
    ):
        with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
            ask()
    assert calls.models.GetModel(GetModelRequest(name=CHURN, show_deleted=True)) == deleted
    shown = calls.models.GetModelVersion(GetModelVersionRequest(name=f"{CHURN}/versions/2", show_deleted=True))
    assert list(shown.aliases) == ["champion"]
    assert not calls.models.ListModels(ListModelsRequest(parent=PROJECT)).models
    assert calls.models.ListModels(ListModelsRequest(parent=PROJECT, show_deleted=True)).models == [deleted]
    assert (
        len(calls.models.ListModelVersions(ListModelVersionsRequest(parent=CHURN, show_deleted=True)).model_versions)
        == 3
    )
    with refused("MODEL_EXISTS", grpc.StatusCode.ALREADY_EXISTS):
        calls.create_model("churn")
    for change in (
        lambda: calls.create_version("churn"),
        lambda: calls.ensure("churn", "rc"),
        lambda: calls.ensure("churn"),
    ):
        with refused("MODEL_DELETED", grpc.StatusCode.FAILED_PRECONDITION):
            change()
    calls.models.UndeleteModel(UndeleteModelRequest(name=CHURN))
    assert calls.version("churn", "@champion").number == 2
    assert calls.create_version("churn").number == 4
    with refused("MODEL_NOT_DELETED", grpc.StatusCode.FAILED_PRECONDITION):
        calls.models.UndeleteModel(UndeleteModelRequest(name=CHURN))


def test_a_purged_and_recreated_model_continues_its_line(calls: Calls) -> None:
    """No number is assigned twice: the new model's first version has the number after the old one's last."""
    with refused("MODEL_NOT_DELETED"):
        calls.models.PurgeModel(PurgeModelRequest(name=CHURN))
    calls.set_stage("churn", 1, STAGE_PRODUCTION)
    calls.set_alias("churn", 2, "champion")
    delete(calls, force=True)
    calls.models.PurgeModel(PurgeModelRequest(name=CHURN))
    with refused("MODEL_NOT_FOUND"):
        calls.models.GetModel(GetModelRequest(name=CHURN, show_deleted=True))
    recreated = calls.ensure("churn", "rc")
    assert (recreated.created, recreated.model_version.number) == (True, 4)
    assert calls.model("churn").license == ""
    assert [version.number for version in calls.versions("churn")] == [4]
    calls.set_stage("churn", 4, STAGE_PRODUCTION)
    with refused("ALIAS_NOT_FOUND"):
        calls.version("churn", "@champion")


def test_a_model_in_production_is_not_deleted_by_mistake(calls: Calls) -> None:
    """A model or version in production is deleted by force only."""
    calls.set_stage("churn", 2, STAGE_PRODUCTION)
    for remove in (lambda **force: delete(calls, **force), lambda **force: delete_version(calls, 2, **force)):
        with refused("VERSION_IN_USE", grpc.StatusCode.FAILED_PRECONDITION) as refusal:
            remove()
        assert refusal.metadata == {"project": "default", "model": "churn", "number": "2"}
    delete_version(calls, 2, force=True)
    with refused("STAGE_EMPTY"):
        calls.version("churn", "@production")


def test_a_deleted_version_keeps_its_number_and_name(calls: Calls) -> None:
    """The number and the name of a deleted version stay taken; `latest` is the highest version that is not deleted."""
    delete_version(calls, 3)
    delete_version(calls, 2)
    assert calls.version("churn", "latest").number == 1
    assert [version.number for version in calls.versions("churn")] == [1]
    for reference in ("2", "=rc", "3"):
        with refused("VERSION_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
            calls.version("churn", reference)
    with refused("VERSION_NAME_TAKEN") as refusal:
        calls.create_version("churn", "rc")
    assert refusal.metadata["number"] == "2"
    for change in (
        lambda: calls.ensure("churn", "rc"),
        lambda: calls.set_alias("churn", 3, "x"),
        lambda: delete_version(calls, 2),
    ):
        with refused("VERSION_DELETED", grpc.StatusCode.FAILED_PRECONDITION):
            change()
    assert calls.create_version("churn").number == 4
    shown = calls.models.ListModelVersions(ListModelVersionsRequest(parent=CHURN, show_deleted=True)).model_versions
    assert [(version.number, version.HasField("delete_time")) for version in shown] == [
        (4, False),
        (3, True),
        (2, True),
        (1, False),
    ]


def test_a_version_comes_back_without_what_it_held(calls: Calls) -> None:
    """Deleting a version removes its stage and its aliases; undeleting restores neither."""
    calls.set_stage("churn", 2, STAGE_PRODUCTION)
    calls.set_alias("churn", 2, "champion")
    delete_version(calls, 2, force=True)
    back = calls.models.UndeleteModelVersion(UndeleteModelVersionRequest(name=f"{CHURN}/versions/=rc"))
    assert (back.number, back.stage, list(back.aliases)) == (2, STAGE_ARCHIVED, [])
    assert calls.version("churn", "=rc") == back
    with refused("VERSION_NOT_DELETED", grpc.StatusCode.FAILED_PRECONDITION):
        calls.models.UndeleteModelVersion(UndeleteModelVersionRequest(name=f"{CHURN}/versions/2"))


def test_a_run_whose_version_is_deleted_gets_another(calls: Calls) -> None:
    """The next call of the run creates the next number, and the deleted version can still be undeleted."""
    calls.start_run("r1", model_pb2.ModelConfig(model="churn"))
    delete_version(calls, 4)
    assert calls.ensure("churn", run="r1").model_version.number == 5
    calls.models.UndeleteModelVersion(UndeleteModelVersionRequest(name=f"{CHURN}/versions/4"))
    assert calls.ensure("churn", run="r1").model_version.number == 5


def test_metadata_keys_are_removed(calls: Calls) -> None:
    """One call sets some keys and removes others; the same key in both is refused."""
    calls.log_metadata("churn", 1, a=MetadataValue(number=1), b=MetadataValue(number=2))
    request = LogMetadataRequest(
        name=f"{CHURN}/versions/1", metadata={"c": MetadataValue(flag=True)}, delete_keys=["a", "missing"]
    )
    assert calls.models.LogMetadata(request).metadata.keys() == {"b", "c"}
    request.delete_keys.append("c")
    with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT):
        calls.models.LogMetadata(request)


def test_changes_in_one_moment_see_each_other(calls: Calls) -> None:
    """Concurrent renames, deletions and creations have the results of some order of them."""
    create = calls.models.CreateModelVersion
    from tallymark.v1.model_registry_pb2 import CreateModelVersionRequest

    futures: list[grpc.Future[model_pb2.Model] | grpc.Future[model_pb2.ModelVersion]] = []
    for turn in range(20):
        old, new = ("churn", "other") if turn % 2 == 0 else ("other", "churn")
        futures.append(
            calls.models.RenameModel.future(RenameModelRequest(name=f"{PROJECT}/models/{old}", new_model_id=new))
        )
        futures.extend(
            create.future(CreateModelVersionRequest(parent=f"{PROJECT}/models/{name}")) for name in ("churn", "other")
        )
    for future in futures:
        future.exception()
    name = next(name for name in ("churn", "other") if not refused_model(calls, name))
    versions = calls.versions(name, page_size=1000)
    assert [version.number for version in versions] == list(range(len(versions), 0, -1))
    assert calls.model(name).last_number == len(versions) > 3


def refused_model(calls: Calls, name: str) -> bool:
    try:
        calls.model(name)
    except grpc.RpcError:
        return True
    return False
