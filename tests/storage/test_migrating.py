"""Files of earlier releases: each is opened, brought to the schema of now, and proved."""

from __future__ import annotations

from operator import methodcaller
import hashlib
import io
import math
import sqlite3
import struct
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from storage.commands import ATTEMPT, create_model, create_versions, ensure, numbers_of, start_run, write

from tallymark.cli import main
from tallymark_server.domain import commands as c
from tallymark_server.domain.events import Kind
from tallymark_server.domain.model import ArtifactType, Point, Stage, Uri
from tallymark_server.domain.reference import LATEST, aliased, in_stage, numbered
from tallymark_server.storage.log.chain import Row, chained_by_format_1
from tallymark_server.storage.codec import decode_version
from tallymark_server.storage.contract import CannotOpenError, Direction
from tallymark_server.storage.log import lines
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.storage.log.seals import Seal
from tallymark_server.storage.sqlite.log_export import exported
from tallymark_server.storage.sqlite.log_import import CannotImportError, import_log
from tallymark_server.storage.sqlite.migrate import APPLICATION_ID, add_functions, steps
from tallymark_server.storage.sqlite.verification import verify

TOLD = f"SELECT {', '.join(Row._fields)} FROM events WHERE project = 1 ORDER BY revision"
RELEASED = sorted(Path(__file__).with_name("released").glob("*.sql"))


@pytest.fixture(params=RELEASED, ids=lambda path: path.stem)
def old_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file as that release left it."""
    path = tmp_path / "tallymark.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(request.param.read_text())
    return path


def schema_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
    return int(version)


async def test_a_file_of_an_earlier_release_goes_on(old_file: Path) -> None:
    """Models, stages, aliases, runs and the log are as they were, numbers go on, and the chain of hashes holds."""
    assert schema_of(old_file) < steps()[-1][0]
    async with open_sqlite(old_file, ("default", "other")) as storage:
        model = await storage.model("default", "retention")
        assert model is not None
        assert (model.last_number, await storage.read(methodcaller("renamed", "default", "churn"))) == (4, "retention")
        for reference, number in ((in_stage(Stage.PRODUCTION), 2), (aliased("champion"), 2), (LATEST, 4)):
            version = await storage.version("default", "retention", reference)
            assert version is not None
            assert version.number == number
        made = await storage.version("default", "retention", numbered(4))
        assert made is not None
        (lineage,) = (await storage.read(methodcaller("lineage", "default", made, Direction.UPSTREAM, 1, 10))).items
        assert [node.key[1] for node in lineage.nodes] == [1, "r1"]
        (answer,) = await write(storage, create_versions(None, model="retention"))
        assert numbers_of(answer) == [5]
        early = await storage.version("default", "churn", in_stage(Stage.PRODUCTION), at=12)
        assert early is not None
    proof = verify(old_file)
    assert proof.problems == []
    assert schema_of(old_file) == steps()[-1][0]


async def test_versions_of_an_earlier_release_get_the_state_of_their_run(old_file: Path) -> None:
    """By events at the end of the log, once: what was before is read as it was, and the rest of the log is the same."""
    with closing(sqlite3.connect(old_file)) as database:
        before = database.execute(TOLD).fetchall()
    for _ in range(2):
        async with open_sqlite(old_file, ("default",)) as storage:
            version = await storage.version("default", "retention", numbered(4))
            assert version is not None
            run = await storage.run("default", str(version.run))
            assert run is not None
            assert (version.run_state, run.heartbeat_timeout) == (run.state, None)
            assert await storage.awaited(("", ""), 10) == []
            early = await storage.version("default", "retention", numbered(4), at=len(before))
            assert early is not None
            assert early.run_state is None
            added = (await storage.events("default", len(before), 10)).items
        assert [(event.kind, event.actor) for event in added] == [(Kind.VERSION_RUN_STATE_CHANGED, "tallymark")]
        assert added[0].image == version
    with closing(sqlite3.connect(old_file)) as database:
        after = database.execute(TOLD).fetchall()
    assert after[: len(before)] == before
    assert verify(old_file).problems == []


def test_an_export_of_an_earlier_release_is_taken_in_with_the_states_of_runs(old_file: Path, tmp_path: Path) -> None:
    """What was exported before versions had the state of their run gets it when it is imported, and is proved."""
    told = [old_lines(old_file)]
    told.append(lines.end_line(told[0].count(b"\n"), hashlib.sha256(told[0]).hexdigest()))
    copy = tmp_path / "copy.db"
    events = told[0].count(b'"kind"')
    assert import_log(copy, io.BytesIO(b"".join(told)), lambda _: None) == {"default": events + 1}
    assert verify(copy).problems == []
    with closing(sqlite3.connect(copy)) as database:
        (image,) = database.execute("SELECT image FROM events ORDER BY revision DESC LIMIT 1").fetchone()
    assert decode_version(image, "").run_state is not None


def old_lines(path: Path) -> bytes:
    """The first project's log of a file of an earlier release, as that release exported it."""
    with closing(sqlite3.connect(path)) as database:
        ((project, name, log_id, revision),) = database.execute(
            "SELECT id, name, log_id, revision FROM projects WHERE id = 1"
        )
        rows = database.execute(f"SELECT {', '.join(lines.COLUMNS)}, hash FROM events WHERE project = ?", (project,))
        told = [lines.event_line(Row(*row), Seal(b"", b"", last_hash)) for *row, last_hash in rows]
        begin = lines.project_line(name, log_id, revision).replace(b'"format":2', b'"format":1')
        return begin + b"".join(told).replace(b'"salt":"",', b"")


def test_an_old_file_is_proved_as_it_is(old_file: Path) -> None:
    """A file of an earlier release is proved in a copy that is migrated; a log that was changed is refused."""
    before = old_file.read_bytes()
    assert verify(old_file).problems == []
    assert old_file.read_bytes() == before
    with closing(sqlite3.connect(old_file)) as database, database:
        database.execute("UPDATE events SET actor = actor || '!' WHERE revision = 3")
    with pytest.raises(CannotOpenError, match="revision 3: its hash does not follow"):
        verify(old_file)


@pytest.mark.parametrize("old_file", [path for path in RELEASED if path.stem.startswith("0.1.")], indirect=True)
def test_an_old_file_gets_no_checkpoint(old_file: Path, tmp_path: Path) -> None:
    """A checkpoint of a file whose hashes change when it is first served is refused, and no such hash is printed."""
    told = CliRunner().invoke(main, ["verify", "--db", str(old_file)])
    assert (told.exit_code, "agrees with its log" in told.stdout) == (0, True)
    assert "2:" not in told.stdout
    mark = tmp_path / "mark.json"
    for option in ("--write-checkpoint", "--checkpoint"):
        refused = CliRunner().invoke(main, ["verify", "--db", str(old_file), option, str(mark)])
        assert (refused.exit_code, "serve it once" in refused.stderr) == (1, True)
        assert not mark.exists()


POINTS = (
    0.1 + 0.2,
    5e-324,
    1.7976931348623157e308,
    2.2250738585072014e-308,
    math.nan,
    math.inf,
    -math.inf,
    1 / 3,
    9007199254740993.0,
)


def measured(values: Sequence[float], *without: str) -> c.LogMetadata:
    points = tuple(Point(f"m{place % 3}", place, value, 7) for place, value in enumerate(values))
    return c.LogMetadata(
        **ATTEMPT, model="churn", reference=numbered(1), metadata={}, points=points, delete_keys=frozenset(without)
    )


def value_before_keys(key: str) -> str | float:
    """What a fact was found by before step 10, of its key now."""
    if key.startswith("t"):
        return key[1:]
    bits = int(key[1:], 16)
    bits = bits ^ (1 << 63) if bits >> 63 else bits ^ (2**64 - 1)
    return float(struct.unpack(">d", bits.to_bytes(8))[0])


def at_schema(path: Path, new: Path, number: int) -> None:
    """Make a file with the log of the other, and with what its tables had by that step."""
    with closing(sqlite3.connect(new, isolation_level=None)) as made:
        add_functions(made)
        made.create_function("value_before_keys", 1, value_before_keys)
        for step, sql in steps()[:number]:
            made.executescript(f"{sql}; PRAGMA user_version = {step}; PRAGMA application_id = {APPLICATION_ID}")
        tables = [name for (name,) in made.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        made.execute("ATTACH ? AS now", (str(path),))
        for table in tables:
            columns = ", ".join(row[1] for row in made.execute(f"PRAGMA main.table_info({table})"))
            then = columns.replace("value", "value_before_keys(value)") if table == "facts" else columns
            made.execute(f"INSERT INTO {table} ({columns}) SELECT {then} FROM now.{table}")
        chain_by_format_1(made)


def chain_by_format_1(database: sqlite3.Connection) -> None:
    """Give the first project's log the hashes that Tallymark 0.1 gave it."""
    ((log_id,),) = database.execute("SELECT log_id FROM projects WHERE id = 1")
    last_hash = b""
    for row in database.execute(TOLD).fetchall():
        last_hash = chained_by_format_1(last_hash, log_id, row)
        database.execute("UPDATE events SET hash = ? WHERE project = 1 AND revision = ?", (last_hash, row[0]))
    database.execute("UPDATE projects SET hash = ? WHERE id = 1", (last_hash,))


async def test_what_earlier_steps_made_is_brought_on(tmp_path: Path) -> None:
    """Points measured again and ended, to their last digit, and uses are known by their revisions."""
    path, old = tmp_path / "tallymark.db", tmp_path / "old.db"
    link = c.LinkArtifact(
        **ATTEMPT, model="churn", reference=numbered(1), name="data", type=ArtifactType.DATA, uri="s3://a"
    )
    async with open_sqlite(path, ("default",)) as storage:
        answers = await write(
            storage, create_model(), create_versions(None, None, "gone"), start_run("r1"), ensure(run="r1"), link,
            ensure("1", run="r1"), measured(POINTS), measured(POINTS[::-1], "m1"), measured(POINTS[3:], "m0", "m2"),
            c.UnlinkArtifact(**ATTEMPT, model="churn", reference=numbered(1), name="data"),
            replace(measured(POINTS), reference=numbered(3)), replace(measured(POINTS), reference=numbered(3)),
            c.DeleteVersion(**ATTEMPT, model="churn", reference=numbered(3)),
            c.PurgeVersion(**ATTEMPT, model="churn", reference=numbered(3)),
        )  # fmt: skip
    assert not [answer for answer in answers if isinstance(answer, Exception)]
    at_schema(path, old, 3)
    async with open_sqlite(old, ("default",)):
        pass
    assert verify(old).problems == []
    with closing(sqlite3.connect(old)) as brought:
        assert brought.execute("SELECT count(*) FROM past_points").fetchone()[0] >= 2 * len(POINTS) - 3


async def test_versions_that_were_renamed_are_found_by_what_they_have(tmp_path: Path) -> None:
    """What a rename left behind is looked up as it is now, to the last digit of its numbers."""
    facts = {
        "a": 0.1 + 0.2,
        "b": math.nan,
        "c": True,
        "d": "x" * 300,
        "e": Uri("s3://b"),
        "f": {"uri": "no"},
        "g": 5e-324,
    }
    changes = {"name": "rc", "tags": ("late", "eu"), "metadata": facts}
    path, old = tmp_path / "tallymark.db", tmp_path / "old.db"
    async with open_sqlite(path, ("default",)) as storage:
        rename = c.UpdateVersion(**ATTEMPT, model="churn", reference=numbered(1), changes=changes)
        answers = await write(storage, create_model(), create_versions(None, None), rename)
    assert not [answer for answer in answers if isinstance(answer, Exception)]
    at_schema(path, old, 5)
    with closing(sqlite3.connect(old)) as database:
        database.executescript("DELETE FROM facts; INSERT INTO facts VALUES (1, 1, 'tags', 'early', 1)")
    async with open_sqlite(old, ("default",)):
        pass
    assert verify(old).problems == []


async def test_a_file_of_a_later_release_is_refused(tmp_path: Path) -> None:
    """A file with a newer schema is refused as such, and not changed."""
    path = tmp_path / "tallymark.db"
    async with open_sqlite(path, ("default",)) as storage:
        await write(storage, create_model())
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {steps()[-1][0] + 1}")
    with pytest.raises(CannotOpenError, match="newer Tallymark"):
        async with open_sqlite(path, ("default",)):
            pass
    with pytest.raises(CannotOpenError, match="newer Tallymark"):
        verify(path)
    with pytest.raises(CannotOpenError, match="newer Tallymark"), exported(path, None, None):
        pass


async def test_a_step_that_fails_leaves_the_file_as_it_was(old_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration is whole or not at all: what a failed step has begun is undone."""
    number = steps()[-1][0] + 1
    broken = [*steps(), (number, "CREATE TABLE half (done TEXT); CREATE TABLE half (done TEXT)")]
    monkeypatch.setattr("tallymark_server.storage.sqlite.migrate.steps", lambda: broken)
    with pytest.raises(CannotOpenError, match="half"):
        async with open_sqlite(old_file, ("default",)):
            pass
    assert schema_of(old_file) == number - 1
    with closing(sqlite3.connect(old_file)) as database:
        assert database.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").fetchone() == (0,)


async def test_a_log_that_was_changed_is_not_chained_anew(old_file: Path) -> None:
    """What does not follow from the hashes of its release stays as it is, so that it never looks sound."""
    with closing(sqlite3.connect(old_file)) as database:
        database.execute("UPDATE events SET actor = 'eve' WHERE project = 1 AND revision = 3")
        database.commit()
    with pytest.raises(CannotOpenError, match="revision 3: its hash does not follow"):
        async with open_sqlite(old_file, ("default",)):
            pass
    assert schema_of(old_file) == 7


def test_a_changed_export_of_an_earlier_release_is_refused(old_file: Path, tmp_path: Path) -> None:
    """Its events are held to the hashes that they were exported with, before they are given new ones."""
    told = [old_lines(old_file).replace(b'"actor":"ana"', b'"actor":"eve"', 1)]
    told.append(lines.end_line(told[0].count(b"\n"), hashlib.sha256(told[0]).hexdigest()))
    with pytest.raises(CannotImportError, match="its hash does not follow"):
        import_log(tmp_path / "copy.db", io.BytesIO(b"".join(told)), lambda _: None)
    assert not (tmp_path / "copy.db").exists()
