"""A training survives an outage of the registry and kills of its own process: its records are sent later, unchanged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from faults.proxy import OutageProxy

from journeys.exports import Streams, differences, recorded
from journeys.interrupted_training import POINTS_BETWEEN, POINTS_IN_STEP, POINTS_BEFORE_PAUSE, PHASES
from tallymark import Client
from tallymark.errors import NotFound
from tallymark.testing import Server

# A training consists of several processes, which take long on a busy machine.
pytestmark = pytest.mark.timeout(300)

TIMEOUT = 5.0
DEADLINE = 100.0
POINTS = PHASES * (POINTS_IN_STEP + POINTS_BETWEEN)
PROGRAM = Path(__file__).with_name("interrupted_training.py")


class Training:
    """The training, as a series of processes in its own folder."""

    def __init__(self, folder: Path, url: str, **environment: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TALLYMARK_")},
            "TALLYMARK_URL": url,
            "TALLYMARK_RUN_ID": "nightly",
            "TALLYMARK_SPOOL": str(folder / "spool"),
            "TALLYMARK_STORE": str(folder / "store"),
            "TALLYMARK_TIMEOUT": f"{TIMEOUT:g}",
            "TALLYMARK_HEARTBEAT_TIMEOUT": "0",  # a run that is cut off for long may be lost, which others test
            **environment,
        }
        self.slow = 0
        self.process: subprocess.Popen[str]

    def start(self) -> None:
        """Start a process, which continues where the previous one ended."""
        with (self.folder / "log").open("a") as log:
            command = [sys.executable, str(PROGRAM)]
            pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log}
            self.process = subprocess.Popen(command, **pipes, text=True, cwd=self.folder, env=self.environment)

    def run_to_phase(self, phase: int) -> None:
        """Continue the training until it waits in that phase."""
        while self.read_status()["phase"] < phase:
            self.resume()

    def read_status(self) -> dict[str, int]:
        """Read the next status line of the process."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (self.folder / "log").read_text()
        status: dict[str, int] = json.loads(line)
        self.slow = max(self.slow, status["slow"])
        return status

    def resume(self) -> None:
        """Let a waiting training continue."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """Kill the process."""
        self.process.kill()
        self._end(-signal.SIGKILL)

    def finish(self) -> None:
        """Let a waiting training continue to its end."""
        self.resume()
        while "phase" in self.read_status():
            self.resume()
        self._end(0)

    def tallymark(self, *arguments: str) -> str:
        """Run a command in the folder of the training, and return its output."""
        command = [str(Path(sys.executable).with_name("tallymark")), *arguments]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
            cwd=self.folder,
            timeout=DEADLINE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kill_sync(self, is_time: Callable[[], bool]) -> None:
        """Start `tallymark sync`, and kill it when the condition is true."""
        command = [str(Path(sys.executable).with_name("tallymark")), "sync"]
        with subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=subprocess.DEVNULL) as sync:
            wait_until(is_time)
            sync.kill()

    def spooled(self) -> list[str]:
        """Return the names of the files in the spool."""
        return [path.name for path in (self.folder / "spool").rglob("*") if path.is_file()]

    def _end(self, code: int) -> None:
        assert self.process.wait(DEADLINE) == code, (self.folder / "log").read_text()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


def exported(server: Server) -> list[str]:
    """Return the lines of the export of the project."""
    with Client(server.address) as client:
        return b"".join(client.export()).decode().splitlines()


def records_of(training: Training, lines: list[str]) -> Streams:
    """Return the records of the training in an export."""
    return recorded(lines, str(training.folder / "store"))


@contextmanager
def online(folder: Path) -> Iterator[tuple[Server, Training]]:
    """Run a training to its end without a fault, and yield its registry and the training."""
    with Server(folder / "undisturbed.db") as server:
        training = Training(folder / "undisturbed", server.address)
        training.start()
        training.run_to_phase(0)
        training.finish()
        yield server, training


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Training, list[str]]:
    """A training without faults, and the export of its project."""
    with online(tmp_path_factory.mktemp("online")) as (server, training):
        return training, exported(server)


def wait_until(reached: Callable[[], bool]) -> None:
    """Poll a condition until it is true, with a deadline."""
    end = time.monotonic() + DEADLINE
    while not reached():
        assert time.monotonic() < end, "the deadline has passed"


def points_in(server: Server) -> int:
    """Return the number of points in the registry."""
    with Client(server.address) as client:
        try:
            return sum(1 for _ in client.list_metrics("churn/1"))
        except NotFound:
            return 0


def test_the_undisturbed_training_records_what_it_says(undisturbed: tuple[Training, list[str]]) -> None:
    """The undisturbed training, with which others are compared, has all points, facts, steps and the artifact."""
    training, lines = undisturbed
    streams = records_of(training, lines)
    assert sum(len(found) for what, found in streams.items() if what[0] == "points") == POINTS
    assert streams["metadata", 1, 1, "phase"] == [float(phase) for phase in range(PHASES)]
    assert streams["metadata", 1, 1, "evaluated"] == [False, True] * PHASES
    assert [event["kind"] for event in streams["step", 1, 1]] == ["step_started", "step_finished"] * (PHASES + 1)
    assert [event["image"]["name"] for event in streams["artifact", 1, 1]] == ["weights"]
    assert [event["image"].get("state") for event in streams["run", 1, 1]] == [None, "succeeded"]
    assert training.spooled() == []


def has_more_points(server: Server, known: int) -> bool:
    return points_in(server) > known


def killed_twice(training: Training, server: Server, proxy: OutageProxy, *, while_sending: bool) -> None:
    """Go on to the eighth phase, and kill the training twice on the way.

    The second time, if so wanted, in the midst of sending what it and its predecessor have recorded.
    """
    for phase in (3, 6):
        training.resume()
        training.run_to_phase(phase)
        if phase == 6 and while_sending:
            known = points_in(server)
            proxy.restore()
            wait_until(partial(has_more_points, server, known))
            training.kill()
            proxy.cut()
        else:
            training.kill()
        assert training.slow <= 1, f"{training.slow} phases were held up"
        training.start()
        training.run_to_phase(phase + 1)


@pytest.mark.parametrize("outage", ["cut", "stall", "cut again while it sends"])
def test_an_outage_and_two_kills_of_the_process_lose_nothing(
    tmp_path: Path, undisturbed: tuple[Training, list[str]], outage: str
) -> None:
    """After an outage, `tallymark sync` sends the records of an undisturbed training: once, in order, with their times.

    No call waits for a time-out more than once in a process.
    """
    with Server(tmp_path / "tallymark.db") as server, OutageProxy(lambda: server.address) as proxy:
        training = Training(tmp_path / "training", proxy.address)
        training.start()
        training.run_to_phase(0)
        (proxy.stall if outage == "stall" else proxy.cut)()
        killed_twice(training, server, proxy, while_sending=outage == "cut again while it sends")
        training.finish()
        assert training.slow <= 1, f"{training.slow} phases were held up"
        back, known = time.time_ns() // 1000, points_in(server)
        assert known < (POINTS if outage == "cut again while it sends" else POINTS // 5)
        proxy.restore()
        assert training.spooled() != []
        if outage != "stall":  # what was on its way when the network stood still arrives by itself
            training.tallymark("sync", "--dry-run")
            assert points_in(server) == known, "it was only to be told what would be sent"
        training.tallymark("sync")
        assert training.spooled() == []
        lines = exported(server)
    assert differences(records_of(training, lines), records_of(*undisturbed)) == []
    check_times(lines, back)


def test_a_later_process_sends_the_records_of_earlier_ones(
    tmp_path: Path, undisturbed: tuple[Training, list[str]]
) -> None:
    """When the registry is available again, the third process of the training sends all records in order."""
    with Server(tmp_path / "tallymark.db") as server, OutageProxy(lambda: server.address) as proxy:
        training = Training(tmp_path / "training", proxy.address)
        training.start()
        training.run_to_phase(0)
        proxy.cut()
        killed_twice(training, server, proxy, while_sending=False)
        proxy.restore()
        wait_until(lambda: points_in(server) == 8 * POINTS_IN_STEP + 7 * POINTS_BETWEEN + POINTS_BEFORE_PAUSE)
        training.finish()
        training.tallymark("sync")  # the training waits for the last of its records for a time-out at most
        assert training.spooled() == []
        lines = exported(server)
    assert differences(records_of(training, lines), records_of(*undisturbed)) == []


def check_times(lines: list[str], back: int) -> None:
    """Check that records have the times at which they were made, in order, and not those of their arrival."""
    events = [event for event in map(json.loads, lines) if "kind" in event]
    for key in ("loss", "accuracy"):
        measured = [
            point[3]
            for event in events
            if event["kind"] == "metrics_logged"
            for point in event["image"]["points"]
            if point[0] == key
        ]
        assert measured == sorted(measured)
        assert measured[-1] < back
    (end,) = [event["image"]["end_time"] for event in events if event["kind"] == "run_finished"]
    assert end < back
    assert events[-1]["time"] >= end


def test_an_offline_training_is_sent_as_an_online_one(tmp_path: Path, undisturbed: tuple[Training, list[str]]) -> None:
    """`tallymark sync` sends the records of an offline training completely, also if it is killed and run again."""
    with Server(tmp_path / "tallymark.db") as server:
        server.stop()
        training = Training(tmp_path / "training", server.address, TALLYMARK_MODE="offline")
        training.start()
        training.run_to_phase(4)
        training.kill()
        training.start()
        training.run_to_phase(5)
        training.finish()
        assert training.slow == 0
        assert training.spooled() != []
        server.start()
        training.environment["TALLYMARK_MODE"] = "online"
        training.kill_sync(lambda: points_in(server) > 0)
        training.tallymark("sync")
        assert training.spooled() == []
        lines = exported(server)
        training.tallymark("sync")
        assert exported(server) == lines, "what was sent is sent once"
    assert differences(records_of(training, lines), records_of(*undisturbed)) == []
    events = [event for event in map(json.loads, lines) if "kind" in event]
    check_times(lines, events[0]["time"])


Lines = list[dict[str, Any]]


def of_kind(lines: Lines, kind: str, place: int = 0) -> dict[str, Any]:
    """Return an event of that kind."""
    return [line for line in lines if line.get("kind") == kind][place]


def points_of(lines: Lines) -> list[Any]:
    """Return points that were logged together."""
    points: list[Any] = of_kind(lines, "metrics_logged", 1)["image"]["points"]
    assert len(points) > 2
    return points


def fact(lines: Lines, place: int) -> dict[str, Any]:
    """Return an event with which the training has logged facts."""
    logged = [line for line in lines if line.get("kind") == "metadata_logged"]
    known: dict[str, Any] = {}
    changes = []
    for line in logged:
        facts = {key: value for key, value in line["image"]["metadata"].items() if key.startswith("summary")}
        if facts != known:
            changes.append(line)
        known = facts
    return changes[place]


def exchange(lines: Lines, one: dict[str, Any], other: dict[str, Any]) -> None:
    """Let two events change places."""
    first, second = lines.index(one), lines.index(other)
    lines[first], lines[second] = other, one


FAULTS: dict[str, Callable[[Lines], object]] = {
    "a point is lost": lambda lines: points_of(lines).pop(1),
    "a point is doubled": lambda lines: points_of(lines).insert(1, points_of(lines)[1]),
    "two points are exchanged": lambda lines: points_of(lines).insert(1, points_of(lines).pop(2)),
    "a point has another value": lambda lines: points_of(lines)[1].__setitem__(2, 0.125),
    "a group of points is lost": lambda lines: lines.remove(of_kind(lines, "metrics_logged", 2)),
    "a group of points is doubled": lambda lines: lines.append(of_kind(lines, "metrics_logged", 2)),
    "two groups of points are exchanged": lambda lines: exchange(
        lines, of_kind(lines, "metrics_logged", 0), of_kind(lines, "metrics_logged", 2)
    ),
    "facts are lost": lambda lines: fact(lines, 4)["image"]["metadata"].pop("summary_4"),
    "a fact has another value": lambda lines: fact(lines, 4)["image"]["metadata"]["summary_4"].update(turns=1),
    "facts are written twice": lambda lines: lines.insert(
        lines.index(fact(lines, 4)) + 1, {**fact(lines, 4), "revision": 10**9}
    ),
    "facts are exchanged": lambda lines: exchange(lines, fact(lines, 4), fact(lines, 5)),
    "the start of a step is lost": lambda lines: lines.remove(of_kind(lines, "step_started", 3)),
    "the end of a step is doubled": lambda lines: lines.append(of_kind(lines, "step_finished", 3)),
    "a step ends before its facts": lambda lines: exchange(lines, of_kind(lines, "step_finished", 4), fact(lines, 4)),
    "a step has another argument": lambda lines: of_kind(lines, "step_started", 3)["image"]["parameters"].update(
        phase=9
    ),
    "the artifact is lost": lambda lines: lines.remove(of_kind(lines, "artifact_linked")),
    "the artifact is doubled": lambda lines: lines.append(of_kind(lines, "artifact_linked")),
    "the artifact has other bytes": lambda lines: of_kind(lines, "artifact_linked")["image"].update(digest="sha256:0"),
    "the end of the run is lost": lambda lines: lines.remove(of_kind(lines, "run_finished")),
    "the run failed": lambda lines: of_kind(lines, "run_finished")["image"].update(state="failed"),
    "the version is made twice": lambda lines: lines.append(of_kind(lines, "version_created")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_comparison_finds_each_wrong_record(undisturbed: tuple[Training, list[str]], fault: str) -> None:
    """The comparison finds a single record that is lost, doubled, changed or moved."""
    training, exported_lines = undisturbed
    lines = [json.loads(line) for line in exported_lines]
    FAULTS[fault](lines)
    assert (
        len(
            differences(
                records_of(training, [json.dumps(line) for line in lines]), records_of(training, exported_lines)
            )
        )
        > 0
    )


def test_points_may_arrive_in_other_groups(undisturbed: tuple[Training, list[str]]) -> None:
    """Exports that differ only in groups of points, times and revisions are equal."""
    training, exported_lines = undisturbed
    lines = [json.loads(line) for line in exported_lines]
    event = of_kind(lines, "metrics_logged", 1)
    rest = {**event, "image": {**event["image"], "points": event["image"]["points"][1:]}}
    event["image"]["points"] = event["image"]["points"][:1]
    lines.insert(lines.index(event) + 1, rest)
    for line in lines:
        if "revision" in line and "kind" in line:
            line["time"] += 1_000_000
            line["image"]["mod_revision"] += 7
    assert (
        differences(records_of(training, [json.dumps(line) for line in lines]), records_of(training, exported_lines))
        == []
    )
