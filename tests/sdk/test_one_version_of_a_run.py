"""One automatic version for each run and model, shared by threads, processes and programs."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sdk import pipelines

from tallymark import Client, Model, bind, current_model, current_run, errors, pipeline, step
from tallymark.testing import Server
from tallymark.types.enums import RunState

PROGRAM = """
from tallymark import Model, current_model, current_run, pipeline, step
@step
def of_pipeline(): return current_model().number
@step(model=Model(name="my_model"))
def of_itself(): return current_model().number
@pipeline(model=Model(name="my_model"))
def again(): return current_model().number
print(current_run(), of_pipeline(), of_itself(), again())
"""


@pytest.fixture
def client(registry_env: Server) -> Client:
    return Client()


def test_steps_share_the_version_of_their_run(client: Client) -> None:
    """Steps with the pipeline's model, an equal one or none have the same number; the next run has another."""

    @pipeline(model=pipelines.model)
    def training() -> set[int]:
        return {pipelines.numbered_by_pipeline(), pipelines.numbered_by_itself(), pipelines.model.number}

    assert [training(), training()] == [{1}, {2}]
    assert client.get_version("my_model/1").automatic


def test_threads_share_the_version_of_their_run(client: Client) -> None:
    """Eight plain threads that start at once get one version."""

    @pipeline(model=pipelines.model)
    def training() -> set[int]:
        barrier = threading.Barrier(8)

        def ask(_: int) -> int:
            barrier.wait(30)
            return pipelines.numbered_by_itself()

        with ThreadPoolExecutor(8) as pool:
            return set(pool.map(ask, range(8)))

    assert training() == {1}
    assert client.get_model("my_model").last_number == 1


def test_runs_in_threads_are_separate(client: Client) -> None:
    """Concurrent pipelines in several threads are separate runs with different numbers."""
    barrier = threading.Barrier(4)

    @pipeline(model=pipelines.model)
    def training() -> tuple[str, int, int]:
        barrier.wait(30)
        assert "TALLYMARK_RUN_ID" not in os.environ
        found = current_run(), pipelines.numbered_by_pipeline(), pipelines.numbered_by_itself()
        barrier.wait(30)
        return found

    with ThreadPoolExecutor(4) as pool:
        found = [future.result() for future in [pool.submit(training) for _ in range(4)]]
    assert len({run for run, _, _ in found}) == 4
    assert sorted(number for _, number, _ in found) == [1, 2, 3, 4]
    assert all(number == again for _, number, again in found)
    assert "TALLYMARK_RUN_ID" not in os.environ


def test_code_after_its_run_does_not_join_another(client: Client) -> None:
    """While another run is open, code after its own run refers to its own version, and belongs to no run."""
    inside, done = threading.Event(), threading.Event()

    @pipeline(model=pipelines.model)
    def long() -> int:
        inside.set()
        done.wait(30)
        return pipelines.model.number

    @pipeline(model=pipelines.model)
    def short() -> int:
        return pipelines.model.number

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(long)
        inside.wait(30)
        assert short() == 2
        assert pipelines.model.number == 2
        with pytest.raises(errors.NoCurrentRun):
            current_run()
        done.set()
        assert other.result() == 1
    assert pipelines.model.number == 2


def test_a_thread_among_several_runs_must_be_bound(client: Client) -> None:
    """While two runs are open, a thread of neither gets AmbiguousRun, and a bound one belongs to its run."""
    inside, done = threading.Barrier(2), threading.Barrier(2)

    @pipeline(model=pipelines.model)
    def waiting() -> None:
        inside.wait(30)
        done.wait(30)

    @pipeline(model=pipelines.model)
    def asking() -> tuple[int, int]:
        inside.wait(30)
        try:
            with ThreadPoolExecutor(1) as pool:
                with pytest.raises(errors.AmbiguousRun, match=r"tallymark\.bind"):
                    pool.submit(pipelines.numbered_by_pipeline).result()
                return pool.submit(bind(pipelines.numbered_by_pipeline)).result(), pipelines.model.number
        finally:
            done.wait(30)

    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(waiting)
        bound, own = asking()
        other.result()
    assert bound == own


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
# The test promises that a fork while threads of gRPC run does no harm.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_processes_share_the_version_of_their_run(client: Client, start_method: str) -> None:
    """Processes that are started by fork and by spawn belong to the run, and have its number."""
    list(client.list_models())
    found = pipelines.over_processes(start_method, 3)
    assert len(set(found)) == 1
    assert found[0][1:] == (1, 1)
    assert [run.state for run in client.list_runs()] == [RunState.SUCCEEDED]
    assert client.get_model("my_model").last_number == 1


def test_programs_share_the_version_of_their_run(client: Client) -> None:
    """A program that is started within the run joins it through the environment, and does not finish it."""
    found = pipelines.over_programs(PROGRAM, 2)
    (run,) = client.list_runs()
    assert found == [f"{run.id} 1 1 1"] * 2
    assert run.state is RunState.SUCCEEDED
    assert "TALLYMARK_RUN_ID" not in os.environ


def test_a_run_id_in_the_environment_is_started_or_joined(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """With TALLYMARK_RUN_ID, the first process starts and finishes the run; the others join it."""
    monkeypatch.setenv("TALLYMARK_RUN_ID", "from-airflow")
    with pytest.raises(errors.RunNotFound, match="TALLYMARK_RUN_ID"):
        pipelines.numbered_by_itself()

    @pipeline(model=pipelines.model)
    def training() -> list[str]:
        return [current_run(), *pipelines_over()]

    def pipelines_over() -> list[str]:
        import subprocess
        import sys

        done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
        return [done.stdout.strip()]

    assert training() == ["from-airflow", "from-airflow 1 1 1"]
    assert client.get_run("from-airflow").state is RunState.SUCCEEDED
    assert os.environ["TALLYMARK_RUN_ID"] == "from-airflow"
    assert pipelines.numbered_by_pipeline() == 1


@pytest.mark.parametrize("run_id", ["no such/run!", "é", "x" * 101])
def test_an_invalid_run_id_in_the_environment_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch, run_id: str
) -> None:
    """The error names the variable, before any request."""
    monkeypatch.setenv("TALLYMARK_RUN_ID", run_id)
    for call in (pipelines.numbered_by_itself, lambda: pipelines.over_programs("", 0)):
        with pytest.raises(errors.InvalidSetting, match="TALLYMARK_RUN_ID"):
            call()
    assert list(client.list_events()) == []


def test_templates_are_fixed_per_run(client: Client) -> None:
    """{date}, {time} and substitutions are the same in the whole run, also in programs that join it."""
    code = (
        "from tallymark import *\n"
        "@step(model=Model('my_model', 'nightly {date} {time} {flavour}'))\n"
        "def named(): return current_model().version_name\n"
        "print(named())"
    )
    named, child = pipelines.templated(code)
    assert named == child
    assert named.endswith(" sweet")
    assert client.get_model("my_model").last_number == 1


def test_a_step_may_fill_in_templates_of_its_own(client: Client) -> None:
    """`substitutions` of a step apply to that step's model."""

    @step(model=Model("my_model", "{kind}-{date}"), substitutions={"kind": "svc"})
    def named() -> str:
        return current_model().version_name

    @pipeline(model=pipelines.model)
    def training() -> str:
        return named()

    assert training().startswith("svc-20")


def test_steps_can_fill_in_the_same_model_differently(client: Client) -> None:
    """Two steps that share a Model object with different substitutions have different versions."""
    shared = Model("my_model", "{kind} of {date}")

    @step(model=shared, substitutions={"kind": "svc"})
    def svc() -> tuple[str, str, str]:
        return current_model().version_name, shared.version_name, inner()

    @step(model=shared, substitutions={"kind": "forest"})
    def forest() -> tuple[str, str, str]:
        return current_model().version_name, shared.version_name, inner()

    @step
    def inner() -> str:
        return current_model().version_name

    @pipeline(model=shared, substitutions={"kind": "nested"})
    def nested() -> tuple[str, str]:
        return shared.version_name, Model("my_model", "{kind} of {date}").version_name

    @pipeline(model=shared, substitutions={"kind": "any"})
    def training() -> list[tuple[str, ...]]:
        return [(shared.version_name,), svc(), forest(), svc(), nested(), (shared.version_name,)]

    found = training()
    assert [{name.split(" of ")[0] for name in names} for names in found] == [
        {"any"}, {"svc"}, {"forest"}, {"svc"}, {"nested"}, {"any"},
    ]  # fmt: skip
    assert client.get_model("my_model").last_number == 4


def test_models_created_in_a_run_refer_to_its_version(client: Client) -> None:
    """`Model(name).number` in a step is the run's version of that model, for any number of objects."""

    @pipeline
    def training() -> set[int]:
        return {Model("my_model").number, Model("my_model").number}

    assert training() == {1}
    with pytest.raises(errors.NoCurrentModel):
        pipeline(current_model)()
