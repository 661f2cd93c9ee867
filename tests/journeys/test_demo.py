"""`make demo`: real trainings, their versions, and the dashboard."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

from postgres_server import Databases

TESTS = Path(__file__).parents[1]
ENVIRONMENT = {"PYTHONPATH": str(TESTS), "PATH": "/usr/bin:/bin"}
ROW = re.compile(r"^ +(\d+)  (\S+) +(\d+) +(\d+) +(0\.\d+) +(0\.\d+)  (\S+) +(\S+)$", re.MULTILINE)


def demo(folder: Path, *options: str, program: str = "demo") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", program, *options],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_demo_numbers_real_training_runs(tmp_path: Path) -> None:
    """Each of four runs gets the next number, the best is promoted, and a second demo continues the numbers."""
    first = demo(tmp_path)
    assert (first.returncode, first.stderr) == (0, "")
    rows = ROW.findall(first.stdout)
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    assert [row[6] for row in rows] == ["none", "none", "none", "production"]
    assert len({row[7] for row in rows}) == 4
    scores = [float(row[4]) for row in rows]
    assert scores == sorted(scores)
    assert 0.8 < scores[0] < scores[-1] <= 1
    second = demo(tmp_path)
    assert [row[0] for row in ROW.findall(second.stdout)] == ["1", "2", "3", "4", "5", "6", "7", "8"]
    assert ROW.findall(second.stdout)[:4] == rows


def test_the_demo_runs_on_a_database(postgres: Databases, tmp_path: Path) -> None:
    """With the URL of a database, the versions are there and in no file, and another demo continues the numbers."""
    with postgres.new() as name:
        for numbers in (["1", "2", "3", "4"], ["1", "2", "3", "4", "5", "6", "7", "8"]):
            done = demo(tmp_path, "--db", postgres.url(name))
            assert (done.returncode, done.stderr) == (0, "")
            assert [row[0] for row in ROW.findall(done.stdout)] == numbers
    assert not (tmp_path / "demo.db").exists()


def test_the_demo_goes_on_when_a_replica_is_killed(tmp_path: Path) -> None:
    """Two replicas train on one database; when one is killed, the other goes on with the numbers."""
    done = demo(tmp_path, program="demo.postgres")
    assert (done.returncode, done.stderr) == (0, "")
    before, _, after = done.stdout.partition("killed the replica")
    assert (before.count("trained"), after.count("trained")) == (2, 2)
    rows = ROW.findall(done.stdout)
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    assert [row[6] for row in rows] == ["none", "none", "none", "production"]


def test_the_demo_leaves_nothing_running(tmp_path: Path) -> None:
    """After the demo, nothing listens at the address of the service or of the dashboard."""
    addresses = re.findall(r"(?:service +|http://)(127\.0\.0\.1):(\d+)", demo(tmp_path).stdout)
    assert len(addresses) == 2
    for host, port in addresses:
        with socket.socket() as probe:
            assert probe.connect_ex((host, int(port))) != 0


def test_the_demo_keeps_its_dashboard_running_until_enter(tmp_path: Path) -> None:
    """With --keep, the dashboard serves the page of the model until Enter is pressed."""
    with subprocess.Popen(
        [sys.executable, "-m", "demo", "--keep"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        matches = (re.search(r"http:\S+/breast_cancer", line) for line in running.stdout)
        address = next(match[0] for match in matches if match)
        with urlopen(address) as page:
            assert "in production" in page.read().decode()
        running.communicate("\n", timeout=60)
    assert running.returncode == 0


def test_a_demo_that_cannot_start_reports_one_error(tmp_path: Path) -> None:
    """A port in use and a folder that is not writable end the demo with one line and an error code."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        runs = [demo(tmp_path, "--listen", taken), demo(tmp_path, "--db", "missing/demo.db"), demo(Path("/proc"))]
    for run, word in zip(runs, (taken, "missing", "demo.log"), strict=True):
        assert run.returncode != 0
        assert len(run.stderr.strip().splitlines()) == 1, run.stderr
        assert word in run.stderr
        assert "Traceback" not in run.stderr
