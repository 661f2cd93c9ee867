"""Steps, parameters, environment and metrics that the decorators record."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import pytest

from tallymark import (
    AsyncClient,
    Client,
    MetricPoint,
    Model,
    RunState,
    current_model,
    current_run,
    log_metadata,
    log_metric,
    pipeline,
    step,
)
from tallymark.errors import InvalidArgument, NotFound, Unavailable
from tallymark.testing import Server


def test_a_run_has_steps_and_parameters(registry_env: Server) -> None:
    """Each step has its name, outcome, version and parameters, with integers as such; the run has the pipeline's."""
    own = Model("own", "1.0")

    @step(model=own)
    def prepare(rows: int, *, shuffle: bool = True, frame: object = None, seed: int = 2**64 + 1) -> int:
        return rows

    @step
    def fit(rate: object = numpy.float32(0.5), layers: tuple[int, ...] = (3, 2), data: Path = Path("a.csv")) -> None:
        raise ValueError("no data")

    @pipeline(model=Model("churn"))
    def training(kind: str) -> None:
        prepare(5, frame=object())
        fit()

    with pytest.raises(ValueError, match="no data"):
        training("nightly")
    with Client() as client:
        (run,) = client.list_runs(filter='parameters.kind = "nightly"')
        first, second = client.list_steps(run.id)
    assert (run.pipeline, run.state, run.error) == ("training", RunState.FAILED, "step fit: ValueError: no data")
    assert (first.name, first.state) == ("prepare", RunState.SUCCEEDED)
    # An integer beyond 64 bits is recorded as text.
    assert first.parameters == {"rows": 5, "shuffle": True, "frame": "object", "seed": "18446744073709551617"}
    rows = first.parameters["rows"]
    assert isinstance(rows, int)
    assert range(rows)
    assert first.model_version == own.id
    assert (second.name, second.state, second.error) == ("fit", RunState.FAILED, "ValueError: no data")
    assert second.parameters == {"rate": 0.5, "layers": [3, 2], "data": "a.csv"}
    assert second.model_version == run.model_version


def test_a_run_has_its_environment(registry_env: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Host, user, the commit with or without changes, and the URL of the orchestrator's page are recorded."""
    for variable in ("GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT", "GITHUB_RUN_ID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYMARK_RUN_URL", "https://airflow/runs/7")
    (tmp_path / "code.py").write_text("1")
    who = ["-c", "user.name=ana", "-c", "user.email=ana@example.com"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()

    @pipeline
    def training() -> None: ...

    training()
    (tmp_path / "code.py").write_text("2")
    training()
    monkeypatch.setenv("GITHUB_SHA", "a81f3c9")
    training()
    with Client() as client:
        runs = list(client.list_runs())
    assert [run.commit for run in runs] == ["a81f3c9", f"{commit}-dirty", commit]
    assert {run.url for run in runs} == {"https://airflow/runs/7"}
    assert all(run.host and run.user for run in runs)


def test_a_series_is_sent_in_batches_and_complete(registry_env: Server) -> None:
    """Ten thousand points of several threads are in the registry at the end of the run, in few requests."""
    model = Model("churn")

    @pipeline(model=model)
    def training() -> None:
        def measure(part: int) -> None:
            for index in range(2500):
                current_model().log_metric("loss", 1 / (index + 1), step=part * 2500 + index)

        threads = [threading.Thread(target=measure, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        log_metric("auc", 0.5, step=0)
        log_metric("auc", 0.75, step=1)
        assert model.metadata["auc"] == 0.75

    training()
    with Client() as client:
        version = client.get_version("churn")
        assert version.series == {"loss": 9999, "auc": 1}
        assert [point.step for point in client.list_metrics("churn", "loss")] == list(range(10_000))
        told = list(client.history("churn/1", kinds=["metrics_logged"]))
    assert len(told) < 100


def test_points_outside_a_run_are_sent_when_the_program_ends(registry_env: Server) -> None:
    """They are sent at exit."""
    program = "from tallymark import Model; m = Model('churn'); [m.log_metric('loss', i, step=i) for i in range(5)]"
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ.copy())
    with Client() as client:
        assert [point.value for point in client.list_metrics("churn")] == [0, 1, 2, 3, 4]


def test_a_training_continues_without_its_registry(
    registry_env: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When the registry stops, the training continues, and its log says where the records are."""
    monkeypatch.setenv("TALLYMARK_TIMEOUT", "0.5")

    @step
    def fit(epoch: int) -> None:
        log_metric("loss", 0.5, step=epoch)

    @pipeline(model=Model("churn"))
    def training() -> str:
        fit(0)
        registry_env.stop()
        for epoch in range(1, 50):
            fit(epoch)
        log_metadata({"rows": 7})
        log_metric("auc", 0.9)
        return "trained"

    assert training() == "trained"
    (kept,) = [record.getMessage() for record in caplog.records if "tallymark sync" in record.getMessage()]
    assert re.search(r"run \S+: 1\d\d records are kept in \S+/spool/", kept)
    with pytest.raises(Unavailable):
        Model("churn", version=1).log_metadata({"rows": 7})


def test_a_metric_without_a_step_has_no_series(registry_env: Server) -> None:
    """It is a number of the version."""
    model = Model("churn")
    model.log_metric("auc", numpy.float32(0.5))  # type: ignore[arg-type]  # no float - but a number
    model.log_metric("loss", 2, step=7)
    assert model.metadata == {"auc": 0.5, "loss": 2}
    assert model.info.series == {"loss": 7}


@pytest.mark.parametrize(
    ("key", "value", "at"),
    [
        *[(5, 1.0, 1), ("loss", 1.0, -1), ("loss", 1.0, 1.5), ("loss", 1.0, "1"), ("loss", 1.0, True)],
        *[
            ("loss", "0.5", 1),
            ("loss", None, 1),
            ("loss", True, 1),
            ("loss", 10**400, 1),
            ("loss", [1.0], 1),
            (5, 1.0, None),
            ("loss", "0.5", None),
        ],
    ],
)
def test_a_bad_point_is_refused_where_it_is_logged(registry_env: Server, key: Any, value: Any, at: Any) -> None:
    """It is not refused only when it is sent."""
    with pytest.raises(InvalidArgument, match="log_metric"):
        Model("churn").log_metric(key, value, step=at)


def test_a_named_version_is_linked_to_each_run_that_uses_it(registry_env: Server) -> None:
    """That is so for each run in which it is in force, also in one process."""
    with Client() as client:
        client.create_model("churn")
        client.create_version("churn", "gold")
        fixed = Model("churn", "gold")

        @pipeline(model=fixed)
        def predict() -> str:
            return current_run()

        runs = [predict(), predict()]
        assert [run.id for run in client.list_runs(version="churn==gold")] == runs[::-1]
    assert fixed.number == 1


@pytest.fixture
def story(registry_env: Server) -> Iterator[Client]:
    """A model with all kinds of records; its second revision is the first of its version."""
    with Client() as client:
        client.create_model("churn", metadata={"owner": "ana"})
        client.create_version("churn", metadata={"auc": 0.5})
        client.set_stage("churn/1", "production", reason="first")
        client.start_run("r1", pipeline="training", user="ana", commit="abc", url="https://x", parameters={"lr": 0.1})
        client.start_step("r1", "s1", name="fit", version="churn/1", parameters={"n": 1})
        client.finish_step("r1", "s1", "failed", error="lost")
        client.log_metrics("churn/1", [MetricPoint("loss", 1, 0.5, datetime(2026, 1, 1, tzinfo=UTC))] * 1500)
        client.link_artifact("churn/1", "data", "s3://data", role="used", run="r1", step="fit")
        client.update_version("churn/1", metadata={"auc": 0.9})
        client.update_model("churn", metadata={})
        yield client


QUESTIONS: dict[str, tuple[str, tuple[object, ...], dict[str, object]]] = {
    "model then": ("get_model", ("churn",), {"at": 2}),
    "version at a time": ("get_version", ("churn",), {"at": datetime(2100, 1, 1, tzinfo=UTC)}),
    "models": ("list_models", (), {"order_by": "name desc", "at": 2}),
    "versions then": (
        "list_versions",
        ("churn",),
        {"order_by": "metadata.auc", "filter": "metadata.auc > 0.1", "at": 2},
    ),
    "metrics": ("list_metrics", ("churn", "loss"), {}),
    "artifacts": ("list_artifacts", ("churn",), {"filter": "role = used"}),
    "artifact": ("get_artifact", ("churn", "data@1"), {}),
    "upstream": ("lineage", ("churn",), {"direction": "upstream", "depth": 2}),
    "of a run": ("lineage", (), {"run": "r1"}),
    "runs": ("list_runs", (), {"filter": "state = running", "order_by": "parameters.lr desc"}),
    "steps": ("list_steps", ("r1",), {}),
    "moves": ("history", ("churn",), {"kinds": ["stage_changed"]}),
    "history": ("history", ("churn/1",), {}),
}


def asked_of(client: Client, question: str) -> Any:
    name, args, kwargs = QUESTIONS[question]
    found = getattr(client, name)(*args, **kwargs)
    return list(found) if hasattr(found, "__next__") else found


@pytest.mark.parametrize("question", QUESTIONS)
async def test_both_clients_return_the_same(story: Client, question: str) -> None:
    """That covers artifacts, metrics, steps, lineage, history and reads of the past."""
    name, args, kwargs = QUESTIONS[question]
    async with AsyncClient() as client:
        answer = getattr(client, name)(*args, **kwargs)
        found = [item async for item in answer] if hasattr(answer, "__anext__") else await answer
    assert found == asked_of(story, question)
    assert found


def test_reads_of_the_past_return_earlier_states(story: Client) -> None:
    """By revision or time, metadata of model and version are those of then; a history has its reasons."""
    assert asked_of(story, "model then").metadata == {"owner": "ana"}
    assert asked_of(story, "versions then")[0].metadata == {"auc": 0.5}
    assert story.get_version("churn").metadata == {"auc": 0.9, "loss": 0.5}
    assert [event.reason for event in asked_of(story, "moves")] == ["first"]


async def test_unlinked_and_purged_things_are_gone(story: Client) -> None:
    """That is an artifact that is unlinked, and a version that is purged."""
    async with AsyncClient() as client:
        await client.unlink_artifact("churn", "data")
        assert asked_of(story, "artifacts") == []
        await client.delete_version("churn/1", force=True)
        await client.purge_version("churn/1")
    with pytest.raises(NotFound):
        story.get_version("churn/1", show_deleted=True)


def test_invalid_reads_are_refused(story: Client) -> None:
    """That is an invalid time, an invalid direction, and two start points."""
    anything: Any = story
    for bad in ("yesterday", True):
        with pytest.raises(InvalidArgument, match="revision or a datetime"):
            anything.get_model("churn", at=bad)
    with pytest.raises(InvalidArgument, match="name one of both, upstream, downstream"):
        story.lineage("churn", direction="sideways")
    with pytest.raises(InvalidArgument, match="name one of them"):
        story.lineage("churn", run="r1")


def test_an_unreachable_registry_fails_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipeline does not start if its version cannot get a number."""
    monkeypatch.setenv("TALLYMARK_URL", "127.0.0.1:1")
    monkeypatch.setenv("TALLYMARK_TIMEOUT", "0.2")
    begun = []

    @pipeline(model=Model("churn"))
    def training() -> None:
        begun.append(1)

    with pytest.raises(Unavailable):
        training()
    assert begun == []
