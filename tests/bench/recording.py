"""The cost of recording in a training program: each measurement is a training in a separate process.

Afterwards the bench checks that the registry has everything that was recorded.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench.servers import UnverifiedError

from tallymark import Client, Model, current_run, log_metadata, log_metric, pipeline, step

# How many calls one measurement has: steps with recording disabled, recorded steps, gets, points and facts.
DISABLED_STEPS, STEPS, CALLS, POINTS, FACTS = 5000, 50, 50, 20_000, 500
Taken = dict[str, list[float]]


def measure(address: str, rounds: int) -> dict[str, float]:
    """Return medians of the rounds. Raise UnverifiedError if the registry lacks something that was recorded."""
    disabled = _trained("disabled", rounds, {"TALLYMARK_MODE": "disabled"})
    recorded = _trained("recorded", rounds, {"TALLYMARK_URL": address})
    logged = _trained("logged", rounds, {"TALLYMARK_URL": address})
    with Client(address) as client:
        _verify(client, recorded["run"], rounds)
    return {
        "warm_call_ms": _median(recorded["call"], 1e3),
        "recorded_step_us": _median(recorded["step"], 1e6),
        "recorded_step_beside_warm_call_ratio": _median(_ratios(recorded["step"], recorded["call"])),
        "disabled_step_us": _median((a - b for a, b in zip(disabled["step"], disabled["bare"], strict=True)), 1e6),
        "disabled_step_beside_bare_call_ratio": _median(_ratios(disabled["step"], disabled["bare"])),
        "20,000_log_metric_calls_s": _median(logged["points"]),
        "slowest_log_metric_call_ms": _median(logged["slowest"], 1e3),
        "log_metadata_us": _median(logged["facts"], 1e6),
    }


def _trained(name: str, rounds: int, environment: dict[str, str]) -> dict[str, Any]:
    """Run one of the trainings below in a separate process, and return the figures that it prints."""
    command = [sys.executable, "-m", "bench.recording", name, str(rounds)]
    folder = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as spool:
        environment = {**os.environ, "TALLYMARK_SPOOL": spool, **environment}
        done = subprocess.run(command, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _verify(client: Client, run: str, rounds: int) -> None:
    found: dict[str, object] = {"steps": sum(1 for _ in client.list_steps(run))}
    expected = {"steps": rounds * STEPS}
    for number in range(1, rounds + 1):
        points = [point.step for point in client.list_metrics(f"logged/{number}", "loss")]
        found[f"points of version {number}"] = len(points)
        found[f"last fact of version {number}"] = client.get_version(f"logged/{number}").metadata["fact"]
        expected[f"points of version {number}"] = POINTS if points == list(range(POINTS)) else -1
        expected[f"last fact of version {number}"] = FACTS - 1
    if found != expected:
        raise UnverifiedError(f"the registry should have {expected}, but has {found}")


def _median(values: Iterable[float], scale: float = 1.0) -> float:
    return statistics.median(values) * scale


def _ratios(some: list[float], others: list[float]) -> list[float]:
    return [one / other for one, other in zip(some, others, strict=True)]


def _seconds_per_call(function: Callable[[int], object], count: int) -> float:
    """Call a function so many times, and return the mean seconds of a call."""
    begun = time.perf_counter()
    for turn in range(count):
        function(turn)
    return (time.perf_counter() - begun) / count


def bare(turn: int) -> int:
    """Return the argument: a function without a decorator."""
    return turn


decorated = step(bare)


def disabled(rounds: int) -> Taken:
    """Measure a step with recording disabled and a bare call, alternating."""
    taken: Taken = {"step": [], "bare": []}
    for _ in range(rounds):
        taken["step"].append(_seconds_per_call(decorated, DISABLED_STEPS))
        taken["bare"].append(_seconds_per_call(bare, DISABLED_STEPS))
    return taken


@pipeline(model=Model(name="recorded"))
def recorded(rounds: int) -> dict[str, Any]:
    """Measure a step without its own model and a warm call, alternating, with nothing left to send between them."""
    taken: Taken = {"step": [], "call": []}
    model = Model(name="recorded", version="latest")
    with Client() as client:
        for _ in range(rounds):
            taken["step"].append(_seconds_per_call(decorated, STEPS))
            _ = model.info  # a read in a run waits until its records are sent
            client.newest_revision()
            taken["call"].append(_seconds_per_call(lambda _: client.get_version("recorded/1"), CALLS))
    return {**taken, "run": current_run()}


def logged(rounds: int) -> Taken:
    """Measure logging points and facts, each round in its own run and version."""
    taken: Taken = {"points": [], "slowest": [], "facts": []}

    @pipeline(model=Model(name="logged"))
    def training() -> None:
        slowest = 0.0
        begun = before = time.perf_counter()
        for turn in range(POINTS):
            log_metric("loss", turn / POINTS, step=turn)
            now = time.perf_counter()
            slowest, before = max(slowest, now - before), now
        taken["points"].append(before - begun)
        taken["slowest"].append(slowest)
        taken["facts"].append(_seconds_per_call(lambda turn: log_metadata({"fact": turn}), FACTS))

    for _ in range(rounds):
        training()
    return taken


if __name__ == "__main__":
    TRAININGS: dict[str, Callable[[int], dict[str, Any]]] = {
        "disabled": disabled, "recorded": recorded, "logged": logged
    }  # fmt: skip
    print(json.dumps(TRAININGS[sys.argv[1]](int(sys.argv[2]))))
