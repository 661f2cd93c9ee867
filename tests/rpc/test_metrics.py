"""Metrics with steps: series of points."""

import math
from typing import Any

import grpc
import pytest
from databases import rows
from grpc_calls import DEADLINE, PROJECT, Calls, refused
from google.protobuf.timestamp_pb2 import Timestamp

from tallymark.v1.event_pb2 import EVENT_KIND_METADATA_LOGGED, EVENT_KIND_METRICS_LOGGED
from tallymark.v1.metric_pb2 import ListMetricPointsRequest, MetricPoint
from tallymark.v1.model_pb2 import MetadataValue, ModelVersion
from tallymark.v1.model_registry_pb2 import LogMetadataRequest

VERSION = f"{PROJECT}/models/churn/versions/1"


@pytest.fixture(autouse=True)
def churn(calls: Calls) -> None:
    calls.create_model("churn")
    calls.create_version("churn")


def log(calls: Calls, *points: MetricPoint, **fields: Any) -> ModelVersion:
    return calls.models.LogMetadata(LogMetadataRequest(name=VERSION, points=points, **fields), timeout=DEADLINE)


def point(key: str, step: int, value: float) -> MetricPoint:
    return MetricPoint(key=key, step=step, value=value)


def points(calls: Calls, *keys: str, page_size: int = 1000) -> list[tuple[str, int, float]]:
    found: list[tuple[str, int, float]] = []
    token = ""
    while True:
        request = ListMetricPointsRequest(parent=VERSION, keys=keys, page_size=page_size, page_token=token)
        page = calls.models.ListMetricPoints(request, timeout=DEADLINE)
        assert len(page.points) <= page_size
        found += [(each.key, each.step, each.value) for each in page.points]
        token = page.next_page_token
        if not token:
            return found


def test_points_become_a_series_and_a_last_value(calls: Calls) -> None:
    """The version shows the value of the highest step, in whatever order steps arrive; every point is listed."""
    assert log(calls, point("loss", 1, 0.9), point("loss", 0, 1.5), point("auc", 1, 0.7)).series == {
        "loss": 1,
        "auc": 1,
    }
    version = log(calls, point("loss", 0, 1.4), point("auc", 3, 0.8))
    assert {key: value.number for key, value in version.metadata.items()} == {"loss": 0.9, "auc": 0.8}
    assert version.series == {"loss": 1, "auc": 3}
    assert version == calls.version("churn", "1")
    assert points(calls) == [("auc", 1, 0.7), ("auc", 3, 0.8), ("loss", 0, 1.4), ("loss", 1, 0.9)]
    assert points(calls, "loss", page_size=1) == [("loss", 0, 1.4), ("loss", 1, 0.9)]
    assert points(calls, "none") == []


def test_a_point_has_its_time(calls: Calls) -> None:
    """A point has the time of its measurement, or else of its logging; NaN and infinities are kept."""
    measured = Timestamp(seconds=1_700_000_000)
    log(calls, MetricPoint(key="loss", step=0, value=math.nan, time=measured), point("loss", 1, math.inf))
    first, second = calls.models.ListMetricPoints(ListMetricPointsRequest(parent=VERSION), timeout=DEADLINE).points
    assert (math.isnan(first.value), first.time) == (True, measured)
    assert second.value == math.inf
    assert second.time == calls.version("churn", "1").update_time


def test_ten_thousand_points_blow_up_nothing(calls: Calls, database: str) -> None:
    """The reply stays small, the log holds each point once, and one page at a time is read."""
    for start in range(0, 10_000, 1000):
        version = log(calls, *(point("loss", step, 1 / (step + 1)) for step in range(start, start + 1000)))
    assert version.ByteSize() < 500
    assert version.series == {"loss": 9999}
    assert len(points(calls)) == 10_000
    ((log_size,),) = rows(database, "SELECT sum(length(image)) FROM events")
    assert log_size < 10_000 * 60
    told = [event for event in calls.events() if event.kind == EVENT_KIND_METRICS_LOGGED]
    assert sum(len(event.metric_change.points) for event in told) == 10_000
    assert {event.metric_change.model_version for event in told} == {VERSION}


def test_a_key_is_removed_with_its_points(calls: Calls) -> None:
    """Deleting the key, or setting it by hand, ends the series; the log has an event for it."""
    log(calls, point("loss", 1, 0.5), point("auc", 1, 0.9))
    assert log(calls, delete_keys=["loss"]).series == {"auc": 1}
    version = log(calls, metadata={"auc": MetadataValue(number=1)})
    assert (dict(version.series), version.metadata["auc"].number) == ({}, 1)
    assert points(calls) == []
    change, told = calls.events()[-2:]
    assert (change.kind, told.kind) == (EVENT_KIND_METRICS_LOGGED, EVENT_KIND_METADATA_LOGGED)
    assert list(change.metric_change.deleted_keys) == ["auc"]


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (LogMetadataRequest(name=VERSION, points=[point("", 0, 1)]), "INVALID_FIELD"),
        (LogMetadataRequest(name=VERSION, points=[point("a", -1, 1)]), "INVALID_FIELD"),
        (LogMetadataRequest(name=VERSION, points=[point("a", step, 1) for step in range(1001)]), "VALUE_TOO_LARGE"),
        (LogMetadataRequest(name=VERSION, points=[point("a", 0, 1)], delete_keys=["a"]), "INVALID_FIELD"),
        (
            LogMetadataRequest(name=VERSION, points=[point("a", 0, 1)], metadata={"a": MetadataValue(number=1)}),
            "INVALID_FIELD",
        ),
        (
            LogMetadataRequest(
                name=VERSION,
                points=[MetricPoint(key="a", step=0, value=1, time=Timestamp(seconds=2**60))],
            ),
            "INVALID_FIELD",
        ),
    ],
    ids=["no key", "negative step", "too many", "set and deleted", "set and measured", "no time"],
)
def test_a_bad_point_is_refused(calls: Calls, request_: LogMetadataRequest, reason: str) -> None:
    """An invalid point is refused with the expectation, and nothing of the request is stored."""
    before = calls.events()
    with refused(reason, grpc.StatusCode.INVALID_ARGUMENT):
        calls.models.LogMetadata(request_, timeout=DEADLINE)
    assert calls.events() == before


def test_a_repeated_log_has_one_effect(calls: Calls) -> None:
    """The same request_id returns the same version, and does not log twice."""
    first = log(calls, point("loss", 1, 0.5), request_id="one")
    assert log(calls, point("loss", 1, 0.5), request_id="one") == first
    assert len(calls.events()) == 4
