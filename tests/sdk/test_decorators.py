"""`@step` and `@pipeline` on every kind of function."""

import asyncio
import inspect
import os
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from sdk import pipelines

from tallymark import (
    Client,
    Model,
    Stage,
    current_model,
    current_run,
    errors,
    log_metadata,
    pipeline,
    step,
)
from tallymark.testing import Server
from tallymark.types.enums import RunState

model = Model(name="my_model")


@pytest.fixture
def client(registry_env: Server) -> Client:
    return Client()


@step(model=model)
def add(x: int, *, y: int = 1) -> int:
    """Adds."""
    return x + y


def test_a_decorated_function_keeps_its_attributes() -> None:
    """Name, docstring, signature, module and picklability are unchanged."""
    assert (add.__name__, add.__doc__) == ("add", "Adds.")
    assert str(inspect.signature(add)) == "(x: int, *, y: int = 1) -> int"
    assert pickle.loads(pickle.dumps(pipelines.over_processes)) is pipelines.over_processes
    assert inspect.iscoroutinefunction(step(asyncio.sleep))


def test_results_and_arguments_pass_through(registry_env: Server) -> None:
    """A decorated function gets its arguments and returns its result unchanged."""
    assert add(1, y=2) == 3
    with pytest.raises(TypeError):
        add()  # type: ignore[call-arg]  # what the types forbid


def test_methods_are_steps(client: Client) -> None:
    """Methods of all kinds, and callable objects, are recorded."""

    class Trainer:
        @step(model=model)
        def fit(self, x: int) -> tuple[int, int]:
            return x, current_model().number

        @classmethod
        @step
        def of_class(cls, x: int) -> tuple[type, int]:
            return cls, x

        @staticmethod
        @step
        def of_nobody(x: int) -> int:
            return x

        def __call__(self, x: int) -> int:
            return x + current_model().number

    trainer = Trainer()

    @pipeline(model=model)
    def training() -> list[Any]:
        return [trainer.fit(1), Trainer.of_class(2), trainer.of_nobody(3), step(trainer)(4)]

    assert training() == [(1, 1), (Trainer, 2), 3, 5]


def test_only_functions_can_be_decorated() -> None:
    """A class, an object that is not callable, and decorators in the wrong order are refused."""
    anything: Any = step
    no_functions: list[Any] = [int, 3, classmethod(print), staticmethod(print)]
    for wrong in no_functions:
        with pytest.raises(TypeError, match="@step"):
            anything(wrong)
    with pytest.raises(errors.InvalidArgument, match="model=..."):
        anything(model)
    with pytest.raises(errors.InvalidArgument, match="takes a Model"):
        anything(model="my_model")


async def test_async_steps_run_concurrently(client: Client) -> None:
    """Each of several concurrent coroutines has its own model, and shares its run."""

    @step
    async def plain() -> tuple[str, int]:
        await asyncio.sleep(0)
        return current_run(), await current_model().anumber()

    @step(model=Model("other"))
    async def other() -> tuple[str, str]:
        await asyncio.sleep(0)
        return current_run(), current_model().name

    @pipeline(model=model)
    async def training() -> list[tuple[str, Any]]:
        return list(await asyncio.gather(plain(), other(), plain(), other()))

    first, second = await asyncio.gather(training(), training())
    for results in (first, second):
        assert len({run for run, _ in results}) == 1
        assert [value for _, value in results][1::2] == ["other", "other"]
        assert results[0] == results[2]
    assert {first[0][1], second[0][1]} == {1, 2}


def test_a_generator_belongs_to_its_step_and_its_caller_does_not(client: Client) -> None:
    """The generator's code has the step's model, its caller has its own; values that are sent arrive."""

    @step(model=Model("other"))
    def batches() -> Iterator[str]:
        got = yield current_model().name
        try:
            yield f"{got} {current_model().name}"
        except KeyError:
            yield f"caught {current_model().name}"
        return

    @pipeline(model=model)
    def training() -> list[str]:
        generator: Any = batches()
        found = [next(generator), current_model().name, generator.send("sent"), current_model().name]
        found.append(generator.throw(KeyError()))
        assert next(generator, None) is None
        return found

    assert training() == ["other", "my_model", "sent other", "my_model", "caught other"]


async def test_an_async_generator_belongs_to_its_step_and_its_caller_does_not(client: Client) -> None:
    """As for a generator; it is also closed when the caller stops early."""
    ended = []

    @step(model=Model("other"))
    async def batches() -> AsyncIterator[str]:
        try:
            while True:
                yield current_model().name
        finally:
            ended.append(current_model().name)

    @pipeline(model=model)
    async def training() -> list[str]:
        generator: Any = batches()
        found = [await anext(generator), current_model().name, await anext(generator)]
        await generator.aclose()
        return found

    assert await training() == ["other", "my_model", "other"]
    assert ended == ["other"]
    assert {run.state for run in client.list_runs()} == {RunState.SUCCEEDED}


def test_a_failing_pipeline_keeps_its_version_and_records_the_failure(client: Client) -> None:
    """The user's exception is re-raised; the run has the failed step and the error; the version stays."""
    problem = ValueError("no data")
    with pytest.raises(ValueError, match="no data") as caught:
        pipelines.failing_pipeline(problem)
    assert caught.value is problem
    (run,) = client.list_runs()
    assert (run.state, run.error) == (RunState.FAILED, "step failing: ValueError: no data")
    assert dict(client.get_version("my_model/1").metadata) == {"seen": True}
    pipelines.over_programs("", 0)
    assert client.get_model("my_model").last_number == 2


@pytest.mark.parametrize(
    ("problem", "state"),
    [
        (KeyboardInterrupt(), RunState.FAILED),
        (SystemExit(3), RunState.FAILED),
        (SystemExit(0), RunState.SUCCEEDED),
        (asyncio.CancelledError(), RunState.FAILED),
    ],
)
def test_an_interrupted_run_has_failed(client: Client, problem: BaseException, state: RunState) -> None:
    """An interrupted run has failed; a run whose program exits without an error has not."""
    with pytest.raises(type(problem)):
        pipelines.failing_pipeline(problem)
    assert [run.state for run in client.list_runs()] == [state]


def test_a_failure_that_the_pipeline_catches_does_not_fail_the_run(client: Client) -> None:
    """The pipeline's own exception fails the run, without a failed step."""

    @pipeline(model=model)
    def forgiving() -> None:
        with pytest.raises(ValueError, match="lost"):
            pipelines.failing(ValueError("lost"))

    @pipeline(model=model)
    def failing_itself() -> None:
        raise RuntimeError

    forgiving()
    with pytest.raises(RuntimeError):
        failing_itself()
    assert [(run.state, run.error) for run in client.list_runs()] == [
        (RunState.FAILED, "RuntimeError"),
        (RunState.SUCCEEDED, ""),
    ]


def test_a_run_whose_version_is_refused_does_not_start(client: Client) -> None:
    """The function is not called, and no run exists."""
    called = []

    @pipeline(model=Model("my_model", "production"))
    def training() -> None:
        called.append(1)

    with pytest.raises(errors.NotFound):
        training()
    assert called == []
    assert list(client.list_runs()) == []


def test_a_step_alone_is_a_run_of_its_own(client: Client) -> None:
    """A step that is called outside a pipeline starts a run with its own model."""
    assert add(1) == 2
    (run,) = client.list_runs()
    assert (run.pipeline, run.model_version) == ("add", "projects/default/models/my_model/versions/1")


def test_a_pipeline_within_a_run_belongs_to_it(client: Client) -> None:
    """A pipeline that is called by another shares its run; its model is in force during the call."""

    @pipeline(model=Model("inner"))
    def inner() -> tuple[str, str]:
        return current_run(), current_model().name

    @pipeline(model=model)
    def outer() -> list[tuple[str, str]]:
        return [(current_run(), current_model().name), inner(), (current_run(), current_model().name)]

    found = outer()
    assert [name for _, name in found] == ["my_model", "inner", "my_model"]
    assert len({run for run, _ in found}) == len(list(client.list_runs())) == 1


def test_outside_runs_there_is_no_current_model() -> None:
    """Code outside steps and pipelines gets NoCurrentModel and NoCurrentRun."""
    with pytest.raises(errors.NoCurrentRun):
        current_run()
    with pytest.raises(errors.NoCurrentModel, match="@step"):
        current_model()
    with pytest.raises(errors.NoCurrentModel, match=r'outside runs, use a model itself.*Model\("churn"\).log_metadata'):
        log_metadata({"a": 1})


def test_nothing_is_recorded_when_recording_is_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """With TALLYMARK_MODE=disabled, decorated functions are plain functions, and need no registry."""
    monkeypatch.setenv("TALLYMARK_MODE", "disabled")
    monkeypatch.setenv("TALLYMARK_URL", "127.0.0.1:1")

    @step
    def fit() -> str:
        log_metadata({"auc": 0.9})
        current_model().log_metadata({"auc": 0.9})
        return current_model().name

    @pipeline(model=model)
    def training() -> str:
        return fit()

    assert training() == "my_model"


async def test_models_need_no_registry_when_recording_is_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that was not given is 0, and changes are returned but not stored."""
    monkeypatch.setenv("TALLYMARK_MODE", "disabled")
    monkeypatch.setenv("TALLYMARK_URL", "127.0.0.1:1")
    assert (model.number, await model.anumber(), model.version_name) == (0, 0, "0")
    assert (Model("churn", 7).number, Model("churn", "7").number) == (7, 7)
    named = Model("churn", "1.0.5")
    assert (named.number, named.version_name, named.stage) == (0, "1.0.5", Stage.NONE)
    assert repr(named.set_stage("production", force=True)) == "ModelVersion(churn No.0 '1.0.5' production)"
    assert named.set_alias("champion").aliases == ("champion",)
    assert named.stage is Stage.NONE
    assert Model("churn", "production").stage is Stage.PRODUCTION
    assert Model("churn", "@champion").info.aliases == ("champion",)
    assert named.id == "projects/default/models/churn/versions/0"
    with pytest.raises(errors.InvalidField, match="none, staging"):
        named.set_stage("prod")


def test_an_outcome_is_sent_later_after_an_outage(registry_env: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the registry stops during a run, the result or exception is the user's, and the outcome is sent later."""
    monkeypatch.setenv("TALLYMARK_TIMEOUT", "0.5")

    @pipeline(model=model)
    def training(problem: Exception | None = None) -> str:
        registry_env.stop()
        if problem is not None:
            raise problem
        return "trained"

    assert training() == "trained"
    registry_env.start()
    # Other settings use another connection, which is not in backoff after a refusal.
    monkeypatch.setenv("TALLYMARK_TIMEOUT", "5")
    with pytest.raises(ValueError, match="lost"):
        training(ValueError("lost"))
    registry_env.start()
    with Client() as client:
        while len(ended := list(client.list_runs(filter="state != running"))) < 2:
            pass
    assert [run.state for run in ended] == [RunState.FAILED, RunState.SUCCEEDED]
    assert ended[0].error == "ValueError: lost"


async def test_a_pipeline_cancelled_while_it_starts_leaves_no_open_run(client: Client) -> None:
    """A task that is cancelled before its function is called finishes the run that it was starting."""

    @pipeline(model=model)
    async def training() -> None: ...

    for _ in range(5):
        task = asyncio.create_task(training())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert RunState.RUNNING not in {run.state for run in client.list_runs()}
    assert "TALLYMARK_RUN_ID" not in os.environ
    with pytest.raises(errors.NoCurrentRun):
        current_run()


async def test_a_cancelled_pipeline_is_recorded_as_failed(client: Client) -> None:
    """A task that is cancelled within a step finishes its run, and is still cancelled."""
    begun = asyncio.Event()

    @step
    async def waiting() -> None:
        begun.set()
        await asyncio.Event().wait()

    @pipeline(model=model)
    async def training() -> None:
        await waiting()

    task = asyncio.create_task(training())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (run,) = client.list_runs()
    assert (run.state, run.error) == (RunState.FAILED, "step waiting: CancelledError")


class UnprintableError(Exception):
    """An exception whose `str` raises."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("decorated", [step, pipeline])
@pytest.mark.parametrize("problem", [ValueError("cannot read caf\udce9.csv"), UnprintableError()], ids=["text", "none"])
def test_any_exception_is_re_raised_and_recorded(
    registry_env: Server,
    decorated: Callable[..., Callable[[Callable[[], None]], Callable[[], None]]],
    problem: Exception,
) -> None:
    """The caller gets the same exception, the run has failed, and no run is open afterwards."""

    @decorated(model=model)
    def bad() -> None:
        raise problem

    with pytest.raises(type(problem)) as caught:
        bad()
    assert caught.value is problem
    assert not getattr(problem, "__notes__", [])
    assert "TALLYMARK_RUN_ID" not in os.environ
    with Client() as client:
        (run,) = client.list_runs()
    assert run.state is RunState.FAILED
    assert type(problem).__name__ in run.error
