"""Pipelines in a module of their own, so that processes started by spawn can import them."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from typing import Any

from tallymark import Model, current_model, current_run, log_metadata, pipeline, step

model = Model(name="my_model")


@step
def numbered_by_pipeline() -> int:
    return current_model().number


@step(model=Model(name="my_model"))
def numbered_by_itself() -> int:
    return current_model().number


def report(queue: multiprocessing.Queue[tuple[str, int, int]]) -> None:
    """Return what a process of the run reports."""
    queue.put((current_run(), numbered_by_pipeline(), numbered_by_itself()))


@pipeline(model=model)
def over_processes(start_method: str, count: int) -> list[tuple[str, int, int]]:
    # The types of the standard library know Process only for a method that is a literal.
    context: Any = multiprocessing.get_context(start_method)
    queue = context.Queue()
    processes = [context.Process(target=report, args=(queue,)) for _ in range(count)]
    for process in processes:
        process.start()
    found = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    queue.close()
    queue.join_thread()
    return [*found, (current_run(), numbered_by_pipeline(), numbered_by_itself())]


@pipeline(model=model)
def over_programs(code: str, count: int) -> list[str]:
    programs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return [program.communicate(timeout=60)[0].strip() for program in programs]


@pipeline(model=Model(name="my_model", version="nightly {date} {time} {flavour}"), substitutions={"flavour": "sweet"})
def templated(code: str) -> tuple[str, str]:
    named = current_model().version_name
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return named, child.stdout.strip()


@step
def failing(problem: BaseException) -> None:
    log_metadata({"seen": True})
    raise problem


@pipeline(model=model)
def failing_pipeline(problem: BaseException) -> None:
    failing(problem)
