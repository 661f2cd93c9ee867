"""Import from a database that ZenML made."""

from __future__ import annotations

import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from importers.commands import ENVIRONMENT, PROGRAM, imported, refused, served, tallymark
from tallymark import Uri
from tallymark.errors import NotFound

DUMP = Path(__file__).with_name("zenml-0.98.0.sql").read_text()
# As many as the dump becomes in project default.
EVENTS = 29


@pytest.fixture
def zenml(tmp_path: Path) -> Path:
    """The database, as ZenML left it."""
    path = tmp_path / "zenml.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(DUMP)
    return path


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement)


def rows(path: Path, question: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(question).fetchall()


def time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_registry_of_zenml_is_taken_over(zenml: Path, tmp_path: Path) -> None:
    """Numbers, names, stages, tags and texts are kept, and the number of a deleted version is not given again."""
    db = tmp_path / "tallymark.db"
    before = zenml.read_bytes()
    imported(db, "import-zenml", zenml)
    assert zenml.read_bytes() == before
    with served(db) as client:
        versions = client.list_versions("churn")
        found = {version.number: (version.name, version.stage.value, version.tags) for version in versions}
        assert found == {
            1: ("1", "none", ("growth", "v")),
            2: ("2", "none", ("growth", "v")),
            3: ("1.0.5", "production", ("x",)),
            5: ("a-b", "staging", ()),
            6: ("name-production", "none", ()),
        }
        model, version = client.get_model("churn"), client.get_version("churn==1.0.5")
        assert (model.description, model.license, model.ethics) == ("who leaves", "MIT", "e")
        assert (model.creator, version.creator, version.description) == ("default", "default", "named")
        assert [model.name for model in client.list_models()] == ["a-b-c", "churn", "empty"]
        with pytest.raises(NotFound):
            client.get_version("churn/4")
        assert client.create_version("churn").number == 7


def test_times_are_those_of_zenml(zenml: Path, tmp_path: Path) -> None:
    """Each version was created when ZenML says, and is in its stage since it was last changed there."""
    db = tmp_path / "tallymark.db"
    imported(db, "import-zenml", zenml)
    told = rows(zenml, "SELECT number, created, updated, stage FROM model_version")
    ((created,),) = rows(zenml, "SELECT created FROM model WHERE name = 'churn'")
    with served(db) as client:
        assert client.get_model("churn").create_time == time(created)
        assert len(told) == 5
        for number, created, updated, stage in told:
            assert client.get_version(f"churn/{number}").create_time == time(created)
            if stage in ("production", "staging"):
                (change,) = client.history(f"churn/{number}", kinds=["stage_changed"])
                assert change.time == time(updated)


def test_metadata_has_every_value_that_it_ever_had(zenml: Path, tmp_path: Path) -> None:
    """Facts keep their types, and what was so at a time is so as of that time."""
    db = tmp_path / "tallymark.db"
    imported(db, "import-zenml", zenml)
    with served(db) as client:
        facts = client.get_version("churn/1").metadata
        assert facts == {
            "auc": 0.9,
            "rounds": 3.0,
            "ok": True,
            "note": "first",
            "at": Uri("s3://b/x"),
            "list": [1.0, "a"],
            "map": {"a": None, "b": 1.0},
        }
        told = rows(zenml, "SELECT created, value FROM run_metadata WHERE key = 'auc' ORDER BY created")
        assert [value for _, value in told[1:]] == ["0.95", "0.97", "0.9"]
        for at, value in told[1:3]:
            assert client.get_version("churn/3", at=time(at)).metadata["auc"] == float(value)


def test_runs_and_artifacts_come_with_their_versions(zenml: Path, tmp_path: Path) -> None:
    """Runs that created a version, failed, or used a version are imported as such, with what they created."""
    db = tmp_path / "tallymark.db"
    imported(db, "import-zenml", zenml)
    told = {row[0]: row[1:] for row in rows(zenml, "SELECT id, start_time, end_time FROM pipeline_run")}
    with served(db) as client:
        runs = {run.pipeline: run for run in client.list_runs()}
        assert {name: run.state.value for name, run in runs.items()} == {
            "training": "succeeded",
            "failing": "failed",
            "scoring": "succeeded",
        }
        for run in runs.values():
            assert (run.create_time, run.end_time) == tuple(map(time, told[uuid.UUID(run.id).hex]))
        assert runs["training"].parameters["depth"] == 3
        assert client.get_version("churn/1").run == runs["training"].id
        assert {run.pipeline for run in client.list_runs(version="churn/3")} == {"scoring"}
        ((artifact_uri,), _) = rows(zenml, "SELECT uri FROM artifact_version ORDER BY version_number")
        assert [(found.name, found.uri) for found in client.list_artifacts("churn/1")] == [("weights", artifact_uri)]


def test_what_cannot_be_kept_is_reported(zenml: Path, tmp_path: Path) -> None:
    """Each change has a line in the report; --dry-run only reports, and with --strict nothing is imported."""
    db = tmp_path / "tallymark.db"
    dry = tallymark("import-zenml", zenml, "--db", db, "--dry-run")
    assert (dry.returncode, db.exists()) == (0, False)
    assert dry.stdout == "would import 3 models, 5 versions, 3 runs; not kept: 4\n"
    assert dry.stderr.splitlines() == [
        "version churn/5: its name 'a/b' cannot be one here; it is 'a-b' now",
        "version churn/6: its name 'production' cannot be one here; it is 'name-production' now",
        "version churn/6: stage 'latest' is computed here; it is in none",
        "model a/b@c: its name 'a/b@c' cannot be one here; it is 'a-b-c' now",
        "not imported: of the artifacts: their metadata, and ZenML's content hashes, which are not of their bytes",
        "not imported: of the runs: their steps, metadata and logs",
        "the import will take about 1 s",
    ]
    strict = tallymark("import-zenml", zenml, "--db", db, "--strict")
    assert (strict.returncode, strict.stdout, db.exists()) == (1, "", False)
    assert "Error: not everything can be kept, so nothing was imported: 3 models" in strict.stderr


def test_values_that_have_no_place_here_are_reported(zenml: Path, tmp_path: Path) -> None:
    """A value that is too long, too large, of an unknown stage or no JSON is replaced by a close one, and reported."""
    change(
        zenml,
        "UPDATE model SET description = hex(zeroblob(40000)) WHERE name = 'empty'",
        "UPDATE run_metadata SET value = '{half' WHERE key = 'note'",
        "UPDATE run_metadata SET value = '99007199254740993123' WHERE key = 'rounds'",
        "UPDATE run_metadata SET value = '\"' || hex(zeroblob(400000)) || '\"' WHERE key = 'at'",
        "UPDATE model_version SET stage = 'canary' WHERE number = 1",
        "UPDATE model_version SET stage = 'production' WHERE number = 6",
        "UPDATE tag SET name = hex(zeroblob(400)) WHERE name = 'v'",
    )
    losses = "\n".join(imported(tmp_path / "tallymark.db", "import-zenml", zenml))
    for words in (
        "model empty: its description: is longer than",
        "version churn/1, metadata 'note': is no JSON, and is kept as text",
        "version churn/1, metadata 'rounds': 99007199254740993123 is kept as text",
        "version churn/1: 'at' is left out: ",
        "version churn/1: stage 'canary' is unknown here",
        "version churn/3: was in production together with version 6; only one can be, so it is archived",
        "version churn/1: tag '000",
    ):
        assert words in losses


def test_a_source_that_is_no_zenml_is_refused(zenml: Path, tmp_path: Path) -> None:
    """What is not there, something else or half a file is one sentence; nothing is made, there or here."""
    (tmp_path / "text.db").write_text("no database at all")
    raw = zenml.read_bytes()
    (tmp_path / "half.db").write_bytes(raw[: len(raw) // 2])
    change(tmp_path / "early.db", "CREATE TABLE model (name)")
    change(tmp_path / "older.db", "CREATE TABLE model_version (name)")
    (tmp_path / "empty.db").touch()
    for source, words in (
        ("missing.db", "there is no file missing.db; name a database of ZenML 0.80 or later"),
        (".", "there is no file ."),
        ("mysql://host/zenml", "only the SQLite file of a ZenML store can be read"),
        ("text.db", "cannot read text.db: file is not a database"),
        ("empty.db", "empty.db is not a database of ZenML 0.80 or later: it has no table artifact"),
        ("early.db", "early.db is not a database of ZenML"),
        ("older.db", "older.db is a store of a ZenML before 0.80: copy it, start ZenML 0.80 or newer once on the copy"),
        ("half.db", "half.db"),
    ):
        refused(words, "import-zenml", source, "--db", "tallymark.db", cwd=tmp_path)
        assert not (tmp_path / "tallymark.db").exists()


def test_a_damaged_page_is_found_before_anything_is_imported(zenml: Path, tmp_path: Path) -> None:
    """A file of the right length whose pages were overwritten is reported as damaged."""
    raw = bytearray(zenml.read_bytes())
    ((page,),) = rows(zenml, "SELECT rootpage FROM sqlite_schema WHERE name = 'model_version'")
    raw[(page - 1) * 4096 : page * 4096] = b"\x7f" * 4096
    zenml.write_bytes(raw)
    refused("zenml.db", "import-zenml", zenml, "--db", tmp_path / "tallymark.db")
    assert not (tmp_path / "tallymark.db").exists()


def test_one_project_of_several_is_named(zenml: Path, tmp_path: Path) -> None:
    """Of several projects with models one must be named; the error for a missing one lists those that exist."""
    other = uuid.uuid4().hex
    change(
        zenml,
        "INSERT INTO project (id, created, updated, name, display_name, description, project_metadata)"
        f" SELECT '{other}', created, updated, 'lab', 'lab', '', '{{}}' FROM project",
        f"UPDATE model SET project_id = '{other}' WHERE name = 'empty'",
    )
    db = tmp_path / "tallymark.db"
    refused("name one of default, lab with --from-project", "import-zenml", zenml, "--db", db)
    refused("there is no project x; there are default, lab", "import-zenml", zenml, "--from-project", "x", "--db", db)
    imported(db, "import-zenml", zenml, "--from-project", "lab", "--project", "lab")
    imported(db, "import-zenml", zenml, "--from-project", "default", "--project", "main")
    assert tallymark("export", "--db", db, "--project", "lab", "--to", "-").stdout.count('"kind"') == 1


def test_a_project_with_events_is_left_alone(zenml: Path, tmp_path: Path) -> None:
    """An import never goes before existing events, and disturbs no server: it goes into another project."""
    db = tmp_path / "tallymark.db"
    with served(db) as client:
        client.create_model("churn")
        refused("held by another Tallymark server", "import-zenml", zenml, "--db", db)
    refused("project default of", "import-zenml", zenml, "--db", db)
    refused("name another project", "import-zenml", zenml, "--db", db)
    refused("a/b", "import-zenml", zenml, "--db", db, "--project", "a/b")
    imported(db, "import-zenml", zenml, "--project", "churn")
    refused(f"has {EVENTS} events already", "import-zenml", zenml, "--db", db, "--project", "churn")


# The program, which sends itself a signal when some of the changes were decided.
STOPPED = """
import os, sys
from tallymark.cli import main
from tallymark_server.importers import replay

replay.MAX_BATCH = 5
decide = replay.decide_batch

async def decide_some(*given):
    answers = await decide(*given)
    os.kill(os.getpid(), int(sys.argv[1]))
    return answers

replay.decide_batch = decide_some
main(sys.argv[2:], prog_name="tallymark")
"""


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_import_that_is_stopped_has_done_nothing(
    zenml: Path, tmp_path: Path, sign: signal.Signals, code: int, *, there: bool
) -> None:
    """Ctrl-C or a kill in its midst leaves the file as it was, or none; the same command again then does it all."""
    db = tmp_path / "tallymark.db"
    if there:
        with served(db) as client:
            client.create_model("churn")
    before = tallymark("export", "--db", db, "--to", "-").stdout
    words = ("import-zenml", str(zenml), "--project", "main")
    command = [sys.executable, "-c", STOPPED, str(sign.value), *words, "--db", str(db)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, env=ENVIRONMENT)
    assert done.returncode == code
    assert db.exists() == there
    assert tallymark("export", "--db", db, "--to", "-").stdout == before
    imported(db, *words)
    assert tallymark("export", "--db", db, "--project", "main", "--to", "-").stdout.count('"kind"') == EVENTS


def test_a_terminal_is_shown_the_progress(zenml: Path, tmp_path: Path) -> None:
    """Who waits sees what is read and what is imported, up to the end; where there is no terminal nothing is shown."""
    terminal, end = pty.openpty()
    command: list[str | Path] = [PROGRAM, "import-zenml", zenml, "--db", tmp_path / "tallymark.db"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=end, check=False, timeout=60, env=ENVIRONMENT)
    os.close(end)
    shown = b""
    try:
        while chunk := os.read(terminal, 65536):
            shown += chunk
    except OSError:
        # The other end is closed, and all of it was read.
        pass
    os.close(terminal)
    assert done.returncode == 0
    for label in (b"reading", b"importing"):
        assert re.search(label + rb"  \[#+\]  100%", shown)
    assert b"reading" not in tallymark("import-zenml", zenml, "--db", tmp_path / "quiet.db").stderr.encode()
