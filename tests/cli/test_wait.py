"""Commands that go on: watching, following and waiting, until Ctrl-C."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from typing import Any

from tallymark import Client
from tallymark.testing import Server

Start = Callable[..., Any]


def test_list_watch_prints_a_row_for_each_change(start: Start, churn: Client, registry: Server) -> None:
    """The list is followed by each changed version, none twice, also after a restart of the service; Ctrl-C ends it."""
    watch = start("version", "list", "churn", "--watch")
    assert [line.split("\t")[0] for line in watch.lines(4)] == ["VERSION", "churn/3", "churn/2", "churn/1"]
    churn.create_model("fraud")
    churn.create_version("fraud")
    churn.set_stage("churn/3", "staging")
    assert watch.lines(1)[0].split("\t")[:3] == ["churn/3", "rc", "staging"]
    registry.restart()
    churn.create_version("churn")
    churn.delete_version("churn/3")
    rows = [line.split("\t")[:3] for line in watch.lines(3)]
    assert rows[0] == ["churn/4", "4", "none"]
    assert rows[-1] == ["churn/3", "rc", "deleted"]
    assert watch.end(signal.SIGINT) == (130, "", "")


def test_followed_events_are_printed_at_once(start: Start, client: Client) -> None:
    """Each row is printed when the event happens, also into a pipe; --limit ends the command."""
    client.create_model("churn")
    client.start_run("r1")
    options = ("--no-headers", "-o", "name", "--limit")
    models = start("model", "list", "-w", *options, "2")
    runs = start("run", "list", "-w", *options, "2")
    events = start("events", "--follow", "--since", "1", *options, "3")
    assert [each.lines(1) for each in (models, runs, events)] == [["churn"], ["r1"], ["2"]]
    client.create_model("fraud")
    assert [each.lines(1) for each in (models, events)] == [["fraud"], ["3"]]
    client.start_run("r2")
    assert [each.lines(1) for each in (runs, events)] == [["r2"], ["4"]]
    assert [each.process.wait(30) for each in (models, runs, events)] == [0, 0, 0]


def test_watch_filters_by_kind(run: Any, churn: Client) -> None:
    """`version watch` prints the events of one model after a revision, only of the given kinds."""
    churn.create_model("fraud")
    churn.create_version("fraud")
    churn.set_stage("fraud/1", "production")
    command = ["version", "watch", "churn", "--since", "0", "--kind", "stage_changed", "--kind", "alias_set"]
    done = run(*command, "--limit", "4", "-o", "jsonl")
    assert done.exit_code == 0
    assert [line.partition('"kind": "EVENT_KIND_')[2].partition('"')[0] for line in done.stdout.splitlines()] == [
        "STAGE_CHANGED",
        "STAGE_CHANGED",
        "STAGE_CHANGED",
        "ALIAS_SET",
    ]


def test_watch_filters_by_stage(run: Any, churn: Client) -> None:
    """`version watch --stage` prints moves into and out of a stage."""
    command = ["version", "watch", "churn", "--since", "0", "--stage", "production", "--limit", "1", "-o", "jsonl"]
    (line,) = run(*command).stdout.splitlines()
    assert "STAGE_PRODUCTION" in line
    assert run("version", "watch", "churn", "--stage", "live").exit_code == 2


def test_watch_prints_a_yaml_document_for_each_event(run: Any, churn: Client) -> None:
    """An endless list is printed as separate YAML documents or JSON objects."""
    shown = run("version", "list", "churn", "--watch", "--limit", "3", "-o", "yaml").stdout
    assert [line for line in shown.splitlines() if line.startswith("---")] == ["---"] * 3
    shown = run("version", "list", "churn", "--watch", "--limit", "3", "-o", "json").stdout
    assert shown.count("\n}\n{\n") == 2


def test_wait_returns_once_the_version_exists(start: Start, run: Any, churn: Client) -> None:
    """`wait` ends once such a version exists in that stage, also if it existed before."""
    assert run("version", "wait", "churn@production", "-o", "name").stdout == "churn/2\n"
    waits = [
        start("version", "wait", *arguments, "-o", "name")
        for arguments in (["churn/4"], ["churn==2.0"], ["churn/3", "--stage", "staging"], ["fraud@champion"])
    ]
    churn.create_version("churn")
    churn.create_version("churn", "2.0")
    churn.set_stage("churn/3", "staging")
    churn.create_model("fraud")
    churn.create_version("fraud")
    churn.set_alias("fraud/1", "champion")
    assert [wait.process.communicate() for wait in waits] == [
        ("churn/4\n", ""),
        ("churn/5\n", ""),
        ("churn/3\n", ""),
        ("fraud/1\n", ""),
    ]
    assert [wait.process.returncode for wait in waits] == [0] * 4


def test_wait_times_out_with_exit_code_8(run: Any, churn: Client) -> None:
    """After --timeout, the error names the version, and the exit code is 8."""
    done = run("version", "wait", "churn/3", "--stage", "production", "--timeout", "0.1")
    assert (done.exit_code, done.stdout) == (8, "")
    assert done.stderr == "Error: no churn/3 in production within 0.1 s; wait longer with --timeout\n"


def test_ctrl_c_ends_a_waiting_call(start: Start) -> None:
    """Ctrl-C ends a command that waits for an answer, without an error message."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        call = start("--url", "{}:{}".format(*silent.getsockname()), "model", "list")
        connection, _ = silent.accept()
        with connection:
            assert call.end(signal.SIGINT) == (130, "", "")


def test_a_closed_pipe_ends_a_command_silently(start: Start, churn: Client) -> None:
    """If a reader such as `head` closes the pipe, the command ends without a message."""
    follow = start("events", "--follow", "--since", "0")
    assert follow.lines(2)[1].startswith("1\t")
    follow.process.stdout.close()
    churn.create_version("churn")
    assert (follow.process.stderr.read(), follow.process.wait(30)) == ("", 1)
