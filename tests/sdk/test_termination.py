"""SIGTERM in programs with a run."""

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tallymark import Client
from tallymark.testing import Server
from tallymark.types.enums import RunState

BEGIN = """
import os, signal, sys, threading, time
import tallymark
from tallymark import Model, log_metric, pipeline, step
"""
# Waits for ever, but at most as long as a test may take.
WAIT = "print('ready', flush=True); time.sleep(100)"


@pytest.fixture
def client(registry_env: Server) -> Client:
    return Client()


def terminated(code: str, tmp_path: Path, before: Callable[[], object] = lambda: None) -> tuple[int, float]:
    """Send SIGTERM to a program when it is ready. Return its exit code, and the seconds until it ended."""
    program = tmp_path / "train.py"
    program.write_text(BEGIN + textwrap.dedent(code))
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        before()
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        status = process.wait(30)
    return status, time.monotonic() - begun


SYNC = f"""
@step
def train():
    log_metric("loss", 0.5, step=1)
    {WAIT}

@pipeline(model=Model("churn"))
def training():
    train()

training()
"""
ASYNC = """
import asyncio

@step
async def train():
    log_metric("loss", 0.5, step=1)
    print("ready", flush=True)
    await asyncio.sleep(100)

@pipeline(model=Model("churn"))
async def training():
    await train()

asyncio.run(training())
"""
# Native code that signals cannot interrupt, and that releases the GIL.
NATIVE = """
import hashlib

@pipeline(model=Model("churn"))
def training():
    threading.Timer(0.2, lambda: print("ready", flush=True)).start()
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 1_000_000_000)

training()
"""
BLOCK = f"""
with tallymark.run(model=Model("churn")):
    {WAIT}
"""
STARTED = f"""
run = tallymark.run(model=Model("churn")).start()
{WAIT}
"""
# The signal arrives while a record is written.
RECORDING = """
from tallymark.tracking.context import context_frame

with tallymark.run(model=Model("churn")):
    log_metric("loss", 0.5, step=1)
    with context_frame().run.recorder._journal._lock:
        print("ready", flush=True)
        time.sleep(0.5)
    time.sleep(100)
"""


@pytest.mark.parametrize("code", [SYNC, ASYNC], ids=["sync", "async"])
def test_a_run_that_is_terminated_has_failed(client: Client, tmp_path: Path, code: str) -> None:
    """SIGTERM fails the run and its steps, keeps their metrics, and ends the process by that signal, at once."""
    status, seconds = terminated(code, tmp_path)
    assert status == -signal.SIGTERM
    assert seconds < 5
    (run,) = client.list_runs()
    assert (run.state, run.error) == (RunState.FAILED, "SIGTERM")
    assert [(found.state, found.error) for found in client.list_steps(run.id)] == [(RunState.FAILED, "SIGTERM")]
    assert [point.value for point in client.list_metrics("churn/1")] == [0.5]


@pytest.mark.parametrize(
    "code", [NATIVE, BLOCK, STARTED, RECORDING], ids=["native code", "block", "started", "recording"]
)
def test_a_run_is_terminated_wherever_the_program_is(client: Client, tmp_path: Path, code: str) -> None:
    """That includes long native code, a block, a run without one, and the middle of a record."""
    status, seconds = terminated(code, tmp_path)
    assert (status, seconds < 5) == (-signal.SIGTERM, True)
    assert [(run.state, run.error) for run in client.list_runs()] == [(RunState.FAILED, "SIGTERM")]


def test_a_handler_of_the_program_takes_precedence(client: Client, tmp_path: Path) -> None:
    """A handler that the program sets before or in the run is called, and stays after the run."""
    code = f"""
    def handle(number, frame):
        raise SystemExit(7)

    if {{before}}:
        signal.signal(signal.SIGTERM, handle)
    with tallymark.run(model=Model("churn")):
        signal.signal(signal.SIGTERM, handle)
    assert signal.getsignal(signal.SIGTERM) is handle
    with tallymark.run(model=Model("churn")):
        {WAIT}
    """
    for before in (True, False):
        assert terminated(code.format(before=before), tmp_path)[0] == 7
    assert {run.error for run in client.list_runs()} == {"", "SystemExit: 7"}


def test_the_signal_is_restored_after_the_run(client: Client, tmp_path: Path) -> None:
    """After the last run, SIGTERM has its default action, and no other signal is affected."""
    code = f"""
    for _ in range(2):
        with tallymark.run(model=Model("churn")), tallymark.run(name="inner"):
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == -1
    elsewhere = threading.Thread(target=tallymark.run(model=Model("churn")).start)
    elsewhere.start()
    elsewhere.join()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    {WAIT}
    """
    assert terminated(code, tmp_path)[0] == -signal.SIGTERM
    assert {run.state for run in client.list_runs()} == {RunState.SUCCEEDED, RunState.RUNNING}


@pytest.mark.parametrize("main_ends", [False, True], ids=["both open", "the thread's open"])
def test_a_run_of_a_thread_is_terminated_too(client: Client, tmp_path: Path, *, main_ends: bool) -> None:
    """A run that another thread starts while one is open in the main thread is finished, also after that one."""
    code = f"""
    begun = threading.Event()

    def elsewhere():
        with tallymark.run(name="elsewhere", model=Model("churn")):
            begun.set()
            time.sleep(100)

    with tallymark.run(name="main"):
        threading.Thread(target=elsewhere, daemon=True).start()
        begun.wait()
        if not {main_ends}:
            {WAIT}
    {WAIT}
    """
    assert terminated(code, tmp_path)[0] == -signal.SIGTERM
    found = {run.pipeline: (run.state, run.error) for run in client.list_runs()}
    failed = (RunState.FAILED, "SIGTERM")
    assert found == {"elsewhere": failed, "main": (RunState.SUCCEEDED, "") if main_ends else failed}


def test_a_handler_left_by_a_thread_is_harmless(client: Client, tmp_path: Path) -> None:
    """If a thread's run ends last, the signal still ends the process and its children; the next run restores it."""
    code = f"""
    import multiprocessing
    begun, over = threading.Event(), threading.Event()

    def elsewhere():
        with tallymark.run(name="elsewhere"):
            begun.set()
            over.wait()

    thread = threading.Thread(target=elsewhere)
    with tallymark.run(name="main"):
        thread.start()
        begun.wait()
    over.set()
    thread.join()
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(100,))
    child.start()
    child.terminate()
    child.join(30)
    assert child.exitcode == -15
    if not {{restored}}:
        {WAIT}
    with tallymark.run(name="next"):
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    {WAIT}
    """
    for restored in (False, True):
        assert terminated(code.format(restored=restored), tmp_path)[0] == -signal.SIGTERM
    assert {run.state for run in client.list_runs()} == {RunState.SUCCEEDED}


def test_terminating_a_child_does_not_end_the_run(client: Client, tmp_path: Path) -> None:
    """The end of a forked process, or of another program, ends neither the run nor its process."""
    code = """
    import multiprocessing, subprocess

    def fork_and_end():
        child = os.fork() or time.sleep(100)
        os.kill(child, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -15

    with tallymark.run(model=Model("churn")):
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(100,))
        child.start()
        program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
        for each in (child, program):
            os.kill(each.pid, signal.SIGTERM)
        child.join(30)
        assert (child.exitcode, program.wait(30)) == (-15, -15)
        forking = threading.Thread(target=lambda: [fork_and_end() for _ in range(20)])
        forking.start()
        forking.join()
    print("ready", flush=True)
    time.sleep(100)
    """
    assert terminated(code, tmp_path)[0] == -signal.SIGTERM
    assert [run.state for run in client.list_runs()] == [RunState.SUCCEEDED]


def test_termination_does_not_wait_for_an_unreachable_registry(registry_env: Server, tmp_path: Path) -> None:
    """The process ends by the signal within a few seconds."""
    status, seconds = terminated(BLOCK, tmp_path, before=registry_env.kill)
    assert status == -signal.SIGTERM
    assert seconds < 10
