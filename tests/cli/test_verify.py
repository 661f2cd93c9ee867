"""`tallymark verify` and `tallymark export` of a service, beside those of a file."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cli.test_refusals import one_line

from tallymark import Client
from tallymark.testing import Server


def test_verify_and_export_of_a_service_match_those_of_its_file(
    run: Any, registry: Server, churn: Client, tmp_path: Path
) -> None:
    """With --url the output and the bytes are the same, and a checkpoint of either fits the other."""
    url, db = ("--url", registry.address), ("--db", str(registry.db))
    marks = [tmp_path / f"{name}.json" for name in ("service", "file")]
    for command, mark in (((*url, "verify"), marks[0]), (("verify", *db), marks[1])):
        done = run(*command, "--write-checkpoint", str(mark))
        assert (done.exit_code, done.stderr) == (0, "")
        assert f"project default: {churn.verify().checkpoint.hash}\n" in done.stdout
        assert "agrees with its log: 8 events" in done.stdout
    assert marks[0].read_text() == marks[1].read_text()
    churn.create_version("churn")
    for mark in marks:
        assert run(*url, "verify", "--checkpoint", str(mark)).exit_code == 0
        assert run("verify", *db, "--checkpoint", str(mark)).exit_code == 0
    for at in ([], ["--at", "3"]):
        told = run(*url, "export", "--to", "-", *at)
        assert told.stdout_bytes == run("export", *db, "--project", "default", "--to", "-", *at).stdout_bytes
        assert told.stderr == f"exported {3 if at else 9} events of project default of {registry.address}\n"
    to = tmp_path / "export.jsonl"
    assert run(*url, "export", "--project", "default", "--to", str(to)).exit_code == 0
    assert json.loads(to.read_bytes().splitlines()[-1])["end"] > 8
    assert "is there already" in one_line(run(*url, "export", "--to", str(to)))


def test_export_at_a_time_has_only_earlier_events(run: Any, registry: Server, churn: Client) -> None:
    """A file and a service export the same bytes for a time; before the first event, nothing is exported."""
    middle = next(event for event in churn.list_events() if event.revision == 4)
    last = max(event.revision for event in churn.list_events() if event.time <= middle.time)
    at = ("--at", middle.time.isoformat())
    by_file = run("export", "--db", str(registry.db), "--to", "-", *at)
    by_service = run("--url", registry.address, "export", "--to", "-", *at)
    assert by_file.stdout_bytes == by_service.stdout_bytes
    assert by_file.stderr == f"exported {last} events of {registry.db}\n"
    assert "exported 0 events" in run("export", "--db", str(registry.db), "--to", "-", "--at", "2000-01-01").stderr
    before = run("--url", registry.address, "export", "--to", "-", "--at", "2000-01-01")
    assert (before.exit_code, "had no events at that time" in one_line(before)) == (1, True)
    assert run("export", "--db", str(registry.db), "--to", "-", "--at", "0").exit_code == 2


def test_problems_end_verify_with_an_error(run: Any, registry: Server, churn: Client, tmp_path: Path) -> None:
    """Each problem is a line, the error has their number, and no checkpoint is written."""
    mark = tmp_path / "mark.json"
    with closing(sqlite3.connect(registry.db)) as database, database:
        database.execute("DELETE FROM aliases")
    done = run("--url", registry.address, "verify", "--write-checkpoint", str(mark))
    assert done.exit_code == 1
    assert done.stderr.startswith("table aliases: lacks: ")
    assert f"Error: 1 thing is wrong with project default of {registry.address}" in done.stderr
    assert not mark.exists()


def test_url_decides_between_a_service_and_a_file(run: Any, registry: Server, tmp_path: Path) -> None:
    """Neither the environment nor options of the other choose between a service and a file."""
    url, to = ("--url", registry.address), ("--to", str(tmp_path / "x.jsonl"))
    for command in (("verify",), ("export", *to)):
        missing = run(*command, env={"TALLYMARK_DB": str(tmp_path / "none.db"), "TALLYMARK_URL": registry.address})
        assert (missing.exit_code, "no file" in one_line(missing)) == (1, True)
        assert run(*url, *command, env={"TALLYMARK_DB": str(tmp_path / "none.db")}).exit_code == 0
        Path(to[1]).unlink(missing_ok=True)
        both = run(*url, *command, "--db", str(registry.db))
        assert (both.exit_code, "use either --url" in one_line(both)) == (2, True)
        without = run("--project", "lab", *command)
        assert (without.exit_code, "need --url" in one_line(without)) == (2, True)
        unknown = run(*url, "--project", "lab", *command)
        assert (unknown.exit_code, "no project 'lab'" in one_line(unknown)) == (4, True)
    future = run(*url, "export", *to, "--at", "9")
    assert (future.exit_code, "has not happened" in one_line(future)) == (6, True)
    assert [path.name for path in tmp_path.glob("*jsonl*")] == []


@pytest.mark.parametrize(
    ("text", "words"), [("{}", "is no checkpoint"), ('{"checkpoint": 2, "projects": {}}', "has no entry for project")]
)
def test_a_checkpoint_without_the_project_is_refused(
    run: Any, registry: Server, tmp_path: Path, text: str, words: str
) -> None:
    """A checkpoint that does not contain the project is an error, not a success."""
    (tmp_path / "mark.json").write_text(text)
    done = run("--url", registry.address, "verify", "--checkpoint", str(tmp_path / "mark.json"))
    assert (done.exit_code, words in one_line(done)) == (1, True)
