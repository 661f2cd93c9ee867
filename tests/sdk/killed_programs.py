"""Start programs that record in runs, and kill them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

DEADLINE = 30.0


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until the condition is true, at most until a deadline."""
    moment = threading.Event()
    end = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < end, "it never came to be"
        moment.wait(0.02)


@contextmanager
def program(code: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Start a program in a process of its own, whose output can be read line by line."""
    started = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "TALLYMARK_TIMEOUT": "2", **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


# It prints when it may be killed, and when the registry may be stopped.
KILLED = """
import sys
from tallymark import Model, current_run, log_metadata, log_metric, pipeline, step

@step
def fit(epoch):
    for batch in range(10):
        log_metric("loss", epoch + batch / 10, step=epoch * 10 + batch)
    log_metadata({f"epoch {epoch}": True})

@pipeline(model=Model("churn"))
def training():
    fit(0)
    print(current_run(), flush=True)
    sys.stdin.readline()
    for epoch in range(1, 20):
        fit(epoch)
    print("all recorded", flush=True)
    sys.stdin.readline()

training()
"""
