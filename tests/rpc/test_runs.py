"""Runs over gRPC."""

from typing import Any

import grpc
import pytest
from grpc_calls import PROJECT, Calls, refused

from tallymark.v1 import model_pb2, run_pb2, run_registry_pb2
from tallymark.v1.model_pb2 import RUN_STATE_FAILED, RUN_STATE_RUNNING, RUN_STATE_SUCCEEDED


def config(version: str = "") -> model_pb2.ModelConfig:
    return model_pb2.ModelConfig(model="churn", version=version)


def test_a_run_is_started_with_its_version(calls: Calls) -> None:
    """StartRun creates the version that the pipeline's model means together with the run."""
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
    """StartRun with the id of a running run joins it, and returns the version that the config means in it."""
    first = calls.start_run("r1", config())
    joined = calls.start_run("r1", config(), pipeline="other")
    assert (joined.created, joined.run, joined.model_version) == (False, first.run, first.model_version)
    without = calls.start_run("r1")
    assert (without.created, without.model_version) == (False, first.model_version)
    other = calls.start_run("r1", config("rc"))
    assert (other.created, other.model_version.number) == (False, 2)


@pytest.mark.parametrize("version", ["", "rc"])
def test_a_repeated_start_is_answered_as_the_first(calls: Calls, version: str) -> None:
    """The same request_id returns the same run and version, and again that it started the run."""
    first = calls.start_run("r1", config(version), request_id="one")
    assert calls.start_run("r1", config(version), request_id="one") == first
    joined = calls.start_run("r1", config("late"), request_id="two")
    assert calls.start_run("r1", config("late"), request_id="two") == joined


def test_a_run_finishes_once(calls: Calls) -> None:
    """A run keeps its outcome: finishing it again with the same one is no error, with another one it is."""
    calls.start_run("r1", config())
    finished = calls.finish_run("r1", RUN_STATE_FAILED, "step fit: ValueError: no data")
    assert (finished.state, finished.error) == (RUN_STATE_FAILED, "step fit: ValueError: no data")
    assert finished.HasField("end_time")
    assert calls.finish_run("r1", RUN_STATE_FAILED) == finished
    with refused("RUN_FINISHED", grpc.StatusCode.FAILED_PRECONDITION) as refusal:
        calls.finish_run("r1", RUN_STATE_SUCCEEDED)
    assert refusal.metadata == {"project": "default", "run": "r1", "state": "failed"}


def test_a_failed_run_keeps_its_version(calls: Calls) -> None:
    """The version of a failed run is kept."""
    made = calls.start_run("r1", config()).model_version
    calls.finish_run("r1", RUN_STATE_FAILED, "out of memory")
    kept = calls.version("churn", "1")
    assert (kept.name, kept.create_revision, kept.run_state) == (made.name, made.create_revision, RUN_STATE_FAILED)


def test_a_long_error_is_kept_as_far_as_it_goes(calls: Calls) -> None:
    """More than 65,535 bytes of error are cut, not refused."""
    calls.start_run("r1")
    assert calls.finish_run("r1", RUN_STATE_FAILED, "é" * 40_000).error == "é" * 32_767


@pytest.mark.sqlite_only
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


def steps(calls: Calls, run: str, page_size: int = 2) -> list[run_pb2.RunStep]:
    found: list[run_pb2.RunStep] = []
    token = ""
    while True:
        request = run_registry_pb2.ListStepsRequest(
            parent=f"{PROJECT}/runs/{run}", page_size=page_size, page_token=token
        )
        page = calls.runs.ListSteps(request)
        found.extend(page.steps)
        token = page.next_page_token
        if not token:
            return found


def start_step(calls: Calls, step: str, run: str = "r1", request_id: str = "", **fields: Any) -> run_pb2.RunStep:
    request = run_registry_pb2.StartStepRequest(
        parent=f"{PROJECT}/runs/{run}", step_id=step, step=run_pb2.RunStep(**fields), request_id=request_id
    )
    return calls.runs.StartStep(request)


def finish_step(calls: Calls, step: str, state: model_pb2.RunState.ValueType, error: str = "") -> run_pb2.RunStep:
    name = f"{PROJECT}/runs/r1/steps/{step}"
    return calls.runs.FinishStep(run_registry_pb2.FinishStepRequest(name=name, state=state, error=error))


def test_a_run_tells_where_and_with_what_it_ran(calls: Calls) -> None:
    """Parameters, commit, host, user and the orchestrator's address are returned as they were recorded."""
    run = run_pb2.Run(
        pipeline="training", host="gpu-1", user="ana", commit="a81f3c9-dirty", url="https://ci/1",
        parameters={"lr": model_pb2.MetadataValue(number=0.1)},
    )  # fmt: skip
    request = run_registry_pb2.StartRunRequest(parent=PROJECT, run_id="r1", run=run)
    started = calls.runs.StartRun(request).run
    assert (started.host, started.user, started.commit, started.url) == (
        "gpu-1",
        "ana",
        "a81f3c9-dirty",
        "https://ci/1",
    )
    assert started.parameters == run.parameters
    assert calls.run("r1") == started == calls.events()[-1].run


def test_steps_are_recorded_with_their_outcome(calls: Calls) -> None:
    """Each step has its name, version, parameters, times and outcome, in the order in which steps were started."""
    calls.start_run("r1", config())
    calls.create_version("churn", "other")
    start_step(calls, "s1", display_name="fit", model_version=f"{PROJECT}/models/churn/versions/=other")
    start_step(calls, "s2", display_name="check", parameters={"n": model_pb2.MetadataValue(number=3)})
    start_step(calls, "s3", display_name="fit")
    finish_step(calls, "s2", RUN_STATE_FAILED, "ValueError: no data")
    finish_step(calls, "s1", RUN_STATE_SUCCEEDED)
    first, second, third = steps(calls, "r1")
    assert [step.display_name for step in (first, second, third)] == ["fit", "check", "fit"]
    assert [step.state for step in (first, second, third)] == [RUN_STATE_SUCCEEDED, RUN_STATE_FAILED, RUN_STATE_RUNNING]
    assert (first.model_version, second.model_version) == (f"{PROJECT}/models/churn/versions/2", "")
    assert (second.error, second.parameters["n"].number) == ("ValueError: no data", 3)
    assert (first.HasField("end_time"), third.HasField("end_time")) == (True, False)
    assert calls.events()[-1].run_step == first


def test_a_step_starts_and_finishes_once(calls: Calls) -> None:
    """A repeated start or finish changes nothing; another outcome, and a missing step or run, are refused."""
    calls.start_run("r1")
    first = start_step(calls, "s1", display_name="fit", request_id="one")
    assert start_step(calls, "s1", display_name="else") == first
    assert start_step(calls, "s1", display_name="fit", request_id="one") == first
    finished = finish_step(calls, "s1", RUN_STATE_SUCCEEDED)
    assert finish_step(calls, "s1", RUN_STATE_SUCCEEDED) == finished
    with refused("STEP_FINISHED", grpc.StatusCode.FAILED_PRECONDITION) as refusal:
        finish_step(calls, "s1", RUN_STATE_FAILED)
    assert refusal.metadata == {"project": "default", "run": "r1", "step": "s1", "state": "succeeded"}
    with refused("STEP_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        finish_step(calls, "s2", RUN_STATE_FAILED)
    for ask in (lambda: start_step(calls, "s1", run="none"), lambda: steps(calls, "none")):
        with refused("RUN_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
            ask()
    with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT):
        finish_step(calls, "s1", RUN_STATE_RUNNING)


def test_runs_are_filtered_and_ordered(calls: Calls) -> None:
    """Filters accept every field, and parameters by their key; running runs are last in the order by end."""
    for run, rate in (("a", 0.1), ("b", 0.3), ("c", 0.2)):
        parameters = {"lr": model_pb2.MetadataValue(number=rate)}
        told = run_pb2.Run(pipeline="training", host=f"gpu-{run}", parameters=parameters)
        calls.runs.StartRun(run_registry_pb2.StartRunRequest(parent=PROJECT, run_id=run, run=told))
    calls.finish_run("b", RUN_STATE_SUCCEEDED)
    calls.finish_run("a", RUN_STATE_FAILED, "lost")

    def found(**fields: Any) -> str:
        request = run_registry_pb2.ListRunsRequest(parent=PROJECT, **fields)
        return "".join(run.name[-1] for run in calls.runs.ListRuns(request).runs)

    assert found(filter="state = failed AND error:lost") == "a"
    assert found(filter="state = running OR parameters.lr > 0.25") == "cb"
    assert found(filter='host = "gpu-*" AND NOT run = c') == "ba"
    assert found(order_by="parameters.lr desc") == "bca"
    assert found(order_by="end_time") == "bac"
