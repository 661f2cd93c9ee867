"""Journals of several processes in one spool: each process has its own, and all are delivered."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sdk.killed_programs import KILLED, line_of, program, wait_until

from tallymark import Client, Model, log_metric, pipeline
from tallymark.delivery import sender
from tallymark.delivery import spool as spooling
from tallymark.tracking.context import context_frame
from sdk.forking_programs import run_program

from tallymark.testing import Server
from tallymark.types.enums import RunState


@pytest.fixture
def client(registry_env: Server) -> Iterator[Client]:
    with Client() as made:
        yield made


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_a_run_record_in_journals_of_their_own(client: Client, method: str, spool: Path) -> None:
    """However they were started, and though they run no `atexit` handlers, the run ends with all their records."""
    run = run_program(method)
    assert client.get_run(run).state is RunState.SUCCEEDED
    assert [point.step for point in client.list_metrics("churn", "loss")] == [*range(150), 1000]
    wait_until(lambda: not list(spool.rglob("*.journal")))


def test_processes_may_be_forked_while_other_threads_call_the_registry(client: Client) -> None:
    """A fork waits until no call is within gRPC, so that the child can call too; all its records arrive."""
    run = run_program("fork", "busy")
    assert client.get_run(run).state is RunState.SUCCEEDED
    assert [point.step for point in client.list_metrics("churn", "loss")] == [*range(600), 1000]


def test_the_end_of_a_run_follows_the_records_of_its_workers(client: Client) -> None:
    """That includes workers that stay alive, such as those of a pool."""
    run = run_program("pool")
    assert [each.state for each in client.list_steps(run)] == [RunState.SUCCEEDED] * 20
    kinds = [event.kind for event in client.list_events()]
    assert kinds.count("step_finished") == 20
    assert kinds.index("run_finished") > max(at for at, kind in enumerate(kinds) if kind == "step_finished")
    assert len(list(client.list_metrics("churn", "loss"))) == 20


def test_a_killed_worker_loses_nothing(client: Client, spool: Path) -> None:
    """The run's own process sends the records of a killed worker before the end of the run."""
    ready, end = os.pipe(), os.pipe()

    @pipeline(model=Model("churn"))
    def training() -> None:
        log_metric("loss", 0.0, step=0)
        worker = os.fork()
        if worker == 0:
            frame = context_frame()
            assert frame
            # This process sends nothing, as if it were killed at once.
            sender.sender_of(frame.run.settings)._closing = True
            log_metric("loss", 1.0, step=1)
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(worker, 0)
        log_metric("loss", 2.0, step=2)

    training()
    for fd in (*ready, *end):
        os.close(fd)
    assert [point.value for point in client.list_metrics("churn", "loss")] == [0, 1, 2]
    assert not list(spool.rglob("*.journal"))


AT_EXIT = """
import atexit, threading
from tallymark import Model, log_metric, run

def no_thread(self):
    raise RuntimeError("can't create new thread at interpreter shutdown")

def last():
    threading.Thread.start = no_thread  # as in Python 3.12
    with run(model=Model("churn"), id="last"):
        log_metric("loss", 0.5, step=0)

with run(model=Model("churn"), id="first"):
    log_metric("loss", 0.5, step=0)
atexit.register(last)
"""


@pytest.mark.parametrize("idle", ["0", "5"])
def test_a_run_at_interpreter_shutdown_is_sent(client: Client, spool: Path, idle: str) -> None:
    """It is sent though the interpreter cannot start threads any more."""
    code = f"from tallymark.delivery import sender; sender.IDLE = {idle}\n{AT_EXIT}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert {run.id: run.state for run in client.list_runs()} == dict.fromkeys(("first", "last"), RunState.SUCCEEDED)
    assert not list(spool.rglob("*.journal"))


def test_another_process_sends_abandoned_journals(registry_env: Server, client: Client, spool: Path) -> None:
    """The next program that records for the same registry sends them in the background."""
    with program(KILLED, TALLYMARK_MODE="offline") as process:
        left = line_of(process)
        process.kill()
        process.wait()

    @pipeline(model=Model("other"))
    def training() -> None: ...

    training()
    wait_until(lambda: client.newest_revision() > 0 and len(list(client.list_runs(filter=f'run = "{left}"'))) == 1)
    wait_until(lambda: not list(spool.rglob("*.journal")))
    assert len(list(client.list_metrics("churn", "loss"))) == 10
    assert client.get_run(left).state is RunState.RUNNING


def test_checking_a_journal_does_not_lock_it(client: Client, spool: Path) -> None:
    """Several processes can check at once whether the process of a run is alive; only that process holds the lock."""

    @pipeline(model=Model("churn"))
    def training() -> None:
        log_metric("loss", 0.5, step=1)
        (path,) = spool.rglob("*.journal")
        assert spooling.is_held(path)
        left = path.with_name("left-behind.journal")
        left.write_bytes(b"")
        with left.open("rb") as looking:
            fcntl.flock(looking, fcntl.LOCK_SH)
            assert not spooling.is_held(left)
        left.unlink()

    training()
