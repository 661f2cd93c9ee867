"""`make bench-import`: measure the time and peak memory of a large import from MLflow, and check that it is complete.

The import keeps versions and points on disk, and about a kilobyte in memory for each version. The bench fails when the
peak memory exceeds its limit.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

SIZES = (10_000, 100_000)
POINTS = 10
MODELS = 100
MAX_MEMORY = 256 * 2**20
BEGUN = 1_700_000_000_000
TABLES = """
CREATE TABLE registered_models (name, creation_time, last_updated_time, description);
CREATE TABLE registered_model_tags (key, value, name);
CREATE TABLE registered_model_aliases (alias, version, name);
CREATE TABLE model_versions (name, version, creation_time, last_updated_time, description, user_id, current_stage,
    source, run_id, status, status_message, PRIMARY KEY (name, version));
CREATE TABLE model_version_tags (key, value, name, version);
CREATE TABLE experiments (experiment_id, name);
CREATE TABLE runs (run_uuid PRIMARY KEY, name, status, user_id, start_time, end_time, experiment_id);
CREATE TABLE metrics (key, value, timestamp, run_uuid, step, is_nan);
CREATE TABLE params (key, value, run_uuid);
CREATE TABLE tags (key, value, run_uuid);
CREATE INDEX metrics_of_runs ON metrics (run_uuid);
CREATE INDEX params_of_runs ON params (run_uuid);
CREATE INDEX tags_of_runs ON tags (run_uuid);
CREATE INDEX tags_of_versions ON model_version_tags (name);
"""


class Import(NamedTuple):
    """The time of an import in seconds, and its peak memory in bytes."""

    versions: int
    points: int
    seconds: float
    memory: int


def fill(path: Path, versions: int) -> None:
    """Create a database of MLflow with so many versions, each of a run with ten points of a metric."""
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(TABLES)
        database.execute("INSERT INTO experiments VALUES (1, 'nightly')")
        for model in range(MODELS):
            database.execute("INSERT INTO registered_models VALUES (?, ?, ?, '')", (f"model-{model}", BEGUN, BEGUN))
        for index in range(versions):
            name, number, run = f"model-{index % MODELS}", index // MODELS + 1, f"{index:032x}"
            at = BEGUN + index * 1000
            row = (name, number, at, at, "", "ada", "None", f"s3://bucket/{index}", run, "READY", "")
            database.execute("INSERT INTO model_versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            database.execute("INSERT INTO runs VALUES (?, '', 'FINISHED', 'ada', ?, ?, 1)", (run, at, at + 500))
            database.execute("INSERT INTO params VALUES ('depth', '3', ?)", (run,))
            database.executemany(
                "INSERT INTO metrics VALUES ('loss', ?, ?, ?, ?, 0)",
                [(1 / (step + 1), at + step, run, step) for step in range(POINTS)],
            )


def measure(folder: Path, versions: int) -> Import:
    """Import so many versions in a separate process, and count the imported rows."""
    source, db = folder / f"mlflow-{versions}.db", folder / f"tallymark-{versions}.db"
    fill(source, versions)
    code = (
        "import resource, sys; from click.testing import CliRunner;"
        "from tallymark_server.import_commands import import_mlflow;"
        "done = CliRunner().invoke(import_mlflow, sys.argv[1:]); print(done.output);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    begun = time.perf_counter()
    command = [sys.executable, "-c", code, str(source), "--db", str(db)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    seconds = time.perf_counter() - begun
    *output, peak = done.stdout.split()
    assert re.search(rf"{versions:,} versions, {versions:,} runs; not kept: 0", " ".join(output)), done.stdout[-500:]
    with closing(sqlite3.connect(db)) as database:
        (arrived,) = database.execute("SELECT count(*) FROM versions").fetchone()
        (points,) = database.execute("SELECT count(*) FROM points").fetchone()
    assert (arrived, points) == (versions, versions * POINTS)
    return Import(versions, points, seconds, int(peak) * 1024)


def main() -> None:
    """Measure two sizes, print a table, and fail if the memory limit is exceeded."""
    parser = argparse.ArgumentParser(prog="make bench-import", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs=2, default=SIZES, help="the two numbers of versions to compare")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        few, many = (measure(Path(folder), size) for size in given.sizes)
    print("| versions | points | seconds | versions/s | peak memory, MiB |\n|--:|--:|--:|--:|--:|")
    for found in (few, many):
        rate, memory = found.versions / found.seconds, found.memory / 2**20
        print(f"| {found.versions:,} | {found.points:,} | {found.seconds:.1f} | {rate:,.0f} | {memory:.0f} |")
    growth = (many.memory - few.memory) / (many.versions - few.versions)
    print(f"{growth:,.0f} bytes of memory for each additional version")
    print(json.dumps([found._asdict() for found in (few, many)]))
    if many.memory > MAX_MEMORY:
        sys.exit(f"the import used {many.memory:,} bytes of memory, the limit is {MAX_MEMORY:,}")


if __name__ == "__main__":
    main()
