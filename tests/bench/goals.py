"""What the registry is to reach, each beside what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

Found = dict[str, Any]


class Goal(NamedTuple):
    """At least or at most so much, of what the measured sections give."""

    what: str
    bound: float
    at_least: bool
    section: str
    measured: Callable[[Found], float]
    unit: str = ""


def ratio(kinds: dict[str, list[dict[str, float]]], one: str, other: str, field: str = "per_second") -> list[float]:
    """How one compares with the other, for each round."""
    return [a[field] / b[field] for a, b in zip(kinds[one], kinds[other], strict=True)]


def _beside(kind: str, concurrency: int, field: str = "per_second") -> Callable[[Found], float]:
    return lambda found: statistics.median(ratio(found["by_concurrency"][str(concurrency)], kind, "echo", field))


def _grown(name: str) -> Callable[[Found], float]:
    def measured(found: Found) -> float:
        sizes = list(found)
        return float(found[sizes[-1]][name] / found[sizes[0]][name])

    return measured


GOALS = (
    Goal("durable create beside an echo, 1 at once", 0.5, True, "throughput", _beside("create", 1)),
    Goal("durable create beside an echo, 8 at once", 0.7, True, "throughput", _beside("create", 8)),
    Goal("durable create beside an echo, 64 at once", 0.9, True, "throughput", _beside("create", 64)),
    Goal("durable create beside an echo, 512 at once", 0.85, True, "throughput", _beside("create", 512)),
    Goal("its 99th percentile beside an echo's, 64 at once", 1.3, False, "throughput", _beside("create", 64, "p99")),
    Goal("get of a version beside an echo, 64 at once", 0.9, True, "throughput", _beside("get", 64)),
    Goal(
        "creates in 64 models beside one, 64 at once",
        0.95,
        True,
        "throughput",
        lambda found: statistics.median(ratio(found["models"]["64"], "many", "one")),
    ),
    Goal(
        "versions by the hundred beside one by one",
        8,
        True,
        "throughput",
        lambda found: statistics.median(ratio(found["batches"], "batch", "unary")),
    ),
    Goal("create, the most versions beside the fewest", 1.1, False, "growth", _grown("create_ms")),
    Goal("get by number, the most versions beside the fewest", 1.1, False, "growth", _grown("get by number_ms")),
    Goal(
        "start of a server beside importing grpc and stubs", 1.5, False, "sdk", lambda f: f["server_start_beside_stubs"]
    ),
    Goal("import tallymark above bare Python", 40, False, "sdk", lambda f: f["import_tallymark_above_bare_ms"], "ms"),
    Goal("a disabled step above a bare call", 10, False, "sdk", lambda f: f["disabled_step_us"], "µs"),
    Goal(
        "a recorded step without a model of its own beside a warm call",
        0.2,
        False,
        "sdk",
        lambda f: f["recorded_step_beside_warm_call_ratio"],
    ),
    Goal("20,000 log_metric calls in a run", 0.2, False, "sdk", lambda f: f["20,000_log_metric_calls_s"], "s"),
    Goal("the slowest of them", 5, False, "sdk", lambda f: f["slowest_log_metric_call_ms"], "ms"),
    Goal(
        "memory of an idle server",
        70,
        False,
        "growth",
        lambda found: found[min(found, key=int)]["idle_resident_bytes"] / 2**20,
        "MiB",
    ),
    Goal("watchers served at once", 1000, True, "growth", lambda found: found[min(found, key=int)]["watchers"]),
    Goal("first page, of 100,000 versions", 100, False, "dashboard", lambda f: max(f["pages_ms"].values()), "ms"),
    Goal("a change shown in an open page", 200, False, "dashboard", lambda f: f["shown_after_ms"]["0"], "ms"),
)


def table(sections: dict[str, Any]) -> Iterator[str]:
    """The goals of which something was measured, also before others were set."""
    yield "| | goal | measured | |"
    yield "|---|--:|--:|---|"
    for goal in GOALS:
        with suppress(KeyError):
            measured = goal.measured(sections[goal.section]["found"])
            reached = measured >= goal.bound if goal.at_least else measured <= goal.bound
            sign, unit = "≥" if goal.at_least else "≤", goal.unit and f" {goal.unit}"
            yield (
                f"| {goal.what} | {sign} {goal.bound:,g}{unit} | {_shown(measured)}{unit}"
                f" | {'reached' if reached else '**not reached**'} |"
            )


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
