"""The section of the report about PostgreSQL."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from bench.goals import ratio

_COUNTS = ("operations", "hedged", "repeated", "effects", "revisions", "checks", "problems")


def section(found: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the section."""
    yield "## Replicas on PostgreSQL"
    yield ""
    yield (
        f"`make bench-postgres`: load from {found['generator']}; medians of {found['rounds']} alternating rounds, with"
        " the minimum and the maximum in brackets; the database, the replicas, SQLite, the echo and the load share"
        f" this machine. {found['database']} with fsync and synchronous_commit on."
        f" {found['verified']['postgres']:,} versions were created there, and verified to have no gap."
        f" {found['note']}".rstrip()
    )
    yield from _rates(found["by_concurrency"])
    yield from _costs(found["by_concurrency"])
    yield from _batches(found["batches"])
    yield from _replicas(found["replicas"])
    yield from _growth(found["growth"])
    centiles = statistics.quantiles(found["elsewhere_ms"], n=100)
    yield ""
    yield (
        f"A watch of another replica returns the event of a create {centiles[49]:.2f} ms after the create was answered"
        f" (median), {centiles[98]:.2f} ms (99th percentile)."
    )


def rows(found: dict[str, Any]) -> Iterator[str]:
    """Yield the rows of README.md's table; a quick run has none."""
    if found["quick"]:
        return
    for concurrency, kinds in found["by_concurrency"].items():
        yield (
            f"| {concurrency}, on PostgreSQL | {_median(kinds, 'postgres create'):,.0f} | {_median(kinds, 'echo'):,.0f}"
            f" | {_ratio(kinds, 'postgres create', 'echo')} | |"
        )


def failover(found: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the section about faults of replicas, or of the database."""
    total = found["total"]
    faults = ", ".join(name.replace("_", " ") for name in total if name not in _COUNTS)
    yield f"## Faults of replicas: {faults}"
    yield ""
    yield (
        f"`make soak`: {total['operations']:,} requests of every method to three replicas on one PostgreSQL. Each"
        " answer, a watch of every replica and a training that records meanwhile are compared with the one log."
    )
    yield ""
    yield f"| {' | '.join(name.replace('_', ' ') for name in total)} |"
    yield f"|{'--:|' * len(total)}"
    yield f"| {' | '.join(f'{value:,}' for value in total.values())} |"


def _rates(by_concurrency: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield "| concurrent | create/s | SQLite create/s | get/s | create/echo | get/echo | create/SQLite | p50, p99 ms |"
    yield "|--:|--:|--:|--:|--:|--:|--:|--:|"
    for concurrency, kinds in by_concurrency.items():
        p50, p99 = (_median(kinds, "postgres create", field) for field in ("p50", "p99"))
        yield (
            f"| {concurrency} | {_median(kinds, 'postgres create'):,.0f} | {_median(kinds, 'sqlite create'):,.0f}"
            f" | {_median(kinds, 'postgres get'):,.0f} | {_ratio(kinds, 'postgres create', 'echo')}"
            f" | {_ratio(kinds, 'postgres get', 'echo')} | {_ratio(kinds, 'postgres create', 'sqlite create')}"
            f" | {p50:,.2f}, {p99:,.2f} |"
        )


def _costs(by_concurrency: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield "The time of processors that one call takes, in microseconds, which other load hardly changes:"
    yield ""
    yield "| concurrent | create: server | create: database | create: SQLite's server | get: server | get: database |"
    yield "|--:|--:|--:|--:|--:|--:|"
    for concurrency, kinds in by_concurrency.items():
        cells = [
            _median(kinds, kind, field)
            for kind, field in (
                ("postgres create", "server_cpu_us"),
                ("postgres create", "database_cpu_us"),
                ("sqlite create", "server_cpu_us"),
                ("postgres get", "server_cpu_us"),
                ("postgres get", "database_cpu_us"),
            )
        ]
        yield f"| {concurrency} | {' | '.join(f'{cell:,.0f}' for cell in cells)} |"


def _batches(batches: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield (
        f"In batches of 100, {_median(batches, 'postgres'):,.0f} versions are created in a second, and"
        f" {_median(batches, 'sqlite'):,.0f} on SQLite ({_ratio(batches, 'postgres', 'sqlite')})."
    )


def _replicas(together: dict[str, dict[str, list[float]]]) -> Iterator[str]:
    yield ""
    yield "Creates per second of several replicas, with 64 callers in all:"
    yield ""
    counts = list(next(iter(together.values())))
    yield f"| | {' | '.join(f'{count} replicas' if count != '1' else '1 replica' for count in counts)} |"
    yield f"|---|{'--:|' * len(counts)}"
    for kind, rates in together.items():
        first = statistics.median(rates[counts[0]])
        cells = [f"{statistics.median(rates[n]):,.0f} ({statistics.median(rates[n]) / first:.2f})" for n in counts]
        yield f"| {kind} | {' | '.join(cells)} |"


def _growth(growth: dict[str, dict[str, float]]) -> Iterator[str]:
    sizes = list(growth)
    yield ""
    yield f"| | {' | '.join(f'{int(size):,} versions' for size in sizes)} |"
    yield f"|---|{'--:|' * len(sizes)}"
    for name in growth[sizes[0]]:
        first = growth[sizes[0]][name]
        cells = [f"{growth[size][name]:,.2f} ({growth[size][name] / first:.2f})" for size in sizes]
        yield f"| {name.replace('_', ' ')} | {' | '.join(cells)} |"


def _median(kinds: dict[str, list[dict[str, float]]], kind: str, field: str = "per_second") -> float:
    return statistics.median(one[field] for one in kinds[kind])


def _ratio(kinds: dict[str, list[dict[str, float]]], one: str, other: str) -> str:
    ratios = ratio(kinds, one, other)
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
