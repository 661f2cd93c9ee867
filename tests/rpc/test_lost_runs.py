"""Runs whose process is gone: heartbeats, loss, resumption, and reads of these as of the past."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_calls import DEADLINE, PROJECT, Calls, refused
from google.protobuf.duration_pb2 import Duration

from tallymark.testing import Server
from tallymark.v1 import event_pb2, run_registry_pb2
from tallymark.v1.event_log_pb2 import VerifyRequest, WatchRequest
from tallymark.v1.model_pb2 import (
    RUN_STATE_FAILED,
    RUN_STATE_LOST,
    RUN_STATE_RUNNING,
    RUN_STATE_SUCCEEDED,
    ModelConfig,
    RunState,
)
from tallymark.v1.model_registry_pb2 import GetModelVersionRequest, ListModelVersionsRequest
from tallymark.v1.run_pb2 import Run

SECOND = Duration(seconds=1)
# In seconds; even a busy machine answers some calls within it.
LONGER = Duration(seconds=4)


def start(calls: Calls, run: str, timeout: Duration | None = SECOND) -> run_registry_pb2.StartRunResponse:
    """Start a run that creates a version of `churn`."""
    told = Run(pipeline="training", heartbeat_timeout=timeout)
    request = run_registry_pb2.StartRunRequest(
        parent=PROJECT, run_id=run, run=told, config=ModelConfig(model="churn"), request_id=f"start-{run}"
    )
    return calls.runs.StartRun(request, timeout=DEADLINE)


def beat(calls: Calls, run: str) -> run_registry_pb2.HeartbeatRunResponse:
    request = run_registry_pb2.HeartbeatRunRequest(name=f"{PROJECT}/runs/{run}")
    return calls.runs.HeartbeatRun(request, timeout=DEADLINE)


def lost(calls: Calls, run: str, project: str = PROJECT) -> None:
    """Wait until the log says that the run is lost."""
    request = WatchRequest(parent=project, after_revision=0, kinds=[event_pb2.EVENT_KIND_RUN_LOST])
    watch = calls.log.Watch(request, timeout=DEADLINE)
    assert any(event.run.name == f"{project}/runs/{run}" for told in watch for event in told.events)
    watch.cancel()


def kinds(calls: Calls) -> list[str]:
    return [event_pb2.EventKind.Name(event.kind).removeprefix("EVENT_KIND_").lower() for event in calls.events()]


def states_of(calls: Calls, run_state: str) -> list[int]:
    """Return the numbers of the versions that a filter by run_state finds."""
    request = ListModelVersionsRequest(parent=f"{PROJECT}/models/churn", filter=f"run_state = {run_state}")
    return [version.number for version in calls.models.ListModelVersions(request, timeout=DEADLINE).model_versions]


def version_at(calls: Calls, number: int, revision: int) -> RunState.ValueType:
    name = f"{PROJECT}/models/churn/versions/{number}"
    request = GetModelVersionRequest(name=name, read_revision=revision)
    return calls.models.GetModelVersion(request, timeout=DEADLINE).run_state


def test_a_run_without_heartbeats_is_lost_and_goes_on_with_the_next(calls: Calls) -> None:
    """Loss and resumption have events for the run and its versions, and reads as of the past return them."""
    made = start(calls, "train", LONGER).model_version
    assert made.run_state == RUN_STATE_RUNNING
    lost(calls, "train")
    run = calls.run("train")
    assert run.end_time.ToNanoseconds() >= run.create_time.ToNanoseconds()
    assert states_of(calls, "lost") == [1]
    assert calls.events()[-1].actor == "tallymark"
    assert beat(calls, "train") == run_registry_pb2.HeartbeatRunResponse(state=RUN_STATE_RUNNING, deadline=LONGER)
    assert not calls.run("train").HasField("end_time")
    calls.finish_run("train", RUN_STATE_SUCCEEDED)
    assert kinds(calls) == [
        "model_created", "version_created", "run_started", "run_lost", "version_run_state_changed", "run_resumed",
        "version_run_state_changed", "run_finished", "version_run_state_changed",
    ]  # fmt: skip
    expected = [RUN_STATE_RUNNING] * 3 + [RUN_STATE_LOST] * 2 + [RUN_STATE_RUNNING] * 2 + [RUN_STATE_SUCCEEDED]
    assert [version_at(calls, 1, revision) for revision in range(2, 10)] == expected
    assert len({event.model_version.etag for event in calls.events() if event.HasField("model_version")}) == 4
    assert calls.log.Verify(VerifyRequest(parent=PROJECT), timeout=DEADLINE).problem_count == 0


def test_a_run_that_is_heard_of_in_time_goes_on(calls: Calls) -> None:
    """A run with heartbeats stays running, and they write no events, while another run is lost."""
    start(calls, "alive", LONGER)
    start(calls, "dead")

    while calls.run("dead").state == RUN_STATE_RUNNING:
        assert beat(calls, "alive").state == RUN_STATE_RUNNING
    assert calls.run("alive").state == RUN_STATE_RUNNING
    assert kinds(calls).count("run_resumed") == 0


def test_a_lost_run_is_finished_by_who_was_cut_off(calls: Calls) -> None:
    """FinishRun of a lost run is accepted, and no heartbeat is awaited afterwards."""
    start(calls, "train")
    lost(calls, "train")
    assert calls.finish_run("train", RUN_STATE_FAILED, "out of memory").error == "out of memory"
    assert beat(calls, "train") == run_registry_pb2.HeartbeatRunResponse(state=RUN_STATE_FAILED)
    assert states_of(calls, "failed") == [1]
    with refused("RUN_FINISHED", grpc.StatusCode.FAILED_PRECONDITION):
        calls.finish_run("train", RUN_STATE_SUCCEEDED)


def test_a_run_that_sends_no_heartbeats_is_never_awaited(calls: Calls) -> None:
    """Without a heartbeat_timeout a heartbeat changes nothing and awaits none; a run that is not there is not found."""
    start(calls, "train", timeout=None)
    before = len(calls.events())
    assert beat(calls, "train") == run_registry_pb2.HeartbeatRunResponse(state=RUN_STATE_RUNNING)
    assert len(calls.events()) == before
    with refused("RUN_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        beat(calls, "nobody")


@pytest.mark.parametrize(
    "timeout", [Duration(), Duration(nanos=999_999_999), Duration(seconds=30 * 86_400 + 1)], ids=repr
)
def test_a_timeout_has_bounds(calls: Calls, timeout: Duration) -> None:
    """A heartbeat_timeout is at least 1 second and at most 30 days, and both of these are accepted."""
    with refused("INVALID_FIELD") as refusal:
        start(calls, "train", timeout)
    assert refusal.metadata["field"] == "run.heartbeat_timeout"
    for place, good in enumerate((SECOND, Duration(seconds=30 * 86_400))):
        assert start(calls, f"good-{place}", good).run.heartbeat_timeout == good


def test_joining_a_lost_run_returns_that_it_is_lost(calls: Calls) -> None:
    """A start with the same id returns the lost run, and does not change its heartbeat_timeout."""
    start(calls, "train", LONGER)
    lost(calls, "train")
    again = calls.start_run("train")
    assert (again.created, again.run.state, again.run.heartbeat_timeout) == (False, RUN_STATE_LOST, LONGER)
    assert start(calls, "train", LONGER).run.state == RUN_STATE_RUNNING, "a repetition is answered as the first"
    assert calls.run("train").state == RUN_STATE_LOST
    made = calls.ensure("other", run="train").model_version
    assert made.run_state == RUN_STATE_LOST
    assert beat(calls, "train").state == RUN_STATE_RUNNING
    assert calls.run("train").state == calls.version("other", "1").run_state == RUN_STATE_RUNNING


@pytest.fixture
def twice(tmp_path: Path) -> Iterator[Server]:
    """A server that may be stopped and started within a test."""
    with Server(tmp_path / "tallymark.db", ["--project", "lab"]) as running:
        yield running


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_runs_that_were_open_when_the_service_stopped_are_awaited_again(twice: Server, end: str) -> None:
    """After a restart, also after a crash, each open run has a fresh deadline, is lost if silent, and lives if not."""
    with grpc.insecure_channel(twice.address) as channel:
        calls = Calls(channel)
        start(calls, "long", Duration(seconds=600))
        start(calls, "ended")
        calls.finish_run("ended", RUN_STATE_SUCCEEDED)
        start(calls, "silent")
        start(calls, "old", timeout=None)
        request = run_registry_pb2.StartRunRequest(
            parent="projects/lab", run_id="silent", run=Run(heartbeat_timeout=SECOND)
        )
        calls.runs.StartRun(request, timeout=DEADLINE)
    getattr(twice, end)()
    twice.start()
    with grpc.insecure_channel(twice.address) as channel:
        calls = Calls(channel)
        lost(calls, "silent")
        lost(calls, "silent", "projects/lab")
        assert beat(calls, "long") == run_registry_pb2.HeartbeatRunResponse(
            state=RUN_STATE_RUNNING, deadline=Duration(seconds=600)
        )
        assert [calls.run(run).state for run in ("ended", "old")] == [RUN_STATE_SUCCEEDED, RUN_STATE_RUNNING]
        assert beat(calls, "silent").state == RUN_STATE_RUNNING
        assert calls.log.Verify(VerifyRequest(parent=PROJECT), timeout=DEADLINE).problem_count == 0
