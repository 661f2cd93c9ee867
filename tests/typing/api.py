"""How the public API is typed: what passes, and what must not.

Checked by mypy --strict, which reports an ignore that ignores nothing as an error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, assert_type

import tallymark
from tallymark import (
    Artifact,
    ArtifactInfo,
    AsyncClient,
    Checkpoint,
    Client,
    Heartbeat,
    Lineage,
    MetricPoint,
    Model,
    ModelVersion,
    Project,
    Proof,
    RecordingProblem,
    Run,
    RunContext,
    RunState,
    Stage,
    bind,
    configure,
    current_model,
    log_metric,
    log_metrics,
    pipeline,
    step,
)
from tallymark.serving import afollow, follow

model = Model(name="churn", version="1.0.5", tags=["growth"])


@step
def bare(x: int, *, rate: float = 0.1) -> str:
    return f"{x} {rate}"


@step(model=model, name="fit")
def with_arguments(x: int) -> str:
    return str(x)


@step(model=model)
async def awaited(x: int) -> str:
    return str(x)


@step
def generated(x: int) -> Iterator[int]:
    yield x


@pipeline(model=model, substitutions={"kind": "nightly"})
async def generated_async(x: int) -> AsyncIterator[int]:
    yield x


@step
def annotated(x: int) -> Annotated[list[int], Artifact("numbers", format="json")]:
    return [x]


@step(parameters=["x"])
def named(x: int) -> str:
    return str(x)


@step(parameters=False)
def unnamed(x: int) -> str:
    return str(x)


@pipeline(model=model, parameters=True)
def training_pipeline(x: int) -> None: ...


class Trainer:
    @step(model=model)
    def fit(self, x: int) -> Trainer:
        del x
        return self

    @classmethod
    @step
    def made(cls) -> Trainer:
        return cls()


def results() -> None:
    assert_type(bare(1, rate=0.5), str)
    assert_type(with_arguments(1), str)
    waiting: list[Coroutine[Any, Any, str]] = [awaited(1)]
    assert_type(waiting.pop(), Coroutine[Any, Any, str])  # type: ignore[unused-coroutine]
    assert_type(generated(1), Iterator[int])
    assert_type(generated_async(1), AsyncIterator[int])
    assert_type(annotated(1), list[int])
    assert_type(Trainer().fit(1), Trainer)
    assert_type(Trainer.made(), Trainer)
    assert_type(named(1), str)
    assert_type(unnamed(1), str)
    bound: Callable[[int], str] = bind(with_arguments)
    assert_type(bound(1), str)
    training_pipeline(1)


def wrong_arguments() -> None:
    bare("1")  # type: ignore[arg-type]
    bare(1, 0.5)  # type: ignore[call-arg]
    with_arguments()  # type: ignore[call-arg]
    Trainer().fit("1")  # type: ignore[arg-type]
    training_pipeline(x="1")  # type: ignore[arg-type]
    step(model="churn")  # type: ignore[call-overload]
    step(3)  # type: ignore[call-overload]
    step(parameters=3)  # type: ignore[call-overload]
    pipeline(parameters=[3])  # type: ignore[list-item]
    bind(with_arguments)("1")  # type: ignore[arg-type]
    Model()  # type: ignore[call-arg]
    Model("churn", 1.5)  # type: ignore[arg-type]
    Model("churn", license=1)  # type: ignore[arg-type]


def models() -> None:
    assert_type(model.number, int)
    assert_type(model.version_name, str)
    assert_type(model.stage, Stage)
    assert_type(model.info, ModelVersion)
    assert_type(current_model(), Model)
    assert_type(Model("churn", Stage.PRODUCTION).set_stage("archived", reason="old"), ModelVersion)
    model.number = 3  # type: ignore[misc]
    assert_type(model.artifacts, list[ArtifactInfo])
    assert_type(model.save("weights", b""), ArtifactInfo | None)
    assert_type(model.log_model(object()), ArtifactInfo | None)
    assert_type(model.download("weights", "folder", force=True), Path)
    model.log_metric("loss", 0.5, step=1)
    model.log_metric("loss", 0.5, step="1")  # type: ignore[arg-type]
    log_metric("loss", "low", step=1)  # type: ignore[arg-type]
    model.log_metrics({"loss": 0.5, "epochs": 3}, step=1)
    log_metrics({"loss": 0.5}, step="1")  # type: ignore[arg-type]
    assert_type(model.create(description="first", tags=["a"], metadata={"auc": 0.9}), ModelVersion)
    model.create("first")  # type: ignore[call-arg]
    model.set_stage("production", allow_unfinished_run=True, reason="only the report failed")
    Artifact("plot", optional=True)
    configure(trusted_types=["my_package.*"])
    configure(mode="offline", spool="/var/spool/tallymark", heartbeat_timeout=30)
    Artifact(3)  # type: ignore[arg-type]


def runs() -> None:
    with tallymark.run(model=model, name="nightly", parameters={"depth": 3}, substitutions={"kind": "svc"}) as run:
        assert_type(run, RunContext)
        assert_type(run.id, str)
        assert_type(run.model, Model | None)
        assert_type(run.version, ModelVersion)
        assert_type(run.number, int)
        assert_type(run.save("weights", b""), ArtifactInfo | None)
        run.log_metric("loss", 0.5, step=1)
        run.log_metrics({"loss": 0.5}, step="1")  # type: ignore[arg-type]
        run.log_metadata({"kind": "svc"})
    assert_type(tallymark.run(id="job-42").start(), RunContext)
    run.finish(ValueError("bad"))
    run.finish("bad")  # type: ignore[arg-type]
    tallymark.run(model="churn")  # type: ignore[arg-type]
    tallymark.run(model)  # type: ignore[call-arg]


async def runs_async() -> None:
    async with tallymark.run(model=model) as run:
        assert_type(run, RunContext)


def versions(version: ModelVersion) -> None:
    assert_type(version.artifacts, list[ArtifactInfo])
    assert_type(version.download("weights", "models"), Path)
    assert_type(version.set_stage(Stage.PRODUCTION, force=True, reason="best"), ModelVersion)
    assert_type(version.set_alias("champion", expected_number=0), ModelVersion)
    version.load()  # type: ignore[call-arg]
    version.set_stage("production", True)  # type: ignore[call-arg]


def clients() -> None:
    with Client("127.0.0.1:50051", project="default") as client:
        assert_type(client.get_version("churn@production"), ModelVersion)
        assert_type(client.list_versions("churn"), Iterator[ModelVersion])
        client.set_stage("churn", "production", True)  # type: ignore[call-arg]
        started = client.start_run("r", start_time=datetime.now(UTC), heartbeat_timeout=timedelta(seconds=90))
        assert_type(started.run.heartbeat_timeout, timedelta | None)
        assert_type(started.run.recording_problems, tuple[RecordingProblem, ...])
        assert_type(client.heartbeat_run("r"), Heartbeat)
        assert_type(client.report_recording_problems("r", [RecordingProblem("metric 'a'", "lost")]), Run)
        assert_type(client.finish_run("r", "failed", end_time=datetime.now(UTC)), Run)
        assert_type(client.get_version("churn").run_state, RunState | None)
        client.heartbeat_run(1)  # type: ignore[arg-type]
        assert_type(client.lineage("churn", direction="upstream"), Lineage)
        assert_type(client.list_metrics("churn", "loss"), Iterator[MetricPoint])
        client.get_version("churn", at="yesterday")  # type: ignore[arg-type]
        assert_type(client.get_model("churn").aliases, Mapping[str, int])
        assert_type(client.create_project("lab"), Project)
        assert_type(client.list_projects(), Iterator[Project])
        client.get_project(7)  # type: ignore[arg-type]
        assert_type(client.verify(), Proof)
        assert_type(client.verify(client.verify().checkpoint).sound, bool)
        client.verify("checkpoint.json")  # type: ignore[arg-type]
        assert_type(client.export(at=3), Iterator[bytes])
        client.export(at="yesterday")  # type: ignore[arg-type]


def served() -> None:
    with follow("churn@production", on_change=lambda version: version.number, last_good="churn.json") as following:
        version, value = following.current
        assert_type(version, ModelVersion)
        assert_type(value, int)
    follow("churn", on_change=str.upper)  # type: ignore[arg-type]


async def load(version: ModelVersion) -> bytes:
    return version.name.encode()


async def served_async() -> None:
    async with afollow("churn@production", on_change=load) as following:
        assert_type(following.current.value, bytes)
    async with afollow("churn@production", on_change=lambda version: version.number) as plain:
        assert_type(plain.current.value, int)


async def async_clients() -> None:
    async with AsyncClient() as client:
        assert_type(await client.get_version("churn@production"), ModelVersion)
        assert_type(client.list_versions("churn", order_by="number"), AsyncIterator[ModelVersion])
        assert_type(await client.get_artifact("churn", "weights"), ArtifactInfo)
        assert_type(client.list_artifacts("churn"), AsyncIterator[ArtifactInfo])
        assert_type(await client.get_project("lab"), Project)
        assert_type(client.list_projects(), AsyncIterator[Project])
        assert_type(await client.verify(Checkpoint("a", 0, "")), Proof)
        assert_type(client.export(), AsyncIterator[bytes])
