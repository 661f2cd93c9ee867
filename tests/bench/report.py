"""The report: what was measured as JSON, and from it, and nothing else, a page and its plots.

python -m bench.report --check     fails when the page is not what the JSON tells
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib as mpl
from bench import goals
from bench.disk import FLUSHED
from matplotlib.figure import Figure

JSON, PAGE = "bench.json", "report.md"
README = Path(__file__).parents[2] / "README.md"
PUBLISHED = Path(__file__).with_name("published")
UNITS = {"us": " µs", "ratio": ""}
BEGIN, END = "<!-- written by make bench -->", "<!-- until here -->"
LOOKS = {"echo": ("an echo that does nothing", "#999999"), "create": ("Tallymark, durable", "#b23a2e"),
         "naive": ("a transaction for each create", "#33658a")}  # fmt: skip


def keep(folder: Path, **found: Any) -> None:
    """Add to what is known, with where and when it was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    known = load(folder) if (folder / JSON).exists() else {}
    measured = {name: {"on": machine(), "found": each} for name, each in found.items()}
    (folder / JSON).write_text(json.dumps({**known, **measured}, indent=1) + "\n")


def load(folder: Path) -> dict[str, Any]:
    """What was measured."""
    found: dict[str, Any] = json.loads((folder / JSON).read_text())
    return found


def machine() -> dict[str, str]:
    """Where and when."""
    cores = os.cpu_count()
    models = [line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")]
    return {
        "when": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{cores} cores, {models[0] if models else platform.machine()}, {platform.system()}",
        "versions": f"Python {platform.python_version()}, grpcio {version('grpcio')}, protobuf {version('protobuf')},"
        f" SQLite {sqlite3.sqlite_version}",
    }


def publish(folder: Path) -> str:
    """Write the page and its plots, and give the page."""
    found = load(folder)
    if "throughput" in found:
        by_concurrency = found["throughput"]["found"]["by_concurrency"]
        _plot(folder / "throughput.svg", by_concurrency, "per_second", "calls per second", "linear")
        _plot(folder / "p99.svg", by_concurrency, "p99", "99th percentile, ms", "log")
    text = page(found)
    (folder / PAGE).write_text(text)
    if folder.resolve() == PUBLISHED and "throughput" in found:
        README.write_text(in_readme(README.read_text(), found))
    return text


def summary(found: dict[str, Any]) -> str:
    """The few lines that README shows."""
    measured = found["throughput"]["found"]
    lines = [
        "| concurrent calls | creates/s | echoes/s | creates / echoes | creates / creates with a commit each |",
        "|--:|--:|--:|--:|--:|",
    ]
    for concurrency, kinds in measured["by_concurrency"].items():
        lines.append(
            f"| {concurrency} | {_median(kinds, 'create'):,.0f} | {_median(kinds, 'echo'):,.0f}"
            f" | {_ratio(kinds, 'create', 'echo')} | {_ratio(kinds, 'create', 'naive')} |"
        )
    on = found["throughput"]["on"]
    return "\n".join([*lines, "", f"Measured on {on['when']} with {on['machine']}."])


def in_readme(readme: str, found: dict[str, Any]) -> str:
    """README with the summary between its two marks."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{summary(found)}\n{END}{after}"


def page(found: dict[str, Any]) -> str:
    """The report as Markdown."""
    made = (
        "Made by `make bench`, `make bench-growth`, `make bench-dashboard` and `make bench-peers` from `bench.json`,"
        " figures and all. [Where the time of a create goes](where-time-goes.md) tells why what is not reached is not."
    )
    lines = ["# What Tallymark costs", "", made, "", *goals.table(found), ""]
    for name, section in (
        ("throughput", _throughput),
        ("sdk", _sdk),
        ("growth", _growth),
        ("dashboard", _dashboard),
        ("peers", _peers),
        ("faults", _faults),
        ("consistency", _consistency),
    ):
        if name in found:
            on = found[name]["on"]
            lines += [*section(found[name]["found"]), "", f"{on['when']}: {on['machine']}; {on['versions']}.", ""]
    return "\n".join(lines)


def _throughput(found: dict[str, Any]) -> Iterator[str]:
    by_concurrency = found["by_concurrency"]
    yield "## Durable creates beside an echo"
    yield ""
    yield (
        f"Load by {found['generator']}, medians of {found['rounds']} rounds in alternation, the least and the most in"
        " brackets; SQLite in WAL mode with synchronous=FULL. The echo is a bare grpc.aio server with an answer as"
        f" large; both run on uvloop. All gets ask for one version, which the server knows after the first."
        f" {found['verified']:,} versions were created, are there, and have no gap."
    )
    yield ""
    yield "![Calls per second by concurrency](throughput.svg) ![99th percentile by concurrency](p99.svg)"
    yield ""
    yield "| at once | echo/s | create/s | naive/s | create/echo | p99 create/echo | get/echo | create/naive |"
    yield "|--:|--:|--:|--:|--:|--:|--:|--:|"
    for concurrency, kinds in by_concurrency.items():
        yield (
            f"| {concurrency} | {_median(kinds, 'echo'):,.0f} | {_median(kinds, 'create'):,.0f}"
            f" | {_median(kinds, 'naive'):,.0f} | {_ratio(kinds, 'create', 'echo')}"
            f" | {_ratio(kinds, 'create', 'echo', 'p99')} | {_ratio(kinds, 'get', 'echo')}"
            f" | {_ratio(kinds, 'create', 'naive')} |"
        )
    yield from _latencies(by_concurrency)
    yield from _spread(found)
    flush = found["flush_ms"]
    yield ""
    yield (
        f"To write {FLUSHED // 1024} KiB, as much as a create does, to this disk and wait for it took"
        f" {flush[0]:.2f} ms, and one in a hundred {flush[1]:.2f} ms or more: with one call at a time no create can be"
        f" more than {_bound(by_concurrency['1'], flush[0]):.2f} of an echo here."
    )


def _spread(found: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield "By the hundred, and in 64 models, for which the load comes from processes in Python:"
    yield ""
    yield "| | per second | against | ratio |"
    yield "|---|--:|---|--:|"
    batches = found["batches"]
    yield (
        f"| versions created by the hundred | {_median(batches, 'batch'):,.0f} | one by one, 64 at once"
        f" | {_ratio(batches, 'batch', 'unary')} |"
    )
    for concurrency, models in found["models"].items():
        yield (
            f"| creates in 64 models, {concurrency} at once | {_median(models, 'many'):,.0f} | in one model"
            f" | {_ratio(models, 'many', 'one')} |"
        )


def _bound(kinds: dict[str, list[dict[str, float]]], flush: float) -> float:
    """What an echo is of an echo and a write to the disk."""
    echo = _median(kinds, "echo", "p50")
    return echo / (echo + flush)


def _latencies(by_concurrency: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield "Latencies in milliseconds, the median and the 99th percentile:"
    yield ""
    yield "| at once | echo | create | get | naive |"
    yield "|--:|--:|--:|--:|--:|"
    for concurrency, kinds in by_concurrency.items():
        told = [
            f"{_median(kinds, kind, 'p50'):,.2f}, {_median(kinds, kind, 'p99'):,.2f}"
            for kind in ("echo", "create", "get", "naive")
        ]
        yield f"| {concurrency} | {' | '.join(told)} |"


def _sdk(found: dict[str, float]) -> Iterator[str]:
    yield "## Starting, and the SDK"
    yield ""
    yield "| | |"
    yield "|---|--:|"
    for name, value in found.items():
        what, unit = name.rsplit("_", 1)
        if unit != "stubs":
            yield f"| {what.replace('_', ' ')} | {value:,.2f}{UNITS.get(unit, f' {unit}')} |"
    started = found["server_start_beside_stubs"]
    yield f"| server start, against a process that imports grpc and stubs, in turns | {started:.2f} |"


def _growth(found: dict[str, dict[str, float]]) -> Iterator[str]:
    sizes = list(found)
    yield "## Growth"
    yield ""
    yield (
        "Medians, the sizes asked in turns, and in brackets how often that of the smallest; half of the versions are in"
        " one model. Every get is asked after a change. A search looks at 10,000 versions for a page."
    )
    yield ""
    yield f"| | {' | '.join(f'{int(size):,} versions' for size in sizes)} |"
    yield f"|---|{'--:|' * len(sizes)}"
    for name in found[sizes[0]]:
        first = found[sizes[0]][name]
        cells = [f"{found[size][name]:,.2f} ({found[size][name] / first:.2f})" for size in sizes]
        yield f"| {name.replace('_', ' ')} | {' | '.join(cells)} |"


def _dashboard(found: dict[str, Any]) -> Iterator[str]:
    yield "## The dashboard"
    yield ""
    yield f"Pages of a model with {found['versions']:,} versions, until the last byte is here:"
    yield ""
    yield "| page | ms |"
    yield "|---|--:|"
    for name, taken in found["pages_ms"].items():
        yield f"| {name} | {taken:,.1f} |"
    yield ""
    yield "From the call that creates a version until its row is in a page in Chromium, while others are open too:"
    yield ""
    yield "| others open | ms |"
    yield "|--:|--:|"
    for others, taken in found["shown_after_ms"].items():
        yield f"| {others} | {taken:,.0f} |"
    yield ""
    alone, watched = found["creates_per_second"]
    yield (
        f"Creates per second, 8 at once: {alone:,.0f} with no page open, {watched:,.0f} beside {found['viewers']:,}"
        " open ones, each of which asks anew when it is told to."
    )


def _peers(found: dict[str, Any]) -> Iterator[str]:
    yield "## Beside others"
    yield ""
    yield f"{found['callers']} callers in Python at once. {found['settings']}"
    yield ""
    yield "| | creates/s | gets/s | creates, Tallymark/it | gets, Tallymark/it |"
    yield "|---|--:|--:|--:|--:|"
    ours = found["rates"]["Tallymark"]
    for name, rates in found["rates"].items():
        create, get = (statistics.median(rates[kind]) for kind in ("create", "get"))
        ratios = [statistics.median(a / b for a, b in zip(ours[k], rates[k], strict=True)) for k in ("create", "get")]
        yield f"| {name} | {create:,.1f} | {get:,.1f} | {ratios[0]:,.1f} | {ratios[1]:,.1f} |"


def _faults(found: dict[str, Any]) -> Iterator[str]:
    total = found["total"]
    yield "## Faults"
    yield ""
    yield (
        f"`make soak`, seed {found['seed']}: {total['rounds']} rounds in which answers are lost, connections cut and"
        " the server killed under load, each proved by the whole log, its file and three watchers."
    )
    yield ""
    yield f"| {' | '.join(name.replace('_', ' ') for name in total)} |"
    yield f"|{'--:|' * len(total)}"
    rounds = found["rounds"]
    step = max(1, len(rounds) // 10)
    for first in range(0, len(rounds), step):
        tenth = rounds[first : first + step]
        yield f"| {' | '.join(f'{sum(each[name] for each in tenth):,}' for name in total)} |"
    yield f"| {' | '.join(f'**{value:,}**' for value in total.values())} |"


def _consistency(found: dict[str, Any]) -> Iterator[str]:
    total = found["total"]
    yield "## Exact answers"
    yield ""
    yield (
        f"`make soak`: {total['operations']:,} requests of every method from several clients at once, some of them sent"
        " twice at the same time, repeated or cancelled, while the server is killed and started again. Each answer is"
        " compared with what the log says of the moments at which it can have been given."
    )
    yield ""
    yield f"| {' | '.join(total)} |"
    yield f"|{'--:|' * len(total)}"
    yield f"| {' | '.join(f'{value:,}' for value in total.values())} |"
    yield ""
    yield "| method | answered | refused | without an answer |"
    yield "|---|--:|--:|--:|"
    for method, counts in found["methods"].items():
        shown = " | ".join(f"{counts.get(kind, 0):,}" for kind in ("answered", "refused", "unanswered"))
        yield f"| {method} | {shown} |"


def _median(kinds: dict[str, list[dict[str, float]]], kind: str, field: str = "per_second") -> float:
    return statistics.median(one[field] for one in kinds[kind])


def _ratio(kinds: dict[str, list[dict[str, float]]], one: str, other: str, field: str = "per_second") -> str:
    ratios = goals.ratio(kinds, one, other, field)
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def _plot(path: Path, by_concurrency: dict[str, Any], field: str, label: str, scale: str) -> None:
    """A line for each server. The same figures make the same bytes."""
    with mpl.rc_context({"svg.hashsalt": "tallymark", "svg.fonttype": "none", "font.size": 11}):
        figure = Figure(figsize=(5.2, 3.4), layout="constrained")
        axes = figure.subplots()
        for kind, (name, colour) in LOOKS.items():
            values = [_median(kinds, kind, field) for kinds in by_concurrency.values()]
            axes.plot(list(by_concurrency), values, marker="o", color=colour, label=name)
        axes.set_xlabel("calls at once")
        axes.set_ylabel(label)
        axes.set_yscale(scale)
        if scale == "linear":
            # From nothing on, with room for the legend.
            axes.set_ylim(0, 1.45 * max(line.get_ydata().max() for line in axes.get_lines()))
        axes.grid(visible=True, axis="y", alpha=0.3)
        axes.legend(frameon=False)
        figure.savefig(path, metadata={"Date": None})


def _cpu_lines() -> list[str]:
    known = Path("/proc/cpuinfo")
    return known.read_text().splitlines() if known.exists() else []


def main(tell: Callable[[str], None] = print) -> None:
    """Write the page from the JSON, or check that it was."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("--into", type=Path, default=PUBLISHED, help="the folder of the report")
    parser.add_argument("--faults", type=Path, help="also take in what `make soak` did")
    parser.add_argument("--consistency", type=Path, help="also take in what `make soak` compared with the log")
    parser.add_argument("--check", action="store_true", help="only tell whether the page is what the JSON tells")
    given = parser.parse_args()
    if given.faults:
        keep(given.into, faults=json.loads(given.faults.read_text()))
    if given.consistency:
        keep(given.into, consistency=json.loads(given.consistency.read_text()))
    if not given.check:
        tell(publish(given.into))
        return
    found = load(given.into)
    if (given.into / PAGE).read_text() != page(found):
        raise SystemExit(f"{given.into / PAGE} is not what {JSON} tells: run python -m bench.report")
    if given.into.resolve() == PUBLISHED and README.read_text() != in_readme(README.read_text(), found):
        raise SystemExit(f"README.md does not tell what {JSON} does: run python -m bench.report")


if __name__ == "__main__":
    main()
