"""The performance goals, and the table that compares them with what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

Found = dict[str, Any]


class Goal(NamedTuple):
    """A least or greatest value of a figure that is computed from a section of the report."""

    what: str
    bound: float
    at_least: bool
    section: str
    measured: Callable[[Found], float]
    unit: str = ""


def ratio(kinds: dict[str, list[dict[str, float]]], one: str, other: str, field: str = "per_second") -> list[float]:
    """Return the ratio of a field of one kind to that of another, for each round."""
    return [a[field] / b[field] for a, b in zip(kinds[one], kinds[other], strict=True)]


def _echo_ratio(kind: str, concurrency: int, field: str = "per_second") -> Callable[[Found], float]:
    return lambda found: statistics.median(ratio(found["by_concurrency"][str(concurrency)], kind, "echo", field))


def _growth_ratio(name: str) -> Callable[[Found], float]:
    def measured(found: Found) -> float:
        sizes = list(found)
        return float(found[sizes[-1]][name] / found[sizes[0]][name])

    return measured


def _of_replicas(kind: str, count: int) -> Callable[[Found], float]:
    def measured(found: Found) -> float:
        rates = found["replicas"][kind]
        return float(statistics.median(rates[str(count)]) / statistics.median(rates["1"]))

    return measured


def _grown(name: str) -> Callable[[Found], float]:
    return lambda found: _growth_ratio(name)(found["growth"])


GOALS = (
    Goal("durable creates / echoes, 1 concurrent call", 0.5, True, "throughput", _echo_ratio("create", 1)),
    Goal("durable creates / echoes, 8 concurrent calls", 0.7, True, "throughput", _echo_ratio("create", 8)),
    Goal("durable creates / echoes, 64 concurrent calls", 0.9, True, "throughput", _echo_ratio("create", 64)),
    Goal("durable creates / echoes, 512 concurrent calls", 0.85, True, "throughput", _echo_ratio("create", 512)),
    Goal(
        "99th percentile, create / echo, 64 concurrent calls",
        1.3,
        False,
        "throughput",
        _echo_ratio("create", 64, "p99"),
    ),
    Goal("gets of a version / echoes, 64 concurrent calls", 0.9, True, "throughput", _echo_ratio("get", 64)),
    Goal(
        "creates in 64 models / in one model, 64 concurrent calls",
        0.95,
        True,
        "throughput",
        lambda found: statistics.median(ratio(found["models"]["64"], "many", "one")),
    ),
    Goal(
        "versions created in batches of 100 / one by one",
        8,
        True,
        "throughput",
        lambda found: statistics.median(ratio(found["batches"], "batch", "unary")),
    ),
    Goal("create, with most / with fewest versions", 1.1, False, "growth", _growth_ratio("create_ms")),
    Goal("get by number, with most / with fewest versions", 1.1, False, "growth", _growth_ratio("get by number_ms")),
    Goal("gets on PostgreSQL / echoes, 64 concurrent calls", 0.65, True, "postgres", _echo_ratio("postgres get", 64)),
    Goal("two replicas / one, on different projects", 1.8, True, "postgres", _of_replicas("different projects", 2)),
    Goal("two replicas / one, on one project", 0.9, True, "postgres", _of_replicas("one project", 2)),
    Goal("three replicas / one, on one project", 0.9, True, "postgres", _of_replicas("one project", 3)),
    Goal(
        "a change reaches a watch of another replica",
        5,
        False,
        "postgres",
        lambda found: statistics.median(found["elsewhere_ms"]),
        "ms",
    ),
    Goal("create on PostgreSQL, with most / with fewest versions", 1.1, False, "postgres", _grown("create_ms")),
    Goal("get on PostgreSQL, with most / with fewest versions", 1.1, False, "postgres", _grown("get_ms")),
    Goal("server start / import of grpc and the stubs", 1.5, False, "sdk", lambda f: f["server_start_beside_stubs"]),
    Goal(
        "import tallymark, in addition to Python's start",
        40,
        False,
        "sdk",
        lambda f: f["import_tallymark_above_bare_ms"],
        "ms",
    ),
    Goal("overhead of a disabled step", 10, False, "sdk", lambda f: f["disabled_step_us"], "µs"),
    Goal(
        "recorded step without its own model / warm call",
        0.2,
        False,
        "sdk",
        lambda f: f["recorded_step_beside_warm_call_ratio"],
    ),
    Goal("20,000 log_metric calls in a run", 0.2, False, "sdk", lambda f: f["20,000_log_metric_calls_s"], "s"),
    Goal("the slowest of these log_metric calls", 5, False, "sdk", lambda f: f["slowest_log_metric_call_ms"], "ms"),
    Goal(
        "memory of an idle server",
        70,
        False,
        "growth",
        lambda found: found[min(found, key=int)]["idle_resident_bytes"] / 2**20,
        "MiB",
    ),
    Goal("concurrent watchers", 1000, True, "growth", lambda found: found[min(found, key=int)]["watchers"]),
    Goal("slowest page, with 100,000 versions", 100, False, "dashboard", lambda f: max(f["pages_ms"].values()), "ms"),
    Goal("a change appears in an open page", 200, False, "dashboard", lambda f: f["shown_after_ms"]["0"], "ms"),
)


def table(sections: dict[str, Any]) -> Iterator[str]:
    """Yield the table of goals as Markdown, without those that an older report has no figures for."""
    yield "| | goal | measured | |"
    yield "|---|--:|--:|---|"
    for goal in GOALS:
        with suppress(KeyError):
            measured = goal.measured(sections[goal.section]["found"])
            reached = measured >= goal.bound if goal.at_least else measured <= goal.bound
            sign, unit = "≥" if goal.at_least else "≤", goal.unit and f" {goal.unit}"
            yield (
                f"| {goal.what} | {sign} {goal.bound:,g}{unit} | {_formatted(measured)}{unit}"
                f" | {'reached' if reached else '**not reached**'} |"
            )


def _formatted(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
