"""`up`, `status` and `stop`: the service in the background."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from cli.conftest import PROGRAM
from cli.tables import rows
from tallymark import Client
from tallymark.testing import Server

Told = CompletedProcess[str]
FREE = ("--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the commands are called."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tell(here: Path) -> Iterator[Callable[..., Told]]:
    """Runs a command in a process of its own; what was started in the background is stopped in the end."""

    def run(*arguments: str, **environment: str) -> Told:
        env = {**os.environ, **environment}
        return subprocess.run([PROGRAM, *arguments], env=env, capture_output=True, text=True, check=False)

    yield run
    for note in (here / "state" / "tallymark" / "services").glob("*.json"):
        run("stop", "--db", json.loads(note.read_text())["db"])


def test_a_service_is_started_shown_and_stopped(tell: Callable[..., Told], here: Path) -> None:
    """`up` returns when the service answers, `status` says where and how far its log is, `stop` ends it well."""
    up = tell("up", *FREE)
    (service,) = rows(up.stdout)
    told = f"to have programs and commands call it: export TALLYMARK_URL={service['ADDRESS']}\n"
    assert (up.returncode, up.stderr) == (0, told)
    found = {"TALLYMARK_URL": service["ADDRESS"]}
    assert tell("up", **found).stderr == "it is running already\n"
    assert tell("model", "list", **found).returncode == 0
    assert (service["STATE"], service["DB"], service["REVISION"]) == ("running", str(here / "tallymark.db"), "0")
    assert service["DASHBOARD"].startswith("http://127.0.0.1:")
    with Client(service["ADDRESS"]) as client:
        client.create_model("churn")
    (shown,) = rows(tell("status").stdout)
    assert shown == {**service, "REVISION": "1"}
    stopped = tell("stop")
    assert (stopped.returncode, rows(stopped.stdout)[0]["STATE"]) == (0, "stopped")
    assert "stopped" in Path(service["LOG"]).read_text().splitlines()[-1]
    status = tell("status")
    assert (status.returncode, status.stdout) == (4, "")
    assert "tallymark up" in status.stderr
    assert tell("stop").returncode == 4


def test_a_second_up_finds_the_first(tell: Callable[..., Told], here: Path) -> None:
    """However often and at once it is called, one service runs, and each call says where."""
    both = [
        subprocess.Popen([PROGRAM, "up", *FREE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len({rows(text)[0]["PID"] for text in told}) == 1
    assert tell("up").stdout == told[0]


def test_a_service_that_died_is_no_obstacle(tell: Callable[..., Told], here: Path) -> None:
    """What a killed service leaves behind is neither shown as running nor stops the next one."""
    (first,) = rows(tell("up", *FREE).stdout)
    os.kill(int(first["PID"]), signal.SIGKILL)
    (second,) = rows(tell("up", *FREE).stdout)
    assert second["PID"] != first["PID"]
    (note,) = (here / "state" / "tallymark" / "services").glob("*.json")
    assert tell("stop").returncode == 0
    # Another process has its number now: it is not taken for the service.
    note.write_text(
        json.dumps(
            {**dict.fromkeys(("address", "dashboard", "version", "log"), ""), "db": first["DB"], "pid": os.getpid()}
        )
    )
    assert tell("stop").returncode == 4
    assert not note.exists()


def test_what_another_started_is_left_alone(tell: Callable[..., Told], here: Path) -> None:
    """A service that `serve` runs is named with its process, and neither started again nor stopped."""
    with Server(here / "tallymark.db") as server:
        for command in (["up"], ["stop", "--db", "tallymark.db"], ["status", "--db", "tallymark.db"]):
            done = tell(*command)
            assert done.returncode != 0
            assert f"is served by the process {server.pid}" in done.stderr
        assert server.running


def test_a_service_that_cannot_start_says_why(tell: Callable[..., Told], here: Path) -> None:
    """The last word of the service is the error, in one line with its log."""
    (here / "tallymark.db").write_text("this is no database, and never was one")
    done = tell("up", *FREE)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: the service did not start: ")
    assert done.stderr.count("\n") == 1
    assert tell("status").returncode == 4


def test_several_services_are_told_apart(tell: Callable[..., Told], here: Path) -> None:
    """`status` shows all, and `stop` asks which of them."""
    for name in ("a.db", "b.db"):
        assert tell("up", "--db", name, *FREE).returncode == 0
    assert {Path(row["DB"]).name for row in rows(tell("status").stdout)} == {"a.db", "b.db"}
    assert tell("stop").returncode == 2
    assert tell("stop", "--db", "a.db").returncode == 0
    assert [Path(row["DB"]).name for row in rows(tell("status").stdout)] == ["b.db"]


def test_the_end_of_a_terminal_stops_a_service_well(here: Path) -> None:
    """SIGHUP, as a terminal sends when it is closed, ends `serve` as SIGTERM does: with a log that says so, and 0."""
    server = Server(here / "tallymark.db")
    with server:
        os.kill(server.pid, signal.SIGHUP)
        assert server._process is not None
        assert server._process.wait(30) == 0
        server._process.stdout.close()
    assert "stopped" in server.log_file.read_text().splitlines()[-1]
