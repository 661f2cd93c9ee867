"""`make demo`: the main job on real input."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROW = re.compile(r"^ +(\d+)  (\S+) +(\d+) +(\d+) +(0\.\d+) +(0\.\d+)  (\S+)$", re.MULTILINE)


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "demo", *options],
        cwd=folder,
        env={"PYTHONPATH": str(TESTS), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_demo_numbers_real_training_runs(tmp_path: Path) -> None:
    """A real model is trained four times, each run gets the next number, and a second demo goes on counting."""
    first = demo(tmp_path)
    assert (first.returncode, first.stderr) == (0, "")
    rows = ROW.findall(first.stdout)
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    assert len({row[6] for row in rows}) == 4
    scores = [float(row[4]) for row in rows]
    assert scores == sorted(scores)
    assert 0.8 < scores[0] < scores[-1] <= 1
    second = demo(tmp_path)
    assert [row[0] for row in ROW.findall(second.stdout)] == ["1", "2", "3", "4", "5", "6", "7", "8"]
    assert ROW.findall(second.stdout)[:4] == rows


def test_the_demo_leaves_nothing_running(tmp_path: Path) -> None:
    """After the demo nobody answers at its address."""
    address = re.search(r"on (127\.0\.0\.1):(\d+)", demo(tmp_path).stdout)
    assert address is not None
    with socket.socket() as probe:
        assert probe.connect_ex((address[1], int(address[2]))) != 0


def test_a_demo_that_cannot_run_says_why_in_one_sentence(tmp_path: Path) -> None:
    """A port that is taken, and a folder that cannot be written, end the demo with one line and an error code."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        runs = [demo(tmp_path, "--listen", taken), demo(tmp_path, "--db", "missing/demo.db"), demo(Path("/proc"))]
    for run, word in zip(runs, (taken, "missing", "demo.log"), strict=True):
        assert run.returncode != 0
        assert len(run.stderr.strip().splitlines()) == 1, run.stderr
        assert word in run.stderr
        assert "Traceback" not in run.stderr
