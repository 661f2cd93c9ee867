"""The log over gRPC: read and watched."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_calls import PROJECT, Calls, refused

from tallymark.testing import Server
from tallymark.v1 import event_pb2
from tallymark.v1.event_log_pb2 import ListEventsRequest, WatchRequest, WatchResponse
from tallymark.v1.model_pb2 import STAGE_ARCHIVED, STAGE_PRODUCTION, STAGE_STAGING
from tallymark.v1.model_registry_pb2 import (
    DeleteModelRequest,
    DeleteModelVersionRequest,
    PurgeModelRequest,
    RenameModelRequest,
)


def events_of(stream: Iterator[WatchResponse], count: int) -> list[event_pb2.Event]:
    """Return the next `count` events of the stream."""
    found: list[event_pb2.Event] = []
    while len(found) < count:
        found.extend(next(stream).events)
    return found


def watch(calls: Calls, **fields: Any) -> Iterator[WatchResponse]:
    return calls.log.Watch(WatchRequest(parent=PROJECT, **fields), timeout=60)


def test_every_change_is_an_event_and_revisions_have_no_gap(calls: Calls) -> None:
    """The log has every change in order, each event with the resource after the change."""
    calls.create_model("churn")
    version = calls.create_version("churn")
    promoted = calls.set_stage("churn", 1, STAGE_PRODUCTION)
    told = calls.events()
    assert [event.revision for event in told] == [1, 2, 3]
    assert told[0].model.name == f"{PROJECT}/models/churn"
    assert told[1].model_version == version
    assert told[2].model_version == promoted
    assert calls.events(after=2) == told[2:]


def test_time_never_runs_backwards(calls: Calls) -> None:
    """No event's time is before that of the event before it."""
    calls.create_model("churn")
    for _ in range(20):
        calls.create_version("churn")
    times = [event.time.ToNanoseconds() for event in calls.events()]
    assert times == sorted(times)


def test_a_watch_tells_what_was_and_what_comes(calls: Calls) -> None:
    """Catch-up and live are one stream, each event once and in order."""
    calls.create_model("churn")
    calls.create_version("churn")
    stream = watch(calls, after_revision=1)
    assert [event.revision for event in events_of(stream, 1)] == [2]
    for _ in range(3):
        calls.create_version("churn")
    assert [event.revision for event in events_of(stream, 3)] == [3, 4, 5]


def test_a_watch_from_now_on_begins_where_its_first_message_says(calls: Calls) -> None:
    """Without a revision, the first message has the revision after which events follow."""
    calls.create_model("churn")
    stream = watch(calls)
    first = next(stream)
    assert (first.revision, list(first.events)) == (1, [])
    calls.create_version("churn")
    assert [event.revision for event in events_of(stream, 1)] == [2]


def test_a_silent_watch_gets_heartbeats(tmp_path: Path) -> None:
    """An idle stream regularly sends its position without events."""
    with (
        Server(tmp_path / "tallymark.db", ["--heartbeat", "0.1"]) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        stream = watch(Calls(channel))
        assert [(message.revision, len(message.events)) for message in (next(stream), next(stream))] == [(0, 0)] * 2


def test_a_watch_gets_heartbeats_while_other_events_happen(tmp_path: Path) -> None:
    """A watcher receives the position of the log while only events that it does not want happen without a pause."""
    with (
        Server(tmp_path / "tallymark.db", ["--heartbeat", "0.1"]) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        calls = Calls(channel)
        calls.create_model("churn")
        calls.create_model("fraud")
        stream = watch(calls, model=f"{PROJECT}/models/churn")
        begun = next(stream)
        done = threading.Event()

        def create() -> None:
            while not done.is_set():
                calls.create_version("fraud")

        with ThreadPoolExecutor(1) as pool:
            creating = pool.submit(create)
            moved = [next(stream) for _ in range(3)]
            done.set()
            creating.result()
    assert [len(message.events) for message in moved] == [0, 0, 0]
    revisions = [message.revision for message in (begun, *moved)]
    assert revisions == sorted(set(revisions))


def test_a_cursor_from_the_future_is_refused(calls: Calls) -> None:
    """A revision beyond the log is refused with the last revision, not answered with an empty page."""
    calls.create_model("churn")
    for call in (
        lambda: next(watch(calls, after_revision=9)),
        lambda: calls.log.ListEvents(ListEventsRequest(parent=PROJECT, after_revision=9)),
    ):
        with refused("REVISION_IN_FUTURE", grpc.StatusCode.OUT_OF_RANGE) as refusal:
            call()
        assert refusal.metadata == {"revision": "9", "oldest": "1", "newest": "1"}


def test_a_cursor_before_the_beginning_is_refused(calls: Calls) -> None:
    """A revision below zero is refused."""
    with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT):
        next(watch(calls, after_revision=-1))


def test_no_cursor_is_too_old(calls: Calls) -> None:
    """The log is kept from its first event on, also of what was purged: any revision can be resumed from."""
    calls.create_model("churn")
    calls.create_version("churn")
    calls.models.DeleteModel(DeleteModelRequest(name=f"{PROJECT}/models/churn"))
    calls.models.PurgeModel(PurgeModelRequest(name=f"{PROJECT}/models/churn"))
    newest = calls.events()[-1].revision
    for after in range(newest):
        told = events_of(watch(calls, after_revision=after), newest - after)
        assert [event.revision for event in told] == list(range(after + 1, newest + 1))


def test_a_cursor_of_another_log_is_refused(calls: Calls) -> None:
    """Resuming on a registry that was replaced raises LogReplaced, and returns no events of the other log."""
    log_id = next(watch(calls)).log_id
    assert next(watch(calls, after_revision=0, log_id=log_id)).log_id == log_id
    with refused("LOG_REPLACED", grpc.StatusCode.FAILED_PRECONDITION) as refusal:
        next(watch(calls, after_revision=0, log_id="another"))
    assert refusal.metadata == {"log_id": log_id, "oldest": "0", "newest": "0"}
    calls.create_model("churn")
    with refused("LOG_REPLACED", grpc.StatusCode.FAILED_PRECONDITION) as refusal:
        next(watch(calls, after_revision=99, log_id="another"))
    assert refusal.metadata == {"log_id": log_id, "oldest": "1", "newest": "1"}


def test_a_stopping_server_ends_its_watches(calls: Calls, server: Server) -> None:
    """A watch ends with a status that says to resume later, and the server does not wait for its readers."""
    stream = watch(calls)
    next(stream)
    server.stop()
    with refused("STOPPING", grpc.StatusCode.UNAVAILABLE):
        next(stream)


def test_a_watch_may_ask_for_some_events_only(calls: Calls) -> None:
    """A watch of a model, by its present name, or of some kinds receives no other events; its position passes them."""
    for model in ("churn", "fraud"):
        calls.create_model(model)
        calls.create_version(model)
    stream = watch(calls, after_revision=0, model=f"{PROJECT}/models/churn")
    assert [event.revision for event in events_of(stream, 2)] == [1, 2]
    calls.models.RenameModel(RenameModelRequest(name=f"{PROJECT}/models/churn", new_model_id="retention"))
    calls.create_version("fraud")
    calls.set_stage("retention", 1, STAGE_PRODUCTION)
    assert [event.revision for event in events_of(stream, 2)] == [5, 7]
    promotions = watch(calls, after_revision=0, kinds=[event_pb2.EVENT_KIND_STAGE_CHANGED])
    assert [event.revision for event in events_of(promotions, 1)] == [7]
    with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        next(watch(calls, model=f"{PROJECT}/models/none"))
    for wrong in ({"model": "projects/other/models/churn"}, {"kinds": [99]}, {"stages": [99]}, {"stages": [0]}):
        with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT):
            next(watch(calls, **wrong))


def test_a_watch_may_ask_for_some_stages_only(calls: Calls) -> None:
    """A watch of stages receives every move into or out of them, whoever made it, and nothing else."""
    calls.create_model("churn")
    for stage in (STAGE_PRODUCTION, STAGE_STAGING):
        calls.set_stage("churn", calls.create_version("churn").number, stage)
    calls.set_alias("churn", 1, "champion")
    calls.set_stage("churn", 2, STAGE_PRODUCTION, force=True)
    calls.set_stage("churn", calls.create_version("churn").number, STAGE_ARCHIVED)
    calls.models.DeleteModelVersion(DeleteModelVersionRequest(name=f"{PROJECT}/models/churn/versions/2", force=True))
    calls.create_model("last")
    wanted = {
        (STAGE_PRODUCTION,): [3, 7, 8, 11],
        (STAGE_STAGING,): [5, 8],
        (STAGE_PRODUCTION, STAGE_STAGING): [3, 5, 7, 8, 11],
        (STAGE_ARCHIVED,): [7, 10, 11],
    }
    for stages, revisions in wanted.items():
        events = events_of(watch(calls, after_revision=0, stages=stages), len(revisions))
        assert [event.revision for event in events] == revisions
        assert {event.kind for event in events} == {event_pb2.EVENT_KIND_STAGE_CHANGED}
    both = watch(calls, after_revision=0, stages=[STAGE_STAGING], kinds=[event_pb2.EVENT_KIND_STAGE_CHANGED])
    assert [event.revision for event in events_of(both, 2)] == [5, 8]


@pytest.mark.parametrize("readers", [50])
def test_readers_do_not_disturb_each_other(calls: Calls, readers: int) -> None:
    """Each of many watchers receives every event, even beside one that does not read."""
    calls.create_model("churn")
    idle = watch(calls, after_revision=0)
    streams = [watch(calls, after_revision=0) for _ in range(readers)]
    for _ in range(20):
        calls.create_version("churn")
    for stream in streams:
        assert [event.revision for event in events_of(stream, 21)] == list(range(1, 22))
    assert [event.revision for event in events_of(idle, 21)] == list(range(1, 22))


def test_large_pages_come_in_parts(calls: Calls) -> None:
    """A client with the default limit of 4 MiB receives every page, and everything over pages, whatever was written."""
    calls.create_model("churn")
    for index in range(100):
        calls.create_version("churn", description=f"{index:<60000}")
    assert [version.number for version in calls.versions("churn", page_size=1000)] == list(range(100, 0, -1))
    revisions: list[int] = []
    while events := calls.events(after=revisions[-1] if revisions else 0):
        assert sum(event.ByteSize() for event in events) < 2 * 1024 * 1024
        revisions += [event.revision for event in events]
    assert revisions == list(range(1, 102))
    stream = calls.log.Watch(WatchRequest(parent=PROJECT, after_revision=0), timeout=60)
    told: list[int] = []
    while len(told) < 101:
        told += [event.revision for event in next(stream).events]
    assert told == revisions
    stream.cancel()
