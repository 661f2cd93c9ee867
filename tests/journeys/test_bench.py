"""The benches, at their smallest sizes: they verify what they count, and the report shows what was measured."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cached_folders import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a bench as the Makefile does."""
    command = [sys.executable, "-m", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)


@pytest.mark.timeout(180)
def test_the_bench_verifies_what_it_created(tmp_path: Path) -> None:
    """The smallest run verifies every version that it created, and writes figures, page and plots."""
    done = run("bench", "--rounds", "1", "--calls", "64", "--into", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "bench.json").read_text())
    measured = found["throughput"]["found"]
    assert list(measured["by_concurrency"]) == ["1", "8", "64", "512"]
    calls = [one["calls"] for kinds in measured["by_concurrency"].values() for one in kinds["create"]]
    rows = 100 * measured["batches"]["batch"][0]["calls"] + measured["batches"]["unary"][0]["calls"]
    spread = [kinds["one"][0]["calls"] for kinds in measured["models"].values()]
    assert measured["verified"] == 1 + sum(calls) + rows + sum(spread)
    of_sdk = {
        "disabled_step_beside_bare_call_ratio", "recorded_step_beside_warm_call_ratio",
        "20,000_log_metric_calls_s", "slowest_log_metric_call_ms", "log_metadata_us",
    }  # fmt: skip
    assert {"import_tallymark_above_bare_ms", *of_sdk} < found["sdk"]["found"].keys()
    assert min(found["sdk"]["found"][name] for name in of_sdk) > 0
    for goal in (
        "overhead of a disabled step",
        "20,000 log_metric calls in a run",
        "the slowest of these log_metric calls",
    ):
        assert f"| {goal} | ≤ " in done.stdout
    for name in ("throughput.svg", "p99.svg"):
        assert "Tallymark, durable" in (tmp_path / name).read_text()
    assert (tmp_path / "report.md").read_text() in done.stdout


@pytest.mark.timeout(180)
def test_growth_is_measured_on_a_verified_file(tmp_path: Path) -> None:
    """The smallest run fills a file, measures every request, and verifies the file."""
    done = run("bench.growth", "--sizes", "1000", "--into", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "bench.json").read_text())["growth"]["found"]["1000"]
    assert {
        "create_ms",
        "get latest_ms",
        "deep page_ms",
        "filter by metric_ms",
        "verify_events_per_second",
    } <= found.keys()
    assert min(found.values()) > 0


@pytest.mark.timeout(240)
def test_the_bench_of_replicas_verifies_what_it_created(tmp_path: Path) -> None:
    """The smallest run measures SQLite and PostgreSQL alike, and verifies every version that it created in both."""
    done = run("bench.postgres", "--rounds", "1", "--calls", "64", "--sizes", "1000", "2000", "--into", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "bench.json").read_text())["postgres"]["found"]
    assert min(found["verified"].values()) > 3 * 16
    for kinds in found["by_concurrency"].values():
        assert min(one["database_cpu_us"] for kind in ("create", "get") for one in kinds[f"postgres {kind}"]) > 0
    assert list(found["replicas"]["different projects"]) == ["1", "2", "3"]
    assert "| gets on PostgreSQL / echoes, 64 concurrent calls | ≥ 0.65 |" in done.stdout


def test_the_published_report_matches_its_figures(tmp_path: Path) -> None:
    """The published page matches bench.json, and the check fails for a page that was edited."""
    assert run("bench.report", "--check").returncode == 0
    shutil.copytree(ROOT / "tests/bench/published", tmp_path / "bench")
    page = tmp_path / "bench/report.md"
    page.write_text(page.read_text().replace("| 64 |", "| 64 | 99,999 |", 1))
    done = run("bench.report", "--check", "--into", str(tmp_path / "bench"))
    assert done.returncode != 0
    assert "does not match bench.json" in done.stderr


@pytest.mark.timeout(180)
def test_an_import_is_measured_with_its_memory(tmp_path: Path) -> None:
    """The smallest run counts every imported version and point, and stays within the memory limit."""
    done = run("bench.importing", "--sizes", "500", "2000")
    assert done.returncode == 0, done.stderr
    few, many = json.loads(done.stdout.splitlines()[-1])
    assert (few["versions"], many["versions"], many["points"]) == (500, 2000, 20_000)
    assert 0 < many["memory"] < 256 * 2**20
