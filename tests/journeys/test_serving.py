"""Starting and stopping the service from the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_calls import PROJECT, Calls, refusal_of
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tallymark.testing import Server
from tallymark.v1 import model_registry_pb2
from tallymark_server.storage.sqlite.verification import verify


def serve(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `tallymark serve` with these options, and wait for it."""
    return tallymark(folder, "serve", "--no-ui", *options, **environment)


def tallymark(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command with these arguments, and wait for it."""
    return subprocess.run(
        [Path(sys.executable).with_name("tallymark"), *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def refused_with(run: subprocess.CompletedProcess[str], *words: str) -> None:
    """Check that the command failed with one sentence that contains these words."""
    assert run.returncode != 0
    assert run.stdout == ""
    lines = [line for line in run.stderr.splitlines() if not line.startswith(("Usage:", "Try ")) and line]
    assert len(lines) == 1, run.stderr
    assert lines[0].startswith("Error: ")
    for word in words:
        assert word in lines[0], lines[0]


def test_a_second_server_on_the_port_is_refused(server: Server, tmp_path: Path) -> None:
    """A port in use is reported in one sentence that names the flag to change it."""
    refused_with(serve(tmp_path, "--db", "other.db", "--listen", server.address), server.address, "--listen")


def test_a_second_server_on_the_file_is_refused(server: Server, tmp_path: Path) -> None:
    """A second server on the file is refused by any path, and the error names the process of the first."""
    link = tmp_path / "link.db"
    link.symlink_to(server.db)
    for path in (server.db, link):
        refused_with(serve(tmp_path, "--db", str(path), "--listen", "127.0.0.1:0"), str(server.pid), "--db")


def test_a_file_with_hard_links_is_refused(server: Server, tmp_path: Path) -> None:
    """A file with several names is refused, since under another name its latest changes are not visible."""
    other = tmp_path / "other.db"
    other.hardlink_to(server.db)
    refused_with(serve(tmp_path, "--db", str(other), "--listen", "127.0.0.1:0"), "2 names", "--db")
    for command in (["backup", "--to", "copy.db"], ["verify"], ["export", "--to", "log.jsonl"]):
        refused_with(tallymark(tmp_path, *command, "--db", str(other)), "2 names", "--db")


def test_an_unusable_file_is_refused(tmp_path: Path) -> None:
    """A missing folder, a folder and a file that is no database are each reported in one sentence."""
    (tmp_path / "text.db").write_text("not a database, and long enough to have a header" * 100)
    with sqlite3.connect(tmp_path / "foreign.db") as foreign:
        foreign.execute("CREATE TABLE theirs (id)")
    foreign.close()
    (tmp_path / "file").touch()
    for path, words in (
        ("missing/x.db", "no folder"),
        (".", "is a folder"),
        ("file/x.db", "no folder"),
        ("text.db", "not a database"),
        ("foreign.db", "another program's database"),
        ("/proc/x.db", "cannot write in /proc"),
    ):
        refused_with(serve(tmp_path, "--db", path, "--listen", "127.0.0.1:0"), words, "--db")


def test_a_file_of_a_newer_program_is_refused(server: Server, tmp_path: Path) -> None:
    """A file with the schema of a newer release is refused."""
    server.stop()
    with sqlite3.connect(server.db) as database:
        database.execute("PRAGMA user_version = 999")
    database.close()
    refused_with(serve(tmp_path, "--db", str(server.db), "--listen", "127.0.0.1:0"), "newer Tallymark", "--db")


@pytest.mark.parametrize("listen", ["", "localhost", "127.0.0.1:x", "127.0.0.1:99999", ":50051"])
def test_an_invalid_address_is_refused(tmp_path: Path, listen: str) -> None:
    """An address that is not HOST:PORT is refused."""
    refused_with(serve(tmp_path, "--listen", listen), "HOST:PORT")


def test_an_invalid_project_name_is_refused(tmp_path: Path) -> None:
    """A project whose name is invalid is refused with the allowed characters."""
    refused_with(serve(tmp_path, "--project", "Team A"), "Team A", "a-z")


def test_help_has_every_setting_with_its_default_and_variable(tmp_path: Path) -> None:
    """`tallymark serve --help` lists every setting with its flag, its variable and its default."""
    text = " ".join(serve(tmp_path, "--help").stdout.split())
    for name in ("db", "listen", "http", "ui", "max-waiting", "heartbeat", "grace", "log-level", "log-format"):
        assert f"--{name}" in text
        assert f"TALLYMARK_{name.upper().replace('-', '_')}" in text
    assert "--config" in text
    assert "default: 127.0.0.1:50051" in text


def settled(tmp_path: Path, options: Sequence[str], **environment: str) -> str:
    """Start a server with these settings, and return its database and its host."""
    process = subprocess.Popen(
        [Path(sys.executable).with_name("tallymark"), "serve", "--no-ui", *options],
        cwd=tmp_path,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    announced = process.stdout.readline().split()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    process.stdout.close()
    return f"{announced[2]} {announced[-1].rsplit(':', 1)[0]}"


def test_a_flag_wins_over_a_variable_and_a_variable_over_a_file(tmp_path: Path) -> None:
    """A flag has precedence over a variable, and a variable over the file of settings."""
    config = tmp_path / "settings.toml"
    config.write_text('listen = "127.0.0.3:0"\ndb = "file.db"\n')
    listen = ["--listen", "127.0.0.1:0"]
    assert settled(tmp_path, listen) == "tallymark.db 127.0.0.1"
    assert settled(tmp_path, ["--config", str(config)]) == "file.db 127.0.0.3"
    variables = {"TALLYMARK_LISTEN": "127.0.0.2:0", "TALLYMARK_CONFIG": str(config)}
    assert settled(tmp_path, [], **variables) == "file.db 127.0.0.2"
    assert settled(tmp_path, listen, **variables) == "file.db 127.0.0.1"


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    """A misspelt setting in the file is refused with the known settings."""
    (tmp_path / "settings.toml").write_text("lisen = 1\n")
    refused_with(serve(tmp_path, "--config", "settings.toml"), "lisen", "listen")
    refused_with(serve(tmp_path, "--config", "missing.toml"), "missing.toml")


@pytest.mark.parametrize("setting", ['http-origin = "ftp://x"', 'http-origins = ["https://app.example", "ftp://x"]'])
def test_a_setting_in_the_file_is_named_as_its_flag(tmp_path: Path, setting: str) -> None:
    """A setting of several values takes one or a list, by the name of its flag, or by the one of release 0.1."""
    (tmp_path / "settings.toml").write_text(setting)
    refused_with(serve(tmp_path, "--config", "settings.toml"), "'ftp://x' is not the origin of a site")


def test_projects_are_independent(tmp_path: Path) -> None:
    """Each project has its own models, numbers and log."""
    with (
        Server(tmp_path / "tallymark.db", ["--project", "team-a"]) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        calls = Calls(channel)
        calls.ensure("churn")
        for parent, revision in (("projects/team-a", 1), (PROJECT, 3)):
            request = model_registry_pb2.CreateModelRequest(parent=parent, model_id="m")
            assert calls.models.CreateModel(request).create_revision == revision


def test_numbers_go_on_after_a_restart(server: Server, calls: Calls) -> None:
    """A restarted server continues the numbers."""
    calls.ensure("churn")
    server.restart()
    with grpc.insecure_channel(server.address) as channel:
        assert Calls(channel).ensure("churn").model_version.number == 2


def test_what_was_acknowledged_survives_a_kill(server: Server, calls: Calls) -> None:
    """After SIGKILL under load, every acknowledged version exists, and numbers have no gap."""
    calls.create_model("churn")
    request = model_registry_pb2.CreateModelVersionRequest(parent=f"{PROJECT}/models/churn")
    futures = [calls.models.CreateModelVersion.future(request) for _ in range(400)]
    futures[100].result()
    server.kill()
    acknowledged = {future.result().number for future in futures if future.exception() is None}
    assert acknowledged
    server.start()
    with grpc.insecure_channel(server.address) as channel:
        numbers = [version.number for version in Calls(channel).versions("churn", page_size=1000)]
    assert acknowledged <= set(numbers)
    assert numbers == list(range(len(numbers), 0, -1))
    assert verify(server.db).problems == []


def test_a_stopping_server_answers_queued_writes(server: Server, calls: Calls) -> None:
    """On SIGTERM queued writes are executed and answered, later ones are refused, and the exit code is 0."""
    calls.create_model("churn")
    request = model_registry_pb2.CreateModelVersionRequest(parent=f"{PROJECT}/models/churn")
    futures = [calls.models.CreateModelVersion.future(request) for _ in range(400)]
    futures[100].result()
    server.stop()
    answered = []
    for future in futures:
        error = future.exception()
        if error is None:
            answered.append(future.result().number)
        else:
            # Calls that gRPC had not passed to the server yet are cancelled, and have no effect.
            assert isinstance(error, grpc.Call)
            assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}, error
    assert len(answered) > 100
    server.start()
    with grpc.insecure_channel(server.address) as channel:
        numbers = [version.number for version in Calls(channel).versions("churn", page_size=1000)]
    assert sorted(answered) == sorted(numbers) == list(range(1, len(numbers) + 1))


def test_a_stopping_server_says_so_to_health_checks(server: Server) -> None:
    """A health watcher receives NOT_SERVING before the server ends."""
    with grpc.insecure_channel(server.address) as channel:
        stream = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(stream).status == health_pb2.HealthCheckResponse.SERVING
        with ThreadPoolExecutor(1) as pool:
            stopped = pool.submit(server.stop)
            assert next(stream).status == health_pb2.HealthCheckResponse.NOT_SERVING
            stream.cancel()
            stopped.result()


def test_a_full_queue_refuses_at_once(tmp_path: Path) -> None:
    """Writes beyond --max-waiting are refused with a time to retry, and the queued ones are executed."""
    with (
        Server(tmp_path / "tallymark.db", ["--max-waiting", "1"]) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        calls = Calls(channel)
        calls.create_model("churn")
        request = model_registry_pb2.CreateModelVersionRequest(parent=f"{PROJECT}/models/churn")
        futures = [calls.models.CreateModelVersion.future(request) for _ in range(200)]
        errors = [error for error in (future.exception() for future in futures) if error is not None]
        refusals = [refusal_of(error) for error in errors]
        assert {refusal.info.reason for refusal in refusals} == {"OVERLOADED"}
        assert {refusal.metadata["retry_after_ms"] for refusal in refusals} == {"200"}
        assert calls.model("churn").last_number == 200 - len(refusals) > 0


def test_logs_are_structured(tmp_path: Path) -> None:
    """With --log-format json every line of the log is an object with time, level and event."""
    with Server(tmp_path / "tallymark.db", ["--log-format", "json"]) as server:
        server.stop()
    lines = [json.loads(line) for line in server.log_file.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["serving", "stopping", "stopped"]
    assert all({"timestamp", "level"} <= line.keys() for line in lines)
    assert lines[0]["address"] == server.address


def test_a_busy_port_of_another_program_is_refused(tmp_path: Path) -> None:
    """A port that any other program listens on is refused."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        refused_with(serve(tmp_path, "--listen", f"127.0.0.1:{other.getsockname()[1]}"), "--listen")
