"""How data is printed: columns, widths, escapes, and outputs that take no more."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.conftest import PROGRAM
from cli.tables import column, rows
from tallymark import Client
from tallymark.testing import Server

Say = Callable[..., str]
LONG_RUN = "20261129-173120-530987-2c1ec9"


@pytest.fixture
def runs(churn: Client) -> Client:
    """Two runs with long ids that begin alike, of which one made version 4."""
    for run, pipeline in ((LONG_RUN, "a_pipeline_with_a_name"), ("20261129-180000-000001-ffffff", "other")):
        churn.start_run(run, pipeline=pipeline, parameters={"depth": 3})
    churn.ensure_version("churn", run=LONG_RUN)
    churn.finish_run(LONG_RUN, "succeeded")
    return churn


@pytest.mark.parametrize(
    "command",
    [
        ["version", "list", "churn"],
        ["version", "get", "churn/4"],
        ["run", "list"],
        ["model", "list"],
        ["events"],
        ["version", "history", "churn/2"],
        ["run", "steps", LONG_RUN],
        ["artifact", "list", "churn/4"],
        ["alias", "list", "churn"],
        ["doctor"],
        ["version", "compare", "churn/1", "churn/4"],
    ],
    ids=" ".join,
)
def test_a_table_fits_a_narrow_terminal(on_terminal: Any, runs: Client, command: list[str]) -> None:
    """No row is wider than 80 columns, and what a row is called by is whole."""
    runs.update_version("churn/4", name="a name that is longer than others", tags=["x" * 60])
    runs.link_artifact("churn/4", "weights", f"s3://bucket/{'long/' * 20}")
    runs.start_step(LONG_RUN, "s1", name="fit", version="churn/4")
    runs.set_stage("churn/2", "archived", reason="because " * 20)
    code, shown = on_terminal(*command, NO_COLOR="1", COLUMNS="80")
    assert (code, shown != "") == (0, True)
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    if command == ["run", "list"]:
        assert shown.splitlines()[2].startswith(LONG_RUN[:20])
        assert "succeeded" in shown
    if command == ["version", "list", "churn"]:
        assert [line.split()[0] for line in shown.splitlines()[1:]] == ["churn/4", "churn/3", "churn/2", "churn/1"]


def test_a_run_is_found_by_a_beginning_of_its_id(say: Say, run: Any, runs: Client) -> None:
    """The id that a narrow terminal has cut is taken; a beginning that several runs have is refused with their ids."""
    for name in (LONG_RUN[:16], f"{LONG_RUN[:20]}…", LONG_RUN):
        assert say("run", "get", name, "-o", "name") == f"{LONG_RUN}\n"
        assert say("run", "steps", name) == ""
        assert LONG_RUN in say("lineage", "--run", name)
    several = run("run", "get", "20261129")
    assert (several.exit_code, LONG_RUN in several.stderr) == (2, True)
    assert run("run", "get", "2027").exit_code == 4


def test_columns_are_chosen_by_title_field_or_key(say: Say, run: Any, runs: Client) -> None:
    """In the order asked for, also for csv; one that is not there is refused with those that are."""
    chosen = say("version", "list", "churn", "--columns", "number, name,stage,metadata.auc,age,creator,RUN,run-state")
    titles = chosen.splitlines()[0].split("\t")
    assert titles == ["NUMBER", "NAME", "STAGE", "metadata.auc", "AGE", "CREATOR", "RUN", "RUN_STATE"]
    assert [row["metadata.auc"] for row in rows(chosen)] == ["-", "-", "0.9", "0.8"]
    assert column(say("run", "list", "--columns", "run,parameters.depth,duration"), "parameters.depth") == ["3", "3"]
    assert say("alias", "list", "churn", "--columns", "version,alias", "--no-headers") == "churn/2\tchampion\n"
    for command, words in ((["version", "list", "churn"], "metadata.auc"), (["run", "list"], "duration")):
        done = run(*command, "--columns", "auc")
        assert (done.exit_code, words in done.stderr) == (2, True)
    assert run("model", "list", "--columns", "model", "-o", "json").exit_code == 2


def test_csv_is_read_by_any_reader_of_csv(say: Say, client: Client) -> None:
    """Commas, quotes and line ends stand within their cell, nothing is empty, and all columns are there."""
    client.create_model("churn", description='a, "b"\nc')
    (row,) = csv.DictReader(io.StringIO(say("model", "list", "-o", "csv")))
    assert (row["MODEL"], row["DESCRIPTION"], row["LICENSE"]) == ("churn", 'a, "b"\\nc', "")
    assert say("model", "list", "-o", "csv", "--columns", "model", "--no-headers") == "churn\n"


def test_the_format_may_stand_before_the_command_and_in_capitals(say: Say, churn: Client) -> None:
    """-o JSON is -o json, before the command too; after it counts more."""
    expected = say("model", "list", "-o", "json")
    assert say("model", "list", "-o", "JSON") == say("-o", "json", "model", "list") == expected
    assert say("-o", "json", "model", "ls", "-o", "NAME") == "churn\n"


EVIL = "\x1b[2J \x07\x7f\x85\u202e\u2066\u200b\ufeff\U000e0041 \u2028end"


def test_no_format_lets_text_steer_a_terminal(say: Say, client: Client) -> None:
    """Controls, marks of direction and hidden characters are escaped everywhere; JSON and YAML still hold them."""
    client.create_model("churn", description=EVIL)
    client.create_version("churn", metadata={"k": EVIL, "plain": "é 漢字 👍"})
    commands = (["model", "get", "churn"], ["version", "get", "churn"], ["describe", "churn"], ["describe", "churn/1"])
    for command in commands:
        for form in ("json", "jsonl", "yaml", "table", "wide"):
            shown = say(*command, "-o", form)
            assert shown.replace("\n", "").replace("\t", "").isprintable(), (command, form)
    found = json.loads(say("version", "get", "churn", "-o", "json"))["metadata"]
    assert (found["k"]["text"], found["plain"]["text"]) == (EVIL, "é 漢字 👍")
    shown = say("version", "get", "churn", "-o", "yaml")
    assert yaml.safe_load(shown)["metadata"] == found
    assert "é 漢字 👍" in shown


def test_an_empty_list_says_so_to_people(on_terminal: Any, run: Any, churn: Client) -> None:
    """A terminal is told that there is nothing; a program is told nothing."""
    for command, words in {
        ("version", "list", "churn", "--filter", "number > 9"): "no versions of churn of which this is true",
        ("run", "list"): "no runs",
        ("artifact", "list", "churn/1"): "no artifacts of churn/1",
        ("events", "--since", "2999-01-01"): "no events",
    }.items():
        assert on_terminal(*command) == (0, f"{words}\n")
        done = run(*command)
        assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(
    "command",
    [
        ["model", "list"],
        ["model", "list", "-o", "json"],
        ["version", "list", "churn", "-o", "csv"],
        ["describe", "churn"],
        ["events"],
        ["doctor"],
        ["version"],
        ["--version"],
        ["--help"],
        ["help", "model"],
        ["version", "promote", "-h"],
        ["completion", "zsh"],
        ["context", "list", "-o", "json"],
    ],
    ids=" ".join,
)
def test_an_output_that_is_full_is_one_error(churn: Client, command: list[str]) -> None:
    """A full disk below standard output ends every command with one line and no traceback."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([PROGRAM, *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: cannot write: No space left on device\n")


def test_a_command_on_files_ends_so_too(registry: Server, tmp_path: Path) -> None:
    """What works on a file says in one line that its output is full."""
    db = str(registry.db)
    for command in (["verify", "--db", db], ["backup", "--db", db, "--to", str(tmp_path / "copy.db")]):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run([PROGRAM, *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, "Error: cannot write: No space left on device\n")


def test_help_and_version_are_where_people_look_for_them(say: Say, run: Any, on_terminal: Any) -> None:
    """-h, help with and without a command, and version without one."""
    assert say("-h") == say("--help") == say("help")
    assert say("version", "promote", "-h") == say("version", "promote", "--help") == say("help", "version", "promote")
    assert say("version") == say("--version").replace(", version", "")
    code, shown = on_terminal("version")
    assert (code, "tallymark version list MODEL" in shown) == (0, True)
    unknown = run("help", "model", "nothing")
    assert (unknown.exit_code, "No such command 'model nothing'" in unknown.stderr) == (2, True)
