"""Every method of the service through both clients."""

import asyncio
import inspect
import itertools
import math
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy
import pytest

from tallymark import AsyncClient, Client, MetricPoint, NewVersion, RunState, Stage, Uri, errors
from tallymark.client.calls import PAGE_SIZE
from tallymark.testing import Server


def test_both_clients_have_the_same_methods() -> None:
    """The clients have the same methods with the same arguments."""
    names = [name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")]
    assert {"get_model", "list_runs", "verify", "export", "export_progress"} <= set(names)
    for name in sorted({*names} - {"after_fork"}):
        one, other = (inspect.signature(getattr(each, name)).parameters for each in (Client, AsyncClient))
        assert one == other, name


def test_models_and_versions_are_created_read_and_listed(client: Any) -> None:
    """Models and versions are created, read by every kind of reference, and listed."""
    created = client.create_model("churn", description="d", license="MIT", tags=["b", "a"])
    assert created == client.get_model("churn")
    assert (created.name, created.tags, created.last_number) == ("churn", ("a", "b"), 0)
    first = client.create_version("churn", "1.0.5", description="first", tags=["t"], metadata={"auc": 0.9})
    assert (first.number, first.name, first.description, first.tags) == (1, "1.0.5", "first", ("t",))
    rest = client.create_versions("churn", [NewVersion(), NewVersion("rc", metadata={"x": 1})])
    assert [(version.number, version.name) for version in rest] == [(2, "2"), (3, "rc")]
    ensured = client.ensure_version("churn", "rc")
    assert (ensured.created, ensured.version) == (False, rest[1])
    references = {"churn": 3, "churn/2": 2, "churn==rc": 3, first.resource_name: 1}
    assert {reference: client.get_version(reference).number for reference in references} == references
    assert [version.number for version in client.list_versions("churn")] == [3, 2, 1]
    assert [model.name for model in client.list_models()] == ["churn"]


def test_stages_and_aliases_are_set_conditionally(client: Any) -> None:
    """Stages and aliases are set with an etag and an expected number."""
    client.create_model("churn")
    first, second = client.create_version("churn"), client.create_version("churn")
    assert client.set_stage("churn/1", Stage.PRODUCTION, etag=first.etag).stage is Stage.PRODUCTION
    with pytest.raises(errors.EtagMismatch):
        client.set_stage("churn/1", "staging", etag=first.etag)
    with pytest.raises(errors.StageOccupied) as caught:
        client.set_stage(second.resource_name, "production")
    assert (caught.value.code, caught.value.reason) == ("FAILED_PRECONDITION", "STAGE_OCCUPIED")
    client.set_stage("churn", "production", force=True, reason="better")
    assert client.get_version("churn@production").number == 2
    assert client.set_alias("churn/1", "champion", expected_number=0).aliases == ("champion",)
    with pytest.raises(errors.AliasMoved):
        client.delete_alias("churn", "champion", expected_number=2)
    assert client.get_version("churn@champion").number == 1
    assert client.delete_alias("churn", "champion").aliases == ()


def test_references_of_all_models_are_read_in_one_call(client: Any) -> None:
    """Latest, production, staging and aliases are read for all models, now and as of the past."""
    client.create_model("churn")
    client.create_versions("churn", [NewVersion()] * 3)
    client.set_stage("churn/2", "production")
    client.set_stage("churn/3", "staging")
    client.set_alias("churn/1", "b")
    client.set_alias("churn/2", "a")
    then = client.newest_revision()
    client.delete_version("churn/3")
    client.delete_alias("churn", "b")
    now, (before,) = client.get_model("churn"), list(client.list_models(at=then))
    assert (now.latest_number, now.production_number, now.staging_number, now.aliases) == (2, 2, 0, {"a": 2})
    assert (before.latest_number, before.production_number, before.staging_number) == (3, 2, 3)
    assert (list(before.aliases.items()), before) == ([("a", 2), ("b", 1)], client.get_model("churn", at=then))
    assert client.update_model("churn", license="MIT").aliases == {"a": 2}
    (created,) = (event.resource for event in client.list_events() if event.kind == "model_created")
    assert (created.latest_number, created.aliases) == (0, {})


def test_validate_only_changes_nothing(client: Any) -> None:
    """With validate_only, the result is that of the change, or its refusal, and the log does not grow."""
    client.create_model("churn")
    client.create_version("churn")
    assert client.newest_revision() == 2
    assert client.create_model("fraud", validate_only=True).name == "fraud"
    assert client.update_model("churn", license="MIT", validate_only=True).license == "MIT"
    assert client.create_version("churn", "rc", validate_only=True).number == 2
    assert client.update_version("churn/1", name="1.0", validate_only=True).name == "1.0"
    assert client.set_stage("churn/1", "production", validate_only=True).stage is Stage.PRODUCTION
    with pytest.raises(errors.ModelExists):
        client.create_model("churn", validate_only=True)
    assert client.newest_revision() == 2


def test_runs_start_and_finish_and_the_log_has_their_events(client: Any) -> None:
    """Runs are started, joined and finished, and the log has an event for each."""
    started = client.start_run("r1", pipeline="training", host="here")
    assert (started.created, client.start_run("r1").created) == (True, False)
    assert client.finish_run("r1", "failed", error="lost").state is RunState.FAILED
    found = client.get_run("r1")
    assert (found.pipeline, found.host, found.error, found.model_version) == ("training", "here", "lost", None)
    assert found.end_time >= found.create_time
    assert list(client.list_runs()) == [found]
    told = list(client.list_events())
    assert [(event.revision, event.kind) for event in told] == [(1, "run_started"), (2, "run_finished")]
    assert told[1].resource == found
    assert list(client.list_events(2)) == []


def test_reads_can_be_as_of_the_past(client: Any) -> None:
    """Runs, steps, artifacts, metrics and lineage can be read at a revision or a time."""
    client.create_model("churn")
    client.create_version("churn")
    client.start_run("r1")
    client.start_step("r1", "s1", name="fit")
    client.ensure_version("churn", "1", run="r1")
    client.link_artifact("churn/1", "data", "s3://a")
    client.log_metrics("churn/1", [MetricPoint("loss", 0, 1.0)])
    *_, last = client.list_events()
    client.log_metrics("churn/1", [MetricPoint("loss", 0, 0.5)])
    client.unlink_artifact("churn/1", "data")
    client.link_artifact("churn/1", "data", "s3://b")
    client.finish_step("r1", "s1", "succeeded")
    client.finish_run("r1", "failed", error="lost")
    client.start_run("r2")
    for at in (last.revision, last.time):
        assert client.get_run("r1", at=at).state is RunState.RUNNING
        assert [run.state for run in client.list_runs(at=at)] == [RunState.RUNNING]
        assert [step.state for step in client.list_steps("r1", at=at)] == [RunState.RUNNING]
        assert client.get_artifact("churn/1", "data", at=at).uri == "s3://a"
        assert [found.uri for found in client.list_artifacts("churn/1", at=at)] == ["s3://a"]
        assert [point.value for point in client.list_metrics("churn/1", "loss", at=at)] == [1.0]
        assert "s3://a" in [node.id for node in client.lineage("churn/1", at=at).nodes]
    assert [point.value for point in client.list_metrics("churn/1", "loss")] == [0.5]
    with pytest.raises(errors.RunNotFound):
        client.get_run("r2", at=last.revision)


def test_lists_follow_pages(client: Any) -> None:
    """A list returns all items, whatever the number of pages."""
    client.create_model("churn")
    count = PAGE_SIZE + 3
    client.create_versions("churn", [NewVersion()] * count)
    assert [version.number for version in client.list_versions("churn")] == list(range(count, 0, -1))
    assert len(list(client.list_events())) == count + 1


def test_a_watch_streams_events(client: Any, server: Server) -> None:
    """Events arrive as they happen, once, also after a restart of the server; a filter is applied."""
    client.create_model("churn")
    events = client.watch(0)
    assert next(events).kind == "model_created"
    with Client(server.address) as other:
        other.create_version("churn")
    assert next(events).resource.number == 1
    server.restart()
    with Client(server.address) as other:
        other.create_model("fraud")
        other.create_versions("churn", [NewVersion()] * 3)
        other.set_stage("churn/2", "production")
    assert [event.revision for event in itertools.islice(events, 5)] == [3, 4, 5, 6, 7]
    promotions = client.watch(0, model="churn", kinds=["stage_changed"])
    assert repr(next(promotions)) == "Event(7 stage_changed ModelVersion(churn No.2 production))"
    moves = client.watch(0, stages=[Stage.PRODUCTION])
    assert next(moves).revision == 7
    with pytest.raises(errors.InvalidField, match="stage_changed"):
        next(client.watch(kinds=["promotion"]))
    with pytest.raises(errors.InvalidField, match="production"):
        next(client.watch(stages=["live"]))
    with pytest.raises(errors.RevisionInFuture) as future:
        next(client.watch(99))
    assert future.value.metadata == {"revision": "99", "oldest": "1", "newest": "7"}


def test_a_watch_reports_its_revision(client: Any) -> None:
    """Messages have the position in the log, with or without events, for programs that store it."""
    client.create_model("churn")
    progress = client.watch_progress(kinds=["version_created"])
    begun = next(progress)
    assert (begun.events, begun.cursor.revision) == ([], 1)
    client.create_model("fraud")
    client.create_version("churn")
    client.create_version("churn")
    told = next(told for told in progress if told.events)
    assert [event.revision for event in told.events] == [told.cursor.revision] == [3]
    assert told.cursor.log_id == begun.cursor.log_id
    assert next(client.watch(told.cursor.revision, log_id=told.cursor.log_id)).revision == 4
    with pytest.raises(errors.LogReplaced) as replaced:
        next(client.watch(1, log_id="another"))
    assert replaced.value.metadata == {"log_id": told.cursor.log_id, "oldest": "1", "newest": "4"}


def test_a_watch_reports_a_lost_connection(client: Any, server: Server) -> None:
    """The callback gets the reason, and the watch continues when the service is back."""
    lost: list[errors.Unavailable] = []
    progress = client.watch_progress(on_lost=lost.append)
    assert (next(progress).events, lost) == ([], [])
    server.kill()
    server.start()
    assert next(progress).events == []
    assert lost
    assert "tallymark serve" in str(lost[0])


def test_a_watch_ends_when_its_client_is_closed(server: Server) -> None:
    """Closing the client in another thread ends a waiting watch, also while the server is down."""
    for away in (False, True):
        client = Client(server.address)
        begun, seen = threading.Event(), list[Any]()

        def watch(client: Client = client, begun: threading.Event = begun, seen: list[Any] = seen) -> None:
            for told in client.watch_progress():
                seen.append(told)
                begun.set()

        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            assert begun.wait(30)
            if away:
                server.stop()
            client.close()
            assert watching.result(30) is None
        assert [told.events for told in seen] == [[]]


async def test_an_asyncio_watch_ends_when_its_client_is_closed(server: Server) -> None:
    """Closing the client ends the watch of another task without cancelling the task; cancelling it cancels it."""
    client = AsyncClient(server.address)
    begun = asyncio.Event()

    async def watch() -> str:
        async for _ in client.watch_progress():
            begun.set()
        return "ended"

    watching = asyncio.create_task(watch())
    await asyncio.wait_for(begun.wait(), 30)
    await client.close()
    assert await asyncio.wait_for(watching, 30) == "ended"
    begun.clear()
    watching = asyncio.create_task(watch())
    await asyncio.wait_for(begun.wait(), 30)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    await client.close()


def test_metadata_keep_their_types(client: Any) -> None:
    """Python's values, and scalars of numpy, are returned with the same meaning; times in UTC."""
    client.create_model("churn")
    moment = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=timezone(timedelta(hours=2)))
    written = {
        "int": 3,
        "float": 0.1,
        "bool": True,
        "text": "é",
        "time": moment,
        "uri": Uri("s3://bucket/key"),
        "list": [1, "a", [False]],
        "tuple": (1, 2),
        "map": {"a": {"b": 1.5}},
        "float32": numpy.float32(0.5),
        "int64": numpy.int64(7),
        "bool_": numpy.bool_(False),
        "array": numpy.array(2.5),
        "inf": math.inf,
    }
    found = dict(client.create_version("churn", metadata=written).metadata)
    expected = {**written, "tuple": [1, 2], "float32": 0.5, "int64": 7, "bool_": False, "array": 2.5}
    assert found == expected
    assert type(found["bool_"]) is bool
    assert [type(found[key]) for key in ("int", "float", "int64", "float32")] == [int, float, int, float]
    assert isinstance(found["uri"], Uri)
    assert not isinstance(found["text"], Uri)
    assert found["time"].tzinfo is UTC
    nan = client.log_metadata("churn/1", {"nan": math.nan}).metadata["nan"]
    assert math.isnan(nan)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (0, int),
        (-0.0, float),
        (2**53, int),
        (-(2**53), int),
        (2**53 + 1, int),
        (-(2**63) + 1, int),
        (2**63 - 1, int),
        (2**60, float),
        (1e300, float),
        (0.5, float),
        (2.0, int),
    ],
    ids=str,
)
def test_numbers_are_unchanged(client: Any, value: float, kind: type) -> None:
    """A number is returned with its value and sign, as an int if it is integral and not very large."""
    client.create_model("churn")
    found = client.create_version("churn", metadata={"value": value}).metadata["value"]
    assert (found, math.copysign(1, found)) == (value, math.copysign(1, value))
    assert type(found) is kind


@pytest.mark.parametrize(
    "value",
    [object(), iter([1]), numpy.zeros(1001), "a\ud800", [object()], {"a": object()}, 1 << 20_000],
    ids=lambda value: type(value).__name__,
)
def test_an_unsupported_value_is_refused(client: Any, value: Any) -> None:
    """A value of an unsupported type or size is refused before any request, with its key."""
    client.create_model("churn")
    client.create_version("churn")
    with pytest.raises(errors.InvalidField, match=r"^metadata\['wrong'\]"):
        client.log_metadata("churn/1", {"wrong": value})


def test_resources_have_a_readable_repr(client: Any) -> None:
    """The repr describes the resource, without a request."""
    assert repr(client.create_model("churn")) == "ModelInfo(churn, 0 versions)"
    assert repr(client.create_version("churn", "rc")) == "ModelVersion(churn No.1 'rc')"
    assert repr(client.start_run("r1", pipeline="p").run) == "Run(r1 'p' running)"
    assert repr(next(iter(client.list_events(2)))) == "Event(3 run_started Run(r1 'p' running))"


def test_a_client_is_shared_by_threads(server: Server) -> None:
    """Many threads can use one client at the same time."""
    client = Client(server.address)
    client.create_model("churn")
    barrier = threading.Barrier(8)

    def create(_: int) -> int:
        barrier.wait(30)
        return client.create_version("churn").number

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(create, range(8))) == list(range(1, 9))


def test_a_client_can_be_pickled(server: Server) -> None:
    """A pickled client uses the same registry, with a connection of its own."""
    client = Client(server.address, actor="ana")
    client.create_model("churn")
    again = pickle.loads(pickle.dumps(client))
    assert again.get_model("churn").creator == "ana"
    assert repr(again) == f"Client({server.address!r}, project='default')"
