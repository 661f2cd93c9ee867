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

OutputOf = Callable[..., str]
LONG_RUN = "20261129-173120-530987-2c1ec9"


@pytest.fixture
def runs(churn: Client) -> Client:
    """Two runs whose long ids have a common prefix; one of them made version 4."""
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
    """No row is wider than 80 columns, and the first cell of a row is not cut."""
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


def test_a_run_is_found_by_a_prefix_of_its_id(output_of: OutputOf, run: Any, runs: Client) -> None:
    """An id as cut by a narrow terminal is accepted; a prefix of several runs is refused with their ids."""
    for name in (LONG_RUN[:16], f"{LONG_RUN[:20]}…", LONG_RUN):
        assert output_of("run", "get", name, "-o", "name") == f"{LONG_RUN}\n"
        assert output_of("run", "steps", name) == ""
        assert LONG_RUN in output_of("lineage", "--run", name)
    several = run("run", "get", "20261129")
    assert (several.exit_code, LONG_RUN in several.stderr) == (2, True)
    assert run("run", "get", "2027").exit_code == 4


def test_columns_are_chosen_by_title_field_or_key(output_of: OutputOf, run: Any, runs: Client) -> None:
    """Columns have the given order, also in csv; an unknown one is refused with the known ones."""
    chosen = output_of(
        "version", "list", "churn", "--columns", "number, name,stage,metadata.auc,age,creator,RUN,run-state"
    )
    titles = chosen.splitlines()[0].split("\t")
    assert titles == ["NUMBER", "NAME", "STAGE", "metadata.auc", "AGE", "CREATOR", "RUN", "RUN_STATE"]
    assert [row["metadata.auc"] for row in rows(chosen)] == ["-", "-", "0.9", "0.8"]
    assert column(output_of("run", "list", "--columns", "run,parameters.depth,duration"), "parameters.depth") == [
        "3",
        "3",
    ]
    assert output_of("alias", "list", "churn", "--columns", "version,alias", "--no-headers") == "churn/2\tchampion\n"
    for command, words in ((["version", "list", "churn"], "metadata.auc"), (["run", "list"], "duration")):
        done = run(*command, "--columns", "auc")
        assert (done.exit_code, words in done.stderr) == (2, True)
    assert run("model", "list", "--columns", "model", "-o", "json").exit_code == 2


def test_csv_is_quoted_and_has_all_columns(output_of: OutputOf, client: Client) -> None:
    """Commas, quotes and line ends stay within their cell, and all columns are printed."""
    client.create_model("churn", description='a, "b"\nc')
    (row,) = csv.DictReader(io.StringIO(output_of("model", "list", "-o", "csv")))
    assert (row["MODEL"], row["DESCRIPTION"], row["LICENSE"]) == ("churn", 'a, "b"\\nc', "")
    assert output_of("model", "list", "-o", "csv", "--columns", "model", "--no-headers") == "churn\n"


def test_output_option_works_before_the_command_and_in_capitals(output_of: OutputOf, churn: Client) -> None:
    """-o JSON means -o json, also before the command; the option after the command takes precedence."""
    expected = output_of("model", "list", "-o", "json")
    assert output_of("model", "list", "-o", "JSON") == output_of("-o", "json", "model", "list") == expected
    assert output_of("-o", "json", "model", "ls", "-o", "NAME") == "churn\n"


EVIL = "\x1b[2J \x07\x7f\x85\u202e\u2066\u200b\ufeff\U000e0041 \u2028end"


def test_control_characters_are_escaped_in_every_format(output_of: OutputOf, client: Client) -> None:
    """Control, direction and invisible characters are escaped; JSON and YAML still read back as the same text."""
    client.create_model("churn", description=EVIL)
    client.create_version("churn", metadata={"k": EVIL, "plain": "é 漢字 👍"})
    commands = (["model", "get", "churn"], ["version", "get", "churn"], ["describe", "churn"], ["describe", "churn/1"])
    for command in commands:
        for form in ("json", "jsonl", "yaml", "table", "wide"):
            shown = output_of(*command, "-o", form)
            assert shown.replace("\n", "").replace("\t", "").isprintable(), (command, form)
    found = json.loads(output_of("version", "get", "churn", "-o", "json"))["metadata"]
    assert (found["k"]["text"], found["plain"]["text"]) == (EVIL, "é 漢字 👍")
    shown = output_of("version", "get", "churn", "-o", "yaml")
    assert yaml.safe_load(shown)["metadata"] == found
    assert "é 漢字 👍" in shown


def test_an_empty_list_says_so_to_people(on_terminal: Any, run: Any, churn: Client) -> None:
    """A terminal shows a message for an empty list; output for a program is empty."""
    for command, words in {
        ("version", "list", "churn", "--filter", "number > 9"): "no versions of churn that meet the condition",
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
def test_a_full_disk_ends_a_command_with_one_line(churn: Client, command: list[str]) -> None:
    """If standard output is on a full disk, every command ends with one line and no traceback."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([PROGRAM, *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: cannot write: No space left on device\n")


def test_a_full_disk_ends_a_file_command_with_one_line(registry: Server, tmp_path: Path) -> None:
    """A command on a file reports a full disk in one line, too."""
    db = str(registry.db)
    for command in (["verify", "--db", db], ["backup", "--db", db, "--to", str(tmp_path / "copy.db")]):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run([PROGRAM, *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, "Error: cannot write: No space left on device\n")


def test_help_and_version_have_their_usual_forms(output_of: OutputOf, run: Any, on_terminal: Any) -> None:
    """-h, `help` with and without a command, and `version` work."""
    assert output_of("-h") == output_of("--help") == output_of("help")
    assert (
        output_of("version", "promote", "-h")
        == output_of("version", "promote", "--help")
        == output_of("help", "version", "promote")
    )
    assert output_of("version") == output_of("--version").replace(", version", "")
    code, shown = on_terminal("version")
    assert (code, "tallymark version list MODEL" in shown) == (0, True)
    unknown = run("help", "model", "nothing")
    assert (unknown.exit_code, "No such command 'model nothing'" in unknown.stderr) == (2, True)
