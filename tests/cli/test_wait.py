"""Commands that go on: watching, following and waiting, until Ctrl-C."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from typing import Any

from tallymark import Client
from tallymark.testing import Server

Start = Callable[..., Any]


def test_a_watch_adds_a_row_for_each_change(start: Start, churn: Client, registry: Server) -> None:
    """First the list, then each version as it became, none twice, also after the service was away; Ctrl-C ends it."""
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


def test_what_is_followed_is_printed_at_once(start: Start, client: Client) -> None:
    """Each row comes when it happens, though a pipe holds it; --limit ends it after so many."""
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


def test_a_watch_of_some_kinds(run: Any, churn: Client) -> None:
    """`version watch` tells what happened to one model, from a revision on, only of the kinds asked for."""
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


def test_a_watch_of_a_stage(run: Any, churn: Client) -> None:
    """`version watch --stage` tells what comes into a stage or leaves it."""
    command = ["version", "watch", "churn", "--since", "0", "--stage", "production", "--limit", "1", "-o", "jsonl"]
    (line,) = run(*command).stdout.splitlines()
    assert "STAGE_PRODUCTION" in line
    assert run("version", "watch", "churn", "--stage", "live").exit_code == 2


def test_yaml_of_a_watch_is_a_document_each(run: Any, churn: Client) -> None:
    """What has no end is printed as one YAML document after the other, and as one JSON object after the other."""
    shown = run("version", "list", "churn", "--watch", "--limit", "3", "-o", "yaml").stdout
    assert [line for line in shown.splitlines() if line.startswith("---")] == ["---"] * 3
    shown = run("version", "list", "churn", "--watch", "--limit", "3", "-o", "json").stdout
    assert shown.count("\n}\n{\n") == 2


def test_waiting_for_a_version(start: Start, run: Any, churn: Client) -> None:
    """`wait` ends when there is such a version, in that stage; also if it was there before."""
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


def test_waiting_in_vain(run: Any, churn: Client) -> None:
    """With --timeout, a version that does not come is told, with the exit code of what came too late."""
    done = run("version", "wait", "churn/3", "--stage", "production", "--timeout", "0.1")
    assert (done.exit_code, done.stdout) == (8, "")
    assert done.stderr == "Error: no churn/3 in production within 0.1 s; wait longer with --timeout\n"


def test_ctrl_c_ends_a_call_that_waits(start: Start) -> None:
    """Ctrl-C is heard while a command waits for an answer, and is no error to tell."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        call = start("--url", "{}:{}".format(*silent.getsockname()), "model", "list")
        connection, _ = silent.accept()
        with connection:
            assert call.end(signal.SIGINT) == (130, "", "")


def test_a_reader_that_has_enough(start: Start, churn: Client) -> None:
    """Where a reader such as `head` goes away, the command ends without a word."""
    follow = start("events", "--follow", "--since", "0")
    assert follow.lines(2)[1].startswith("1\t")
    follow.process.stdout.close()
    churn.create_version("churn")
    assert (follow.process.stderr.read(), follow.process.wait(30)) == ("", 1)
