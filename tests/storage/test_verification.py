"""`tallymark verify`: proves a sound file, and finds what was tampered with."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from storage.conftest import Open
from storage.commands import ATTEMPT, create_model, create_versions, ensure, start_run, write

from tallymark_server.domain import commands as c
from tallymark_server.domain.decisions import AnyCommand
from tallymark_server.domain.model import ArtifactRole, ArtifactType, Point, RecordingProblem, RunState, Stage
from tallymark_server.domain.reference import named, numbered
from tallymark_server.storage.sqlite.verification import verify

pytestmark = pytest.mark.sqlite_only


POINTS = (Point("loss", 0, math.nan, 0), Point("loss", 1, 0.5, 0), Point("auc", 1, 0.9, 0))


def link(name: str, uri: str, role: ArtifactRole = ArtifactRole.MADE) -> c.LinkArtifact:
    return c.LinkArtifact(
        **ATTEMPT, model="retention", reference=numbered(1), name=name, type=ArtifactType.DATA, uri=uri, role=role
    )


PRODUCTION: dict[str, Any] = {"stage": Stage.PRODUCTION, "force": True}


def first_half() -> list[AnyCommand]:
    """What could happen in the first release."""
    return [
        create_model(request_id="one", fingerprint=b"1"),
        create_model(project="other"),
        create_versions("a", None, None, request_id="two", fingerprint=b"2"),
        start_run("r1"),
        ensure(run="r1"),
        c.FinishRun(**ATTEMPT, run="r1", state=RunState.FAILED, error="lost"),
        c.SetStage(**ATTEMPT, model="churn", reference=numbered(1), **PRODUCTION),
        c.SetStage(**ATTEMPT, model="churn", reference=numbered(2), **PRODUCTION, reason="better"),
        c.SetAlias(**ATTEMPT, model="churn", reference=numbered(1), alias="champion"),
        c.SetAlias(**ATTEMPT, model="churn", reference=numbered(2), alias="champion"),
        c.LogMetadata(**ATTEMPT, model="churn", reference=named("a"), metadata={"auc": 0.5}),
        c.UpdateVersion(**ATTEMPT, model="churn", reference=named("a"), changes={"name": "b"}),
        c.DeleteVersion(**ATTEMPT, model="churn", reference=numbered(3)),
        c.RenameModel(**ATTEMPT, model="churn", name="retention"),
        create_model("gone"),
        c.DeleteModel(**ATTEMPT, model="gone"),
        c.PurgeModel(**ATTEMPT, model="gone"),
        create_model("gone"),
    ]


def second_half() -> list[AnyCommand]:
    """What can happen since."""
    return [
        start_run("r2"),
        ensure("b", run="r2", model="retention"),
        c.StartStep(**ATTEMPT, run="r2", step="s1", name="fit", version=("retention", numbered(1))),
        c.FinishStep(**ATTEMPT, run="r2", step="s1", state=RunState.SUCCEEDED),
        link("data", "s3://data", ArtifactRole.USED),
        link("weights", "s3://weights"),
        link("weights", "s3://better-weights"),
        c.UnlinkArtifact(**ATTEMPT, model="retention", reference=numbered(1), name="weights", ordinal=1),
        c.LogMetadata(**ATTEMPT, model="retention", reference=numbered(1), metadata={}, points=POINTS),
        c.LogMetadata(**ATTEMPT, model="retention", reference=numbered(1), metadata={}, delete_keys=frozenset({"auc"})),
        create_versions(None, model="retention"),
        c.DeleteVersion(**ATTEMPT, model="retention", reference=numbered(5)),
        c.PurgeVersion(**ATTEMPT, model="retention", reference=numbered(5)),
        replace(start_run("r3"), heartbeat_timeout=1_000_000, start_time=7, command="train.py"),
        ensure("mine", run="r3", model="retention"),
        c.LoseRun(**ATTEMPT, run="r3", last_seen=8),
        c.ResumeRun(**ATTEMPT, run="r3"),
        c.ReportProblems(**ATTEMPT, run="r3", problems=(RecordingProblem("metric 'loss'", "too many", 2),)),
        c.LogMetadata(**ATTEMPT, model="retention", reference=named("mine"), metadata={"none": None, "id": 2**53 + 1}),
        c.FinishRun(**ATTEMPT, run="r3", state=RunState.SUCCEEDED, end_time=9),
    ]


@pytest.fixture
async def file(open_storage: Open, tmp_path: Path) -> Path:
    """A file in which everything has happened once."""
    async with open_storage() as storage:
        answers = await write(storage, *first_half(), *second_half())
    assert not [answer for answer in answers if isinstance(answer, Exception)]
    return tmp_path / "tallymark.db"


def test_a_sound_file_is_proved(file: Path) -> None:
    """After every kind of change the tables agree with the log, and the proof has each project's last hash."""
    proof = verify(file)
    assert proof.problems == []
    assert proof.events == 48
    assert {project: len(mark.hash) for project, mark in proof.marks.items()} == {"default": 66, "other": 66}


async def test_the_last_hash_tells_one_log_from_another(file: Path, open_storage: Open) -> None:
    """The last hash stays the same while nothing changes, and is another for a log that has grown."""
    first = verify(file).marks
    async with open_storage() as storage:
        assert verify(file).marks == first
        await write(storage, create_model("new"))
        after = verify(file).marks
    assert after["other"] == first["other"]
    assert after["default"].hash != first["default"].hash


CORRUPTIONS = {
    "changed number": ("UPDATE versions SET number = 9 WHERE number = 3", "table versions"),
    "changed stage": ("UPDATE versions SET stage = 'staging' WHERE number = 1", "table versions"),
    "changed counter": ("UPDATE models SET last_number = 7 WHERE id = 1", "table models"),
    "changed name": ("UPDATE models SET name = 'else' WHERE id = 1", "table models"),
    "moved alias": ("UPDATE aliases SET number = 1", "table aliases"),
    "removed run": ("DELETE FROM runs", "table runs"),
    "forgotten rename": ("DELETE FROM renames", "table renames"),
    "removed event": ("DELETE FROM events WHERE project = 1 AND revision = 5", "events are missing"),
    "removed last event": ("DELETE FROM events WHERE project = 1 AND revision = 47", "its head is not the last event"),
    "changed actor": ("UPDATE events SET actor = 'eve' WHERE revision = 3", "revision 3"),
    "changed reason": ("UPDATE events SET reason = 'worse' WHERE reason = 'better'", "not that of its digest"),
    "changed payload": ("UPDATE events SET image = replace(image, '0.5', '0.9')", "not that of its digest"),
    "changed digest": ("UPDATE events SET digest = zeroblob(32) WHERE revision = 6", "its hash does not follow"),
    "changed salt": ("UPDATE events SET salt = zeroblob(16) WHERE revision = 6", "not that of its digest"),
    "broken payload": ("UPDATE events SET image = 'x' WHERE project = 1 AND revision = 2", "its image cannot be read"),
    "changed time": ("UPDATE events SET time = 1 WHERE project = 1 AND revision = 4", "its time is before"),
    "swapped order": (
        """
        UPDATE events SET revision = -2 WHERE project = 1 AND revision = 2;
        UPDATE events SET revision = 2 WHERE project = 1 AND revision = 3;
        UPDATE events SET revision = 3 WHERE project = 1 AND revision = -2;
        """,
        "revision 2: its image is of another revision",
    ),
    "rewritten hash": ("UPDATE events SET hash = zeroblob(32) WHERE revision = 6", "revision 6"),
    "rewritten head": ("UPDATE projects SET hash = zeroblob(32) WHERE id = 1", "its head is not the last event"),
    "forgotten model id": ("UPDATE projects SET last_model_id = 0 WHERE id = 1", "its head is not the last event"),
    "another log": ("UPDATE projects SET log_id = 'x' WHERE id = 1", "revision 1: its hash does not follow"),
    "changed artifact": ("UPDATE artifacts SET identity = 's3://else' WHERE ordinal = 2", "table artifacts"),
    "relinked artifact": ("UPDATE artifacts SET unlinked = 0", "table artifacts"),
    "changed point": ("UPDATE points SET value = 0.1 WHERE step = 1", "table points"),
    "changed past": ("UPDATE past_points SET end_revision = end_revision + 1", "table past_points"),
    "removed point": ("DELETE FROM points", "table points"),
    "earlier use": ("UPDATE run_versions SET revision = 1", "table run_versions"),
    "invented use": ("UPDATE run_versions SET role = 'made'", "table run_versions"),
    "removed step": ("DELETE FROM run_steps", "table run_steps"),
    "unpurged version": ("UPDATE versions SET deleted = 1 WHERE number = 5", "table versions"),
    "dropped index": ("DROP INDEX stage_holders", "index stage_holders: is not as this program makes it"),
    "added trigger": (
        "CREATE TRIGGER later AFTER INSERT ON events BEGIN DELETE FROM receipts; END",
        "trigger later: is not as this program makes it",
    ),
    "emptied index": (
        """
        PRAGMA writable_schema = ON;
        CREATE TABLE kept AS SELECT sql FROM sqlite_schema WHERE name = 'stage_holders';
        UPDATE sqlite_schema SET sql = sql || ' AND number < 0' WHERE name = 'stage_holders';
        PRAGMA writable_schema = RESET;
        REINDEX stage_holders;
        PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = (SELECT sql FROM kept) WHERE name = 'stage_holders';
        PRAGMA writable_schema = RESET;
        DROP TABLE kept;
        """,
        "missing from index stage_holders",
    ),
    "event before the first": (
        (
            "INSERT INTO events SELECT project, 0, kind, time, actor, reason, model, number, previous_stage, alias,"
            " previous_number, previous_name, image, hash, salt, digest, erased FROM events"
            " WHERE project = 1 AND revision = 2"
        ),
        "revision 0: it belongs to no log",
    ),
    "event of no project": (
        (
            "INSERT INTO events SELECT 77, revision, kind, time, actor, reason, model, number, previous_stage, alias,"
            " previous_number, previous_name, image, hash, salt, digest, erased FROM events"
            " WHERE project = 1 AND revision = 2"
        ),
        "project 77, revision 2: it belongs to no log",
    ),
    "receipt for another's effect": (
        (
            "INSERT INTO receipts SELECT project, 'other', fingerprint, first_revision, last_revision FROM receipts"
            " WHERE request_id = 'two'"
        ),
        "its effect is that of another request",
    ),
    "invented receipt": ("UPDATE receipts SET last_revision = 99 WHERE request_id = 'two'", "request two"),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_tampering_is_found(file: Path, name: str) -> None:
    """Each change that was not made by the writer is reported with its place."""
    script, expected = CORRUPTIONS[name]
    database = sqlite3.connect(file)
    database.executescript(script)
    database.close()
    told = [f"{problem.where}: {problem.what}" for problem in verify(file).problems]
    assert any(expected in line for line in told), told


def run_verify(path: Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [Path(sys.executable).with_name("tallymark"), "verify", "--db", path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_tells_by_its_exit_code(file: Path, tmp_path: Path) -> None:
    """0 for a sound file with its hashes, 1 with what is wrong, and one sentence for what is no file of ours."""
    sound = run_verify(file)
    assert (sound.returncode, sound.stderr) == (0, "")
    assert "agrees with its log: 48 events" in sound.stdout
    assert f"project default: {verify(file).marks['default'].hash}" in sound.stdout
    database = sqlite3.connect(file)
    database.executescript("DELETE FROM runs")
    database.close()
    tampered = run_verify(file)
    assert tampered.returncode == 1
    assert "table runs" in tampered.stderr
    (tmp_path / "text.db").write_text("no database at all" * 100)
    for path in (tmp_path / "missing.db", tmp_path / "text.db"):
        refused = run_verify(path)
        assert refused.returncode == 1
        assert len(refused.stderr.splitlines()) == 1
