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

Completed = CompletedProcess[str]
FREE = ("--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which the commands run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tallymark(here: Path) -> Iterator[Callable[..., Completed]]:
    """Run a command in its own process; services in the background are stopped at the end."""

    def run(*arguments: str, **environment: str) -> Completed:
        env = {**os.environ, **environment}
        return subprocess.run([PROGRAM, *arguments], env=env, capture_output=True, text=True, check=False)

    yield run
    for note in (here / "state" / "tallymark" / "services").glob("*.json"):
        run("stop", "--db", json.loads(note.read_text())["db"])


def test_up_serves_the_file_that_its_settings_name(tallymark: Callable[..., Completed], here: Path) -> None:
    """`db` in the file of `up --config` is the file that is served, unless --db names another."""
    config = here / "settings.toml"
    config.write_text('db = "configured.db"\nlisten = "127.0.0.1:0"\nhttp = "127.0.0.1:0"\n')
    for flags, served in ((), "configured.db"), (("--db", "named.db"), "named.db"):
        (service,) = rows(tallymark("up", "--config", str(config), *flags).stdout)
        assert (service["STATE"], service["DB"]) == ("running", str(here / served))


def test_up_status_and_stop_manage_a_service(tallymark: Callable[..., Completed], here: Path) -> None:
    """`up` returns once the service answers, `status` prints its address and revision, `stop` ends it gracefully."""
    up = tallymark("up", *FREE)
    (service,) = rows(up.stdout)
    told = f"to call it from programs and commands: export TALLYMARK_URL={service['ADDRESS']}\n"
    assert (up.returncode, up.stderr) == (0, told)
    found = {"TALLYMARK_URL": service["ADDRESS"]}
    assert tallymark("up", **found).stderr == "it is running already\n"
    assert tallymark("model", "list", **found).returncode == 0
    assert (service["STATE"], service["DB"], service["REVISION"]) == ("running", str(here / "tallymark.db"), "0")
    assert service["DASHBOARD"].startswith("http://127.0.0.1:")
    with Client(service["ADDRESS"]) as client:
        client.create_model("churn")
    (shown,) = rows(tallymark("status").stdout)
    assert shown == {**service, "REVISION": "1"}
    stopped = tallymark("stop")
    assert (stopped.returncode, rows(stopped.stdout)[0]["STATE"]) == (0, "stopped")
    assert "stopped" in Path(service["LOG"]).read_text().splitlines()[-1]
    status = tallymark("status")
    assert (status.returncode, status.stdout) == (4, "")
    assert "tallymark up" in status.stderr
    assert tallymark("stop").returncode == 4


def test_a_second_up_prints_the_running_service(tallymark: Callable[..., Completed], here: Path) -> None:
    """However often and concurrently `up` is called, one service runs, and each call prints its address."""
    both = [
        subprocess.Popen([PROGRAM, "up", *FREE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len({rows(text)[0]["PID"] for text in told}) == 1
    assert tallymark("up").stdout == told[0]


def test_up_replaces_a_killed_service(tallymark: Callable[..., Completed], here: Path) -> None:
    """The record of a killed service is neither shown as running nor prevents the next one from starting."""
    (first,) = rows(tallymark("up", *FREE).stdout)
    os.kill(int(first["PID"]), signal.SIGKILL)
    (second,) = rows(tallymark("up", *FREE).stdout)
    assert second["PID"] != first["PID"]
    (note,) = (here / "state" / "tallymark" / "services").glob("*.json")
    assert tallymark("stop").returncode == 0
    # Another process has its number now: it is not taken for the service.
    note.write_text(
        json.dumps(
            {**dict.fromkeys(("address", "dashboard", "version", "log"), ""), "db": first["DB"], "pid": os.getpid()}
        )
    )
    assert tallymark("stop").returncode == 4
    assert not note.exists()


def test_up_and_stop_refuse_a_service_of_serve(tallymark: Callable[..., Completed], here: Path) -> None:
    """The error names the process of a service that `serve` runs, which is neither started again nor stopped."""
    with Server(here / "tallymark.db") as server:
        for command in (["up"], ["stop", "--db", "tallymark.db"], ["status", "--db", "tallymark.db"]):
            done = tallymark(*command)
            assert done.returncode != 0
            assert f"is served by the process {server.pid}" in done.stderr
        assert server.running


def test_up_prints_why_a_service_did_not_start(tallymark: Callable[..., Completed], here: Path) -> None:
    """The error is the last line of the service's log, in one line with the path of the log."""
    (here / "tallymark.db").write_text("this is no database, and never was one")
    done = tallymark("up", *FREE)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: the service did not start: ")
    assert done.stderr.count("\n") == 1
    assert tallymark("status").returncode == 4


def test_stop_needs_db_if_several_services_run(tallymark: Callable[..., Completed], here: Path) -> None:
    """`status` shows all services, and `stop` is refused without --db."""
    for name in ("a.db", "b.db"):
        assert tallymark("up", "--db", name, *FREE).returncode == 0
    assert {Path(row["DB"]).name for row in rows(tallymark("status").stdout)} == {"a.db", "b.db"}
    assert tallymark("stop").returncode == 2
    assert tallymark("stop", "--db", "a.db").returncode == 0
    assert [Path(row["DB"]).name for row in rows(tallymark("status").stdout)] == ["b.db"]


def test_sighup_stops_serve_gracefully(here: Path) -> None:
    """SIGHUP, which a closing terminal sends, ends `serve` as SIGTERM does: with a log line and exit code 0."""
    server = Server(here / "tallymark.db")
    # A server that is started under nohup ignores SIGHUP, and these tests may be.
    ignored = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with server:
        signal.signal(signal.SIGHUP, ignored)
        os.kill(server.pid, signal.SIGHUP)
        assert server._process is not None
        assert server._process.wait(30) == 0
        assert server._process.stdout is not None
        server._process.stdout.close()
    assert "stopped" in server.log_file.read_text().splitlines()[-1]
