"""Runs over gRPC."""

import grpc
import pytest
from calling import PROJECT, Calls, refused

from tallymark.v1 import model_pb2, run_registry_pb2
from tallymark.v1.run_pb2 import RUN_STATE_FAILED, RUN_STATE_RUNNING, RUN_STATE_SUCCEEDED


def config(version: str = "") -> model_pb2.ModelConfig:
    return model_pb2.ModelConfig(model="churn", version=version)


def test_a_run_is_started_with_its_version(calls: Calls) -> None:
    """The version that the pipeline's model means is created in the same step as the run."""
    started = calls.start_run("r1", config())
    assert started.created
    assert started.run == calls.run("r1")
    assert (started.run.pipeline, started.run.state) == ("training", RUN_STATE_RUNNING)
    assert started.run.model_version == started.model_version.name == f"{PROJECT}/models/churn/versions/1"
    assert calls.ensure("churn", run="r1").model_version == started.model_version


def test_a_refused_run_leaves_nothing(calls: Calls) -> None:
    """When the version is refused, neither run nor model is left behind."""
    for version, reason, code in (
        ("Production", "RESERVED_NAME", grpc.StatusCode.INVALID_ARGUMENT),
        ("production", "MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND),
    ):
        with refused(reason, code):
            calls.start_run("r1", config(version))
    with refused("RUN_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.run("r1")
    assert calls.events() == []


def test_a_run_started_before_is_joined(calls: Calls) -> None:
    """Whoever starts a run of the same id joins it, and gets the version that the config means in it."""
    first = calls.start_run("r1", config())
    joined = calls.start_run("r1", config(), pipeline="other")
    assert (joined.created, joined.run, joined.model_version) == (False, first.run, first.model_version)
    without = calls.start_run("r1")
    assert (without.created, without.model_version) == (False, first.model_version)
    other = calls.start_run("r1", config("rc"))
    assert (other.created, other.model_version.number) == (False, 2)


@pytest.mark.parametrize("version", ["", "rc"])
def test_a_repeated_start_is_answered_as_the_first(calls: Calls, version: str) -> None:
    """The same request_id gets the same run and version, and still hears that it started the run."""
    first = calls.start_run("r1", config(version), request_id="one")
    assert calls.start_run("r1", config(version), request_id="one") == first
    joined = calls.start_run("r1", config("late"), request_id="two")
    assert calls.start_run("r1", config("late"), request_id="two") == joined


def test_a_run_finishes_once(calls: Calls) -> None:
    """The outcome stays; saying the same again is no error, saying another is."""
    calls.start_run("r1", config())
    finished = calls.finish_run("r1", RUN_STATE_FAILED, "step fit: ValueError: no data")
    assert (finished.state, finished.error) == (RUN_STATE_FAILED, "step fit: ValueError: no data")
    assert finished.HasField("end_time")
    assert calls.finish_run("r1", RUN_STATE_FAILED) == finished
    with refused("RUN_FINISHED", grpc.StatusCode.FAILED_PRECONDITION) as refusal:
        calls.finish_run("r1", RUN_STATE_SUCCEEDED)
    assert refusal.metadata == {"project": "default", "run": "r1", "state": "failed"}


def test_a_failed_run_keeps_its_version(calls: Calls) -> None:
    """What a run has made outlives its failure."""
    made = calls.start_run("r1", config()).model_version
    calls.finish_run("r1", RUN_STATE_FAILED, "out of memory")
    assert calls.version("churn", "1") == made


def test_a_long_error_is_kept_as_far_as_it_goes(calls: Calls) -> None:
    """More than 65,535 bytes of error are cut, not refused."""
    calls.start_run("r1")
    assert calls.finish_run("r1", RUN_STATE_FAILED, "é" * 40_000).error == "é" * 32_767


@pytest.mark.parametrize("run", ["", "a b", "a/b", "é", "x" * 101])
def test_a_run_id_is_plain(calls: Calls, run: str) -> None:
    """A run's id must fit into a path and an environment variable."""
    with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT):
        calls.start_run(run)


def test_a_run_finishes_as_succeeded_or_failed(calls: Calls) -> None:
    """A run cannot be finished as running."""
    calls.start_run("r1")
    with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT):
        calls.finish_run("r1", RUN_STATE_RUNNING)
    with refused("RUN_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        calls.finish_run("r2", RUN_STATE_SUCCEEDED)


def test_runs_are_listed_from_the_last_started(calls: Calls) -> None:
    """Pages hold every run once, whatever happened to it since."""
    for run in ("b", "a", "c"):
        calls.start_run(run)
    calls.finish_run("b", RUN_STATE_SUCCEEDED)
    found: list[str] = []
    token = ""
    while True:
        request = run_registry_pb2.ListRunsRequest(parent=PROJECT, page_size=2, page_token=token)
        page = calls.runs.ListRuns(request)
        found.extend(run.name.rsplit("/", 1)[1] for run in page.runs)
        token = page.next_page_token
        if not token:
            break
    assert found == ["c", "a", "b"]
