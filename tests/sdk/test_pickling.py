"""Decorated functions can be pickled like plain functions, and belong to their run in the workers of pools."""

import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import cloudpickle
import pytest
from sdk import pipelines

from tallymark import Client, Model, bind, pipeline, step
from tallymark.testing import Server
from tallymark.types.enums import RunState

BEGIN = """
import asyncio, pickle, sys
import cloudpickle
import tallymark
from tallymark import Model, current_model, current_run, pipeline, step
"""
WORK = """
model = Model("churn")

@step
def work(i):
    return i, current_run(), current_model().number
"""


@pytest.fixture
def client(registry_env: Server) -> Client:
    return Client()


def printed(code: str, tmp_path: Path) -> list[str]:
    """Run a script, whose functions are in `__main__`, and return the lines of its output."""
    script = tmp_path / "script.py"
    script.write_text(BEGIN + textwrap.dedent(code))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_functions_of_a_script_are_pickled_by_value(client: Client, tmp_path: Path) -> None:
    """Every kind of decorated function of `__main__` works with cloudpickle, and with pickle if it has a name."""
    code = """
    @step
    def plain(i): return i

    @pipeline(model=Model("churn"), parameters=["i"])
    def piped(i): return plain(i)

    @step(model=Model("churn"), parameters=False)
    async def awaited(i): return i

    @step
    def generated(i): yield i

    class Trainer:
        @step
        def fit(self, i): return i

    for function in (plain, piped, Trainer().fit, step(lambda i: i)):
        assert pickle.loads(cloudpickle.dumps(function))(3) == 3
    assert asyncio.run(pickle.loads(cloudpickle.dumps(awaited))(3)) == 3
    assert list(pickle.loads(cloudpickle.dumps(generated))(3)) == [3]
    assert pickle.loads(pickle.dumps(plain)) is plain
    assert pickle.loads(pickle.dumps(Model("churn"))) == Model("churn")
    plain(1)
    assert pickle.loads(cloudpickle.dumps(plain))(3) == 3
    """
    printed(code, tmp_path)
    assert {run.state for run in client.list_runs()} == {RunState.SUCCEEDED}


def test_joblib_runs_steps_in_its_workers(client: Client, tmp_path: Path) -> None:
    """Steps in loky's workers belong to the run, also to a second run that reuses the workers."""
    code = f"""
    from joblib import Parallel, delayed
    {textwrap.indent(WORK, "    ").strip()}

    @pipeline(model=model)
    def training():
        found = Parallel(n_jobs=2)(delayed(work)(i) for i in range(4))
        assert found == [(i, current_run(), model.number) for i in range(4)], found
        return found

    print(training()[0][2])
    print(training()[0][2])
    """
    assert printed(code, tmp_path) == ["1", "2"]
    runs = list(client.list_runs())
    assert [len(list(client.list_steps(run.id))) for run in runs] == [4, 4]
    assert {run.state for run in runs} == {RunState.SUCCEEDED}
    assert client.get_model("churn").last_number == 2


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_process_pools_run_steps_in_their_workers(client: Client, tmp_path: Path, method: str) -> None:
    """A pool from before the run, or with a forkserver, needs `bind`; one from within the run does not."""
    code = f"""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    {textwrap.indent(WORK, "    ").strip()}

    @pipeline(model=model)
    def training(pool):
        expected = [(i, current_run(), model.number) for i in range(3)]
        assert list(pool.map(tallymark.bind(work), range(3))) == expected
        with ProcessPoolExecutor(2, context) as own:
            function = tallymark.bind(work) if "{method}" == "forkserver" else work
            assert list(own.map(function, range(3))) == expected

    if __name__ == "__main__":
        context = multiprocessing.get_context("{method}")
        with ProcessPoolExecutor(2, context) as pool:
            list(pool.map(abs, range(4)))
            training(pool)
            training(pool)
    """
    printed(code, tmp_path)
    assert [len(list(client.list_steps(run.id))) for run in client.list_runs()] == [6, 6]
    assert client.get_model("churn").last_number == 2


def test_a_function_pickled_in_an_ended_run_belongs_to_no_run(client: Client) -> None:
    """When it is called after its run, it starts a run of its own."""

    @step(model=Model("churn"))
    def work() -> int:
        return 1

    @pipeline(model=Model("churn"))
    def training() -> bytes:
        kept: bytes = cloudpickle.dumps(work)
        return kept

    kept = training()
    assert pickle.loads(kept)() == 1
    assert [run.pipeline for run in client.list_runs()] == ["work", "training"]


def test_a_bound_function_keeps_its_model(client: Client) -> None:
    """It has the model of the step in which it was bound, also after pickling."""

    @step(model=Model("other"))
    def binding() -> bytes:
        return pickle.dumps(bind(pipelines.numbered_by_pipeline))

    @pipeline(model=pipelines.model)
    def training() -> tuple[int, int]:
        pipelines.model.create()
        return pickle.loads(binding())(), Model("other").number

    client.create_model("other")
    client.create_version("other")
    assert training() == (2, 2)
