"""Versions and their numbers over gRPC."""

import grpc
import pytest
from grpc_calls import PROJECT, Calls, refused
from google.protobuf.timestamp_pb2 import Timestamp

from tallymark.v1 import model_pb2, model_registry_pb2
from tallymark.v1.model_pb2 import MetadataList, MetadataMap, MetadataValue


@pytest.fixture(autouse=True)
def churn(calls: Calls) -> None:
    calls.create_model("churn")


def test_versions_are_numbered_from_one_named_or_not(calls: Calls) -> None:
    """Each version gets the next number, and an unnamed one has it as its name."""
    created = [calls.create_version("churn", name) for name in ("", "1.0.5", "", "rc")]
    assert [version.number for version in created] == [1, 2, 3, 4]
    assert [version.version_name for version in created] == ["1", "1.0.5", "3", "rc"]
    assert calls.model("churn").last_number == 4


def test_a_refused_create_consumes_no_number(calls: Calls) -> None:
    """The number after a refusal follows the number before it."""
    calls.create_version("churn", "rc")
    with refused("VERSION_NAME_TAKEN", grpc.StatusCode.ALREADY_EXISTS) as refusal:
        calls.create_version("churn", "rc")
    assert refusal.metadata == {"project": "default", "model": "churn", "version": "rc", "number": "1"}
    assert calls.create_version("churn").number == 2


def test_a_version_needs_its_model(calls: Calls) -> None:
    """CreateModelVersion does not create a model."""
    with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.create_version("other")
    with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.model("other")


def test_a_version_is_found_by_number_name_and_latest(calls: Calls) -> None:
    """All references to a version return the same version."""
    calls.create_version("churn")
    created = calls.create_version("churn", "1.0.5", description="second", tags=["b", "a"])
    for reference in ("2", "=1.0.5", "latest"):
        assert calls.version("churn", reference) == created
    assert list(created.tags) == ["a", "b"]


@pytest.mark.parametrize(
    ("reference", "reason", "key", "value"),
    [
        ("7", "VERSION_NOT_FOUND", "version", "7"),
        ("=7.0", "VERSION_NOT_FOUND", "version", "=7.0"),
        ("latest", "VERSION_NOT_FOUND", "version", "latest"),
        ("@production", "STAGE_EMPTY", "stage", "production"),
        ("@champion", "ALIAS_NOT_FOUND", "alias", "champion"),
    ],
)
def test_a_missing_version_says_what_is_missing(
    calls: Calls, reference: str, reason: str, key: str, value: str
) -> None:
    """A number, name, stage or alias without a version has its own reason, and so has a missing model."""
    with refused(reason, grpc.StatusCode.NOT_FOUND) as refusal:
        calls.version("churn", reference)
    assert refusal.metadata == {"project": "default", "model": "churn", key: value}
    with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.version("other", reference)


def test_versions_are_listed_from_the_newest_over_pages(calls: Calls) -> None:
    """Pages hold every version once, the highest number first, also while others are created."""
    for _ in range(7):
        calls.create_version("churn")
    request = model_registry_pb2.ListModelVersionsRequest(parent=f"{PROJECT}/models/churn", page_size=3)
    first = calls.models.ListModelVersions(request)
    calls.create_version("churn")
    rest = calls.versions("churn", page_size=3, page_token=first.next_page_token)
    assert [version.number for version in (*first.model_versions, *rest)] == [7, 6, 5, 4, 3, 2, 1]


def test_a_list_of_a_missing_model_is_refused(calls: Calls) -> None:
    """A missing model is an error, a model without versions an empty list."""
    assert calls.versions("churn") == []
    with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.versions("other")


def batch(calls: Calls, *names: str, request_id: str = "") -> list[int]:
    request = model_registry_pb2.BatchCreateModelVersionsRequest(
        parent=f"{PROJECT}/models/churn",
        model_versions=[model_pb2.ModelVersion(version_name=name) for name in names],
        request_id=request_id,
    )
    return [version.number for version in calls.models.BatchCreateModelVersions(request).model_versions]


def test_a_batch_is_numbered_in_its_order(calls: Calls) -> None:
    """Versions of a batch have successive numbers, and a repeated batch is the same batch."""
    assert batch(calls, "a", "", "b", request_id="one") == [1, 2, 3]
    assert batch(calls, "", "") == [4, 5]
    assert batch(calls, "a", "", "b", request_id="one") == [1, 2, 3]


@pytest.mark.parametrize("names", [("x", "a"), ("x", "y", "x")])
def test_a_batch_is_made_whole_or_not_at_all(calls: Calls, names: tuple[str, ...]) -> None:
    """A batch with a name that is taken, before or within it, is refused as a whole."""
    calls.create_version("churn", "a")
    with refused("VERSION_NAME_TAKEN", grpc.StatusCode.ALREADY_EXISTS):
        batch(calls, *names)
    assert [version.version_name for version in calls.versions("churn")] == ["a"]


def test_a_batch_has_a_size(calls: Calls) -> None:
    """An empty batch, and one of more than a thousand, are refused."""
    for names, reason in (((), "INVALID_FIELD"), (("",) * 1001, "VALUE_TOO_LARGE")):
        with refused(reason, grpc.StatusCode.INVALID_ARGUMENT):
            batch(calls, *names)


def test_metadata_keeps_its_types(calls: Calls) -> None:
    """Every kind of value is returned as it was set, NaN and infinities too."""
    metadata = {
        "number": MetadataValue(number=0.1),
        "whole": MetadataValue(number=3),
        "infinite": MetadataValue(number=float("-inf")),
        "text": MetadataValue(text="é\n"),
        "flag": MetadataValue(flag=False),
        "time": MetadataValue(time=Timestamp(seconds=-1, nanos=999_999_000)),
        "uri": MetadataValue(uri="s3://bucket/key"),
        "list": MetadataValue(list=MetadataList(values=[MetadataValue(number=1), MetadataValue(text="number")])),
        "map": MetadataValue(
            map=MetadataMap(values={"number": MetadataValue(text="NaN"), "": MetadataValue(number=2)})
        ),
    }
    calls.create_version("churn", metadata={"nan": MetadataValue(number=float("nan"))})
    found = calls.log_metadata("churn", 1, **metadata).metadata
    assert str(found.pop("nan").number) == "nan"
    assert dict(found) == metadata
    assert dict(calls.version("churn", "1").metadata).keys() == {*metadata, "nan"}


@pytest.mark.parametrize("of_maps", [False, True])
def test_metadata_is_not_nested_without_end(calls: Calls, of_maps: bool) -> None:
    """Nesting that no client could read in an event is refused; the deepest that is accepted can be read."""
    calls.create_version("churn")

    def nested(depth: int) -> MetadataValue:
        value = MetadataValue(number=1)
        for _ in range(depth):
            if of_maps:
                value = MetadataValue(map=MetadataMap(values={"a": value}))
            else:
                value = MetadataValue(list=MetadataList(values=[value]))
        return value

    with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT):
        calls.log_metadata("churn", 1, deep=nested(17))
    calls.log_metadata("churn", 1, deep=nested(16))
    assert calls.events()[-1].model_version.metadata["deep"] == nested(16)
    assert calls.version("churn", "1").metadata["deep"] == nested(16)


def test_metadata_is_set_by_key(calls: Calls) -> None:
    """Logging sets the keys it names, leaves the others, and moves the version's revision and etag."""
    before = calls.create_version("churn", metadata={"a": MetadataValue(number=1), "b": MetadataValue(number=1)})
    after = calls.log_metadata("churn", "latest", b=MetadataValue(text="two"))
    assert dict(after.metadata) == {"a": MetadataValue(number=1), "b": MetadataValue(text="two")}
    assert after.mod_revision == before.mod_revision + 1
    assert after.etag != before.etag
    assert after.create_revision == before.create_revision


def test_metadata_has_a_size(calls: Calls) -> None:
    """A change that makes the metadata too large is refused, and the metadata stays as it was."""
    calls.create_version("churn", metadata={"a": MetadataValue(text="x" * 40_000)})
    with refused("VALUE_TOO_LARGE", grpc.StatusCode.INVALID_ARGUMENT) as refusal:
        calls.log_metadata("churn", 1, b=MetadataValue(text="x" * 40_000))
    assert refusal.metadata == {"field": "metadata", "limit": "65535"}
    assert calls.version("churn", "1").metadata.keys() == {"a"}


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb"])
def test_a_metadata_key_can_be_shown(calls: Calls, key: str) -> None:
    """A key has 1 to 255 characters, none of them invisible."""
    with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT):
        calls.create_version("churn", metadata={key: MetadataValue(number=1)})


@pytest.mark.parametrize(("seconds", "nanos"), [(10**15, 0), (-(10**12), 0), (0, -1)])
def test_a_metadata_time_is_one_that_clients_can_read(calls: Calls, seconds: int, nanos: int) -> None:
    """A time outside the years 1 to 9999 is refused, because readers fail on it."""
    with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT):
        calls.create_version("churn", metadata={"at": MetadataValue(time=Timestamp(seconds=seconds, nanos=nanos))})


def test_a_metadata_value_is_something(calls: Calls) -> None:
    """A value without a kind is refused."""
    with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT):
        calls.create_version("churn", metadata={"a": MetadataValue()})
