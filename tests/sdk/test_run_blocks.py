"""`tallymark.run`: runs without decorators."""

import asyncio
import contextvars
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

import tallymark
from tallymark import Client, Model, current_model, current_run, errors, pipeline, step
from tallymark.testing import Server
from tallymark.types.enums import RunState


@pytest.fixture
def client(registry_env: Server) -> Client:
    return Client()


def test_a_block_is_a_run(client: Client) -> None:
    """The block has a run, a version and parameters, and its records belong to the version."""
    model = Model("churn")
    with tallymark.run(model=model, name="nightly", parameters={"depth": 3}) as run:
        assert current_run() == run.id
        assert current_model() is run.model is model
        assert run.number == run.version.number == model.number == 1
        run.log_metric("loss", 0.5, step=1)
        run.log_metrics({"loss": 0.4, "auc": 0.9}, step=2)
        tallymark.log_metrics({"seconds": 3})
        run.log_metadata({"kind": "svc"})
    (found,) = client.list_runs()
    assert (found.id, found.pipeline, found.state) == (run.id, "nightly", RunState.SUCCEEDED)
    assert found.parameters == {"depth": 3}
    assert dict(client.get_version("churn/1").metadata) == {"loss": 0.4, "auc": 0.9, "seconds": 3, "kind": "svc"}
    assert [(p.key, p.step, p.value) for p in client.list_metrics("churn/1")] == [
        ("auc", 2, 0.9), ("loss", 1, 0.5), ("loss", 2, 0.4),
    ]  # fmt: skip
    assert repr(run) == f"RunContext({run.id} 'nightly' of Model('churn'), succeeded)"
    with pytest.raises(errors.NoCurrentRun):
        current_run()


async def test_an_async_block_is_a_run(client: Client) -> None:
    """`async with` records as `with` does."""

    @step
    async def train() -> str:
        return current_run()

    async with tallymark.run(model=Model("churn"), name="nightly") as run:
        assert await train() == run.id
    assert (run.number, client.get_run(run.id).state) == (1, RunState.SUCCEEDED)
    assert [s.name for s in client.list_steps(run.id)] == ["train"]


@pytest.mark.parametrize("problem", [ValueError("bad"), KeyboardInterrupt()])
def test_an_exception_fails_the_run(client: Client, problem: BaseException) -> None:
    """It is recorded and re-raised, and no run is open afterwards."""
    with pytest.raises(type(problem)) as caught, tallymark.run(model=Model("churn")) as run:
        raise problem
    assert caught.value is problem
    assert client.get_run(run.id).state is RunState.FAILED
    assert type(problem).__name__ in client.get_run(run.id).error
    assert "TALLYMARK_RUN_ID" not in os.environ
    assert "failed" in repr(run)


def test_wrong_arguments_are_refused_at_once() -> None:
    """They are refused before anything is recorded."""
    anything: Any = tallymark.run
    for wrong in (
        {"model": "churn"},
        {"name": 1},
        {"id": "no such/run"},
        {"parameters": [1]},
        {"substitutions": {1: 2}},
    ):
        with pytest.raises(errors.InvalidArgument, match="run"):
            anything(**wrong)


def test_steps_pipelines_and_threads_in_a_block_belong_to_it(client: Client) -> None:
    """Calls in the block, also in threads, have its run; nested blocks and pipelines join it."""
    inner = Model("inner")

    @step
    def train() -> str:
        return current_run()

    @pipeline(model=inner)
    def nested() -> tuple[str, int]:
        return train(), inner.number

    with tallymark.run(model=Model("churn")) as run, ThreadPoolExecutor(2) as pool:
        found = {train(), nested()[0], *pool.map(lambda _: train(), range(2))}
        with tallymark.run(model=Model("other")) as second:
            assert (second.id, second.number, current_model().name) == (run.id, 1, "other")
        assert current_model().name == "churn"
        assert client.get_run(run.id).state is RunState.RUNNING
    assert found == {run.id}
    assert [found.id for found in client.list_runs()] == [run.id]
    assert len(list(client.list_steps(run.id))) == 4


def test_a_run_is_started_or_joined_by_its_id(client: Client) -> None:
    """The first process with an id starts and finishes the run, others join it; a finished run is refused."""
    with tallymark.run(model=Model("churn"), id="job-42", name="nightly") as run:
        with ThreadPoolExecutor(1) as pool:
            joined = pool.submit(lambda: tallymark.run(id="job-42").start()).result()
            assert (joined.id, joined.number, joined.model) == (run.id, run.number, Model("churn", 1))
            pool.submit(joined.finish).result()
        assert client.get_run("job-42").state is RunState.RUNNING
    assert (client.get_run("job-42").pipeline, client.get_run("job-42").state) == ("nightly", RunState.SUCCEEDED)
    with pytest.raises(errors.RunFinished, match="job-42"):
        tallymark.run(id="job-42").start()
    assert "TALLYMARK_RUN_ID" not in os.environ


def test_another_id_within_a_run_is_another_run(client: Client) -> None:
    """A block with an id of its own is a run of its own, after which the outer one continues."""
    with tallymark.run(model=Model("churn")) as outer:
        with tallymark.run(model=Model("churn"), id="job-43") as inner:
            assert (current_run(), inner.number) == ("job-43", 2)
        assert (current_run(), current_model().number) == (outer.id, 1)
    assert {run.state for run in client.list_runs()} == {RunState.SUCCEEDED}


def test_start_and_finish_work_in_callbacks(client: Client) -> None:
    """They may be called in different functions, threads and contexts; no run is open afterwards."""

    class Callback:
        def on_train_begin(self) -> None:
            self.run = tallymark.run(model=Model("churn"), name="fit").start()

        def on_epoch_end(self, epoch: int) -> None:
            self.run.log_metrics({"loss": 1 / (epoch + 1)}, step=epoch)

        def on_train_end(self, error: BaseException | None = None) -> None:
            self.run.finish(error)
            self.run.finish()

    begun, failed = Callback(), Callback()
    begun.on_train_begin()
    begun.on_epoch_end(0)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(begun.on_epoch_end, 1).result()
        pool.submit(begun.on_train_end).result()
    with pytest.raises(errors.NoCurrentRun):
        current_run()
    failed.on_train_begin()
    failed.on_train_end(ValueError("nan"))
    assert failed.run.id != begun.run.id
    assert [(run.pipeline, run.state, run.error) for run in client.list_runs()] == [
        ("fit", RunState.FAILED, "ValueError: nan"),
        ("fit", RunState.SUCCEEDED, ""),
    ]
    assert [point.step for point in client.list_metrics("churn/1")] == [0, 1]


def test_an_unfinished_run_has_failed(client: Client) -> None:
    """It is finished at the end of the program, with the exception that ended the program."""
    code = "import tallymark\nrun = tallymark.run(model=tallymark.Model('churn')).start()\n"
    for end in ("", "raise ValueError('lost')"):
        subprocess.run([sys.executable, "-c", code + end], check=False, capture_output=True, timeout=60)
    assert [(run.state, run.error) for run in client.list_runs()] == [
        (RunState.FAILED, "ValueError: lost"),
        (RunState.FAILED, "RuntimeError: the program ended before it called finish()"),
    ]


def test_records_after_the_block_belong_to_its_version(client: Client) -> None:
    """A test score that is logged after the block is recorded in the run's version, and in no other."""
    model = Model("churn")
    with tallymark.run(model=model) as run:
        pass
    with tallymark.run(model=model):
        run.log_metrics({"accuracy": 0.5})
    run.log_metric("auc", 0.9)
    run.log_metadata({"kind": "svc"})
    assert run.number == 1
    assert dict(client.get_version("churn/1").metadata) == {"accuracy": 0.5, "auc": 0.9, "kind": "svc"}
    assert dict(client.get_version("churn/2").metadata) == {}


def test_a_run_without_a_model_has_no_version(client: Client) -> None:
    """The error says how to set a model; a run can be started once."""
    run = tallymark.run(name="nightly")
    assert repr(run) == "RunContext('nightly', not started)"
    with pytest.raises(errors.NoCurrentRun, match="has not begun"):
        _ = run.id
    with run:
        assert (run.model, repr(run)) == (None, f"RunContext({run.id} 'nightly', running)")
        for ask in (lambda: run.number, lambda: run.log_metric("auc", 1), lambda: run.log_metadata({})):
            with pytest.raises(errors.NoCurrentModel, match=r"tallymark\.run\(model="):
                ask()
    with pytest.raises(errors.Refused, match="again for another run"):
        run.start()


def test_a_block_in_a_generator_covers_its_caller(client: Client) -> None:
    """A fixture that yields within the block works; a generator that is closed early leaves no run open."""

    @contextmanager
    def training() -> Iterator[str]:
        with tallymark.run(model=Model("churn")) as run:
            yield run.id

    def items() -> Generator[str, None, None]:
        with tallymark.run(model=Model("churn")) as run:
            yield run.id
            yield run.id

    with training() as run_id:
        assert current_run() == run_id
    half = items()
    assert next(half) == current_run()
    half.close()
    with pytest.raises(errors.NoCurrentRun):
        current_run()
    assert [run.state for run in client.list_runs()] == [RunState.SUCCEEDED, RunState.SUCCEEDED]


def test_templates_of_a_block_are_filled_in(client: Client) -> None:
    """`substitutions` apply to the run's model and to all others in it."""
    with tallymark.run(model=Model("{team}", "{kind}"), substitutions={"team": "growth", "kind": "svc"}) as run:
        assert (run.version.model, run.version.name, Model("{team}-b").create().model) == ("growth", "svc", "growth-b")


def test_nothing_is_recorded_when_recording_is_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """With TALLYMARK_MODE=disabled, the block is plain code, and its number is 0."""
    monkeypatch.setenv("TALLYMARK_MODE", "disabled")
    monkeypatch.setenv("TALLYMARK_URL", "127.0.0.1:1")
    with tallymark.run(model=Model("churn"), parameters={"depth": 3}) as run:
        run.log_metrics({"auc": 0.9}, step=1)
        run.log_metadata({"auc": 0.9})
        assert run.save("facts", {"a": 1}) is None
        assert (run.number, run.version.number, run.id, current_model().name) == (0, 0, "disabled", "churn")
    run.log_metric("auc", 0.9)
    assert run.number == 0


async def test_a_block_cancelled_while_it_starts_leaves_no_open_run(client: Client) -> None:
    """A task that is cancelled in `async with` finishes the run that it was starting."""

    async def training() -> None:
        async with tallymark.run(model=Model("churn")):
            await asyncio.Event().wait()

    for _ in range(3):
        task = asyncio.create_task(training())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert RunState.RUNNING not in {run.state for run in client.list_runs()}
    assert "TALLYMARK_RUN_ID" not in os.environ


def test_only_named_parameters_are_recorded(client: Client) -> None:
    """`parameters` of a decorator is all, none, or names; other arguments are not read."""

    @step(parameters=["depth"])
    def train(data: object, depth: int, password: str) -> None:
        del data, depth, password

    @step(parameters=False)
    def secret(password: str) -> None:
        del password

    @pipeline(model=Model("churn"), parameters="depth")
    def training(depth: int, url: str) -> None:
        train(object(), depth, password=url)
        secret(url)

    @step(model=Model("churn"), parameters=True)
    def alone(depth: int, kind: str = "svc") -> None:
        del depth, kind

    training(3, "hunter2")
    alone(4)
    second, first = client.list_runs()
    assert (dict(first.parameters), dict(second.parameters)) == ({"depth": 3}, {"depth": 4, "kind": "svc"})
    assert [dict(found.parameters) for found in client.list_steps(first.id)] == [{"depth": 3}, {}]


def test_a_parameter_that_the_function_does_not_have_is_refused() -> None:
    """The decorator reports the unknown name and lists the valid ones."""
    anything: Any = step

    with pytest.raises(
        errors.InvalidArgument, match=r"names 'dept', no parameter of train: its parameters are depth, rate"
    ):

        @step(parameters=["dept"])
        def train(depth: int, rate: float) -> None: ...

    for wrong in (3, [3], {"depth": 1}):
        with pytest.raises(errors.InvalidArgument, match=r"@step\(parameters=\.\.\.\)"):
            anything(parameters=wrong)


def test_a_run_may_span_the_cells_of_a_notebook(client: Client) -> None:
    """Cells with different contexts share a run from `start` to `finish`, and then the next one."""
    names: dict[str, Any] = {"tallymark": tallymark, "found": []}

    def cell(code: str) -> None:
        contextvars.Context().run(exec, code, names)

    cell("model = tallymark.Model('nb'); run = tallymark.run(model=model).start()")
    cell("@tallymark.step\ndef train(): return tallymark.current_run() == run.id")
    cell("found.append((train(), model.number, run.number)); tallymark.log_metric('auc', 0.9)")
    cell("run.finish()")
    cell("found.append((model.number, run.number))")
    cell("with tallymark.run(model=model) as second: found.append((train(), second.number, second.id == run.id))")
    cell("found.append(model.number); model.set_stage('staging')")
    assert names["found"] == [(True, 1, 1), (1, 1), (False, 2, False), 2]
    assert dict(client.get_version("nb/1").metadata) == {"auc": 0.9}
    assert client.get_version("nb@staging").number == 2
    assert {run.state for run in client.list_runs()} == {RunState.SUCCEEDED}


def test_in_cells_a_number_is_that_of_the_last_run(client: Client) -> None:
    """Reading the number between trainings does not change the version that the object refers to."""
    model, found = Model("nb"), []

    @pipeline(model=model)
    def training() -> int:
        return model.number

    found.append(model.number)
    for _ in range(2):
        found += [training(), model.number]
    with ThreadPoolExecutor(1) as pool:
        found += [pool.submit(training).result(), pool.submit(lambda: model.number).result(), model.number]
    assert found == [1, 2, 2, 3, 3, 4, 4, 4]
    assert [version.number for version in client.list_versions("nb")] == [4, 3, 2, 1]


def test_a_run_that_could_not_start_can_be_started_again(client: Client) -> None:
    """A refused start leaves no run, and the block can be entered again."""
    run = tallymark.run(model=Model("churn", "production"))
    with pytest.raises(errors.ModelNotFound):
        run.start()
    assert list(client.list_runs()) == []
    client.create_model("churn")
    client.create_version("churn").set_stage("production")
    with run:
        assert run.number == 1
