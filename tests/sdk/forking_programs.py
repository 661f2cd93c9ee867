"""Trainings that start processes: `python -m sdk.forking_programs METHOD [problem|busy]` prints the id of the run.

They are programs of their own, because gRPC does not support a fork while other threads use it, as those of tests may.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from tallymark import Client, Model, current_run, log_metadata, log_metric, pipeline, step
from tallymark.delivery import sender


def in_process(start: int) -> None:
    """Record fifty points."""
    for at in range(start, start + 50):
        log_metric("loss", float(at), step=at)


@step
def work(number: int) -> int:
    """Record one point."""
    log_metric("loss", float(number), step=number)
    return number


@pipeline(model=Model("churn"))
def with_processes(method: str) -> str:
    """Record from three processes, and before they are started."""
    # The types of the standard library know Process only for a method that is a literal.
    context: Any = multiprocessing.get_context(method)
    log_metric("loss", -1.0, step=1000)
    processes = [context.Process(target=in_process, args=(start,)) for start in (0, 50, 100)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    return current_run()


@pipeline(model=Model("churn"))
def with_pool(pool: ProcessPoolExecutor) -> str:
    """Record from workers that live on after the run."""
    assert list(pool.map(work, range(20))) == list(range(20))
    return current_run()


def leave_out() -> None:
    """Log a value that cannot be recorded."""
    log_metadata({"made in a worker": object()})


@pipeline(model=Model("churn"))
def with_problem(method: str) -> str:
    """Log a value that cannot be recorded, and have another process do the same."""
    log_metadata({"made before": object()})
    # The types of the standard library know Process only for a method that is a literal.
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=leave_out)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    return current_run()


@pipeline(model=Model("churn"))
def with_calls(method: str) -> str:
    """Record from processes that are started while four threads call the registry, as fast as they can."""
    ended = threading.Event()

    def call() -> None:
        with Client() as client:
            while not ended.is_set():
                client.get_model("churn")

    # The types of the standard library know Process only for a method that is a literal.
    context: Any = multiprocessing.get_context(method)
    log_metric("loss", -1.0, step=1000)
    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        for start in range(0, 600, 50):
            process = context.Process(target=in_process, args=(start,))
            process.start()
            process.join(60)
            assert process.exitcode == 0, process.exitcode
    finally:
        ended.set()
        for caller in callers:
            caller.join()
    return current_run()


def main(method: str, what: str = "") -> str:
    """Run one of the trainings, and return the id of its run. `method` is a start method, or `pool`."""
    if what == "busy":
        return with_calls(method)
    # No call runs while processes are started, however long that takes.
    sender.BATCH_DELAY = 5.0
    if what == "problem":
        return with_problem(method)
    if method != "pool":
        return with_processes(method)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        return with_pool(pool)


def run_program(*arguments: str) -> str:
    """Run one of the trainings as a program, and return the id of its run."""
    done = subprocess.run(
        [sys.executable, "-m", "sdk.forking_programs", *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


if __name__ == "__main__":
    sys.stdout.write(main(*sys.argv[1:]))
