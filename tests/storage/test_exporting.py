"""Exports and imports: the same log, byte for byte, and nothing of a log that was tampered with."""

from __future__ import annotations

import io
import json
import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storage.conftest import Open
from storage.commands import ATTEMPT, create_model, create_versions, ensure, numbers_of, start_run, versions_of, write
from storage.test_verification import file

from tallymark_server.domain import commands as c
from tallymark_server.domain.decisions import AnyCommand
from tallymark_server.domain.errors import RequestIdReused
from tallymark_server.domain.model import Point, RunState, Stage, Time, Uri
from tallymark_server.domain.reference import LATEST, in_stage
from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.storage.sqlite.log_export import CannotExportError, exported
from tallymark_server.storage.sqlite.log_import import CannotImportError, import_log
from tallymark_server.storage.sqlite.verification import verify

pytestmark = pytest.mark.sqlite_only

__all__ = ["file"]


def lines_of(path: Path, project: str | None = None, at: int | None = None) -> list[bytes]:
    with exported(path, project, at) as export:
        return list(export.lines)


def take_in(path: Path, lines: list[bytes]) -> dict[str, int]:
    return import_log(path, io.BytesIO(b"".join(lines)), lambda _: None)


def test_what_is_exported_is_imported_and_exported_the_same(file: Path, tmp_path: Path) -> None:
    """After every kind of change, an import has the same log, tables and receipts, and gives the same bytes again."""
    told, copy = lines_of(file), tmp_path / "copy.db"
    assert take_in(copy, told) == {"default": 47, "other": 1}
    assert lines_of(copy) == told
    proof = verify(copy)
    assert (proof.problems, proof.marks) == ([], verify(file).marks)
    with closing(sqlite3.connect(copy)) as database:
        database.execute("ATTACH ? AS original", (str(file),))
        for table in ("projects", "events", "receipts", "models", "versions", "points", "artifacts", "runs"):
            assert database.execute(f"SELECT * FROM {table} EXCEPT SELECT * FROM original.{table}").fetchall() == []


async def test_an_imported_log_goes_on(file: Path, tmp_path: Path) -> None:
    """A server on an import gives the next number, and answers a request of before as it was answered then."""
    copy = tmp_path / "copy.db"
    take_in(copy, lines_of(file))
    again = create_versions("a", None, None, request_id="two", fingerprint=b"2")
    async with open_sqlite(copy, ("default",)) as storage:
        versions, other, new = await write(
            storage,
            again,
            create_versions("else", request_id="two", fingerprint=b"3"),
            create_versions(None, model="retention"),
        )
    assert numbers_of(versions) == [1, 2, 3]
    assert isinstance(other, RequestIdReused)
    assert numbers_of(new) == [7]
    assert verify(copy).problems == []


def test_a_project_is_exported_alone_as_of_any_revision(file: Path, tmp_path: Path) -> None:
    """Each beginning of a log is an export that can be imported, is proved, and is a beginning of the whole."""
    whole = lines_of(file, "default")
    events = [line for line in whole if b'"kind"' in line]
    for at in range(1, 48):
        copy = tmp_path / f"{at}.db"
        told = lines_of(file, "default", at)
        assert [line for line in told if b'"kind"' in line] == events[:at]
        # What the end of a run means for its versions follows in the import, too.
        rest = list(takewhile(lambda line: b'"version_run_state_changed"' in line, events[at:]))
        assert take_in(copy, told) == {"default": at + len(rest)}
        assert verify(copy).problems == []
        assert lines_of(copy, "default", at) == told


async def test_a_run_that_ended_at_the_end_of_an_export_has_ended_for_its_versions(tmp_path: Path) -> None:
    """An export as of the revision at which a run ended is imported with what that means for the versions it made."""
    path, copy = tmp_path / "a.db", tmp_path / "copy.db"
    async with open_sqlite(path, ("default",)) as storage:
        await write(storage, start_run("r1"), ensure(run="r1"), ensure("a", run="r1"))
        ended = (await storage.head("default")).revision + 1
        await write(storage, c.FinishRun(**ATTEMPT, run="r1", state=RunState.FAILED))
        assert (await storage.head("default")).revision == ended + 2
    take_in(copy, lines_of(path, "default", ended))
    assert verify(copy).problems == []
    async with open_sqlite(copy, ("default",)) as storage:
        assert [version.run_state for version in await versions_of(storage)] == [RunState.FAILED] * 2
        assert (await storage.head("default")).revision == ended + 2


def test_projects_join_a_file_one_by_one(file: Path, tmp_path: Path) -> None:
    """What is exported project by project comes together to the same registry."""
    copy = tmp_path / "copy.db"
    take_in(copy, lines_of(file, "other"))
    take_in(copy, lines_of(file, "default"))
    assert lines_of(copy) == lines_of(file)


async def test_a_project_without_events_is_taken_over(file: Path, tmp_path: Path) -> None:
    """A server may have made the project before; as long as nothing has happened in it, its log can be imported."""
    copy = tmp_path / "copy.db"
    async with open_sqlite(copy, ("default",)):
        pass
    take_in(copy, lines_of(file))
    assert lines_of(copy) == lines_of(file)


def test_a_line_is_for_people_too(file: Path) -> None:
    """A project's line has its name and last revision; an event's line has the resource after it, as an object."""
    first, second, *_ = map(json.loads, lines_of(file))
    assert (first["project"], first["revision"], first["format"]) == ("default", 47, 2)
    assert (second["kind"], second["actor"], second["image"]["name"]) == ("model_created", "ana", "churn")


texts = st.text(st.characters(codec="utf-8"), max_size=20)
labels = st.text(st.characters(categories=("Lu", "Ll", "Nd", "So")), min_size=1, max_size=8)
values = st.recursive(
    st.floats() | texts | st.booleans() | st.builds(Time, st.integers(-(10**15), 10**15)) | st.builds(Uri, texts),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(labels, inner, max_size=3),
    max_leaves=5,
)
models = st.sampled_from(["churn", "Modèle 模型", "\u2028"])
facts = st.dictionaries(labels, values, max_size=3)
points = st.lists(st.builds(Point, labels, st.integers(0, 5), st.floats(), st.integers(0, 10**15)), max_size=4)


def of(model: str, **fields: Any) -> dict[str, Any]:
    return {**ATTEMPT, "model": model, "reference": LATEST, **fields}


changes = st.one_of(
    st.builds(create_model, models),
    st.builds(lambda m, n: create_versions(n, None, model=m), models, st.none() | labels),
    st.builds(lambda m, r: ensure(run=r, model=m), models, st.sampled_from(["r1", "r2"])),
    st.builds(start_run, st.sampled_from(["r1", "r2"])),
    st.builds(lambda r, e: c.FinishRun(**ATTEMPT, run=r, state=RunState.FAILED, error=e), st.just("r1"), texts),
    st.builds(lambda m, s: c.SetStage(**of(m), stage=s, force=True), models, st.sampled_from(Stage)),
    st.builds(lambda m, a: c.SetAlias(**of(m), alias=a), models, labels),
    st.builds(lambda m, f, p: c.LogMetadata(**of(m), metadata=f, points=tuple(p)), models, facts, points),
    st.builds(lambda m, d: c.UpdateVersion(**of(m), changes={"description": d}), models, texts),
    st.builds(lambda m, w: c.DeleteVersion(**of(m), force=True, reason=w), models, texts),
    st.builds(lambda m, n: c.RenameModel(**ATTEMPT, model=m, name=n), models, models),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(changes, max_size=60), data=st.data())
async def test_any_log_is_the_same_after_export_and_import(
    asked: list[AnyCommand], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever has happened, with whatever texts and values: export, import and export give the same bytes."""
    folder = tmp_path_factory.mktemp("any")
    path, copy, part = folder / "any.db", folder / "copy.db", folder / "part.db"
    async with open_sqlite(path, ("default", "other")) as storage:
        for place, command in enumerate(asked):
            await write(storage, command, now=1_000_000 + place)
        told = lines_of(path)
        head = await storage.head("default")
    revisions = take_in(copy, told)
    assert revisions == {"default": head.revision, "other": 0}
    assert lines_of(copy) == told
    assert verify(copy).problems == []
    if head.revision:
        at = data.draw(st.integers(1, head.revision))
        take_in(part, lines_of(path, "default", at))
        assert lines_of(part) == lines_of(path, "default", at)
        assert verify(part).problems == []


def changed(lines: list[bytes], number: int, old: bytes, new: bytes) -> list[bytes]:
    assert old in lines[number - 1]
    return [*lines[: number - 1], lines[number - 1].replace(old, new), *lines[number:]]


DAMAGES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "cut off after a line": (lambda lines: lines[:9], "cut off after line 9"),
    "cut off before the last line": (lambda lines: lines[:-1], "cut off after line"),
    "cut off in a line": (lambda lines: [*lines[:9], lines[9][:20]], "line 10: it is cut off"),
    "empty": (lambda lines: [], "cut off after line 0"),
    "lost line": (lambda lines: lines[:4] + lines[5:], "line 5: project default, revision 4: the event before it is 2"),
    "swapped lines": (lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], "line 5"),
    "repeated line": (lambda lines: [*lines[:3], lines[1], *lines[3:]], "line 4: project default, revision 1"),
    "added at the end": (lambda lines: [*lines, lines[0]], "it comes after the end"),
    "edited actor": (lambda lines: changed(lines, 2, b'"ana"', b'"eve"'), "line 2: project default, revision 1: its"),
    "edited image": (lambda lines: changed(lines, 8, b'"r1"', b'"r7"'), "line 8"),
    "edited hash": (lambda lines: changed(lines, 6, b'"hash":"', b'"hash":"00'), "its hash does not follow"),
    "edited log": (lambda lines: changed(lines, 1, b'"log_id":"', b'"log_id":"0'), "line 2: project default, rev"),
    "edited name": (lambda lines: changed(lines, 1, b'"default"', b'"defect"'), "are not those that were exported"),
    "shortened project": (lambda lines: changed(lines, 1, b'"revision":47', b'"revision":46'), "ends with 46"),
    "lengthened project": (lambda lines: changed(lines, 1, b'"revision":47', b'"revision":48'), "only 47 are told"),
    "edited receipt": (lambda lines: changed(lines, 3, b'"31"', b'"32"'), "are not those that were exported"),
    "moved receipt": (lambda lines: [*lines[:2], *lines[3:9], lines[2], *lines[9:]], "line 9: request one had its"),
    "lacking column": (lambda lines: changed(lines, 2, b'"actor"', b'"author"'), "line 2: it lacks 'actor'"),
    "unknown column": (lambda lines: changed(lines, 2, b'"actor"', b'"x":1,"actor"'), "line 2: it has 'x'"),
    "another type": (lambda lines: changed(lines, 2, b'"ana"', b"7"), "line 2: its 'actor' is not of the right type"),
    "no integer": (lambda lines: changed(lines, 2, b'"model":1', b'"model":true'), "its 'model' is not of the right"),
    "huge integer": (lambda lines: changed(lines, 2, b'"model":1', b'"model":' + b"9" * 30), "'model' is out of range"),
    "no salt": (lambda lines: changed(lines, 2, b'"salt":"', b'"x":"'), "line 2: it has 'x'"),
    "another salt": (lambda lines: changed(lines, 2, b'"salt":"', b'"salt":"ab'), "line 2"),
    "no hash": (lambda lines: changed(lines, 2, b'"hash":"', b'"hash":"z'), "is not hexadecimal"),
    "newer format": (lambda lines: changed(lines, 1, b'"format":2', b'"format":3'), "install a newer one"),
    "no project name": (lambda lines: changed(lines, 1, b'"default"', b'"A B"'), "line 1"),
    "no project": (lambda lines: lines[1:], "line 1: it belongs to no project"),
    "a project twice": (lambda lines: [*lines[:-1], *lines], "comes twice"),
    "text": (lambda lines: [b"hello\n"], "line 1: it is no JSON"),
    "a database": (lambda lines: [b"SQLite format 3\0\xff\n"], "line 1: it is no JSON"),
    "another program's JSON": (lambda lines: [b'{"name": "churn"}\n'], "line 1: it is no line of an export"),
    "a list": (lambda lines: [b"[]\n"], "line 1: it is no line of an export"),
    "deep JSON": (lambda lines: [b"[" * 100_000 + b"\n"], "line 1: it is no JSON"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_export_is_refused(file: Path, tmp_path: Path, name: str) -> None:
    """What was cut, lost, moved, edited or never ours is reported with its line, and no file is created."""
    damage, expected = DAMAGES[name]
    copy = tmp_path / "new" / "copy.db"
    copy.parent.mkdir()
    with pytest.raises(CannotImportError) as refusal:
        take_in(copy, damage(lines_of(file)))
    assert expected in str(refusal.value)
    assert "nothing was imported" in str(refusal.value)
    assert [path.name for path in copy.parent.iterdir()] == ["copy.db.lock"]


async def test_a_refused_import_leaves_a_file_as_it_was(file: Path, tmp_path: Path) -> None:
    """What was in the file before stays, and nothing comes to it: neither projects nor events."""
    copy = tmp_path / "copy.db"
    async with open_sqlite(copy, ("mine",)) as storage:
        await write(storage, create_model(project="mine"))
    before = lines_of(copy)
    with pytest.raises(CannotImportError):
        take_in(copy, lines_of(file)[:-1])
    assert lines_of(copy) == before


async def test_a_project_with_events_is_not_written_over(file: Path, tmp_path: Path) -> None:
    """An import never adds to a log, nor replaces one."""
    copy = tmp_path / "copy.db"
    take_in(copy, lines_of(file, "other"))
    with pytest.raises(CannotImportError, match="project other is there already, with 1 events"):
        take_in(copy, lines_of(file))
    assert lines_of(copy) == lines_of(file, "other")


async def test_a_served_file_is_exported_and_not_imported_into(file: Path) -> None:
    """An export needs no lock, and has what was committed; an import does not wait, and says who holds the file."""
    told = lines_of(file)
    async with open_sqlite(file, ("default",)) as storage:
        assert lines_of(file) == told
        await write(storage, create_model("new"))
        assert len(lines_of(file)) == len(told) + 1
        with pytest.raises(CannotOpenError, match="held by another"):
            take_in(file, told)


async def test_a_broken_log_is_not_exported(file: Path) -> None:
    """A log that could not be imported again is not exported."""
    for script in ("UPDATE events SET actor = 'eve' WHERE revision = 30", "DELETE FROM events WHERE revision = 47"):
        with closing(sqlite3.connect(file)) as database:
            database.executescript(script)
        with pytest.raises(CannotOpenError, match="tallymark verify"):
            lines_of(file)


def test_what_is_not_there_cannot_be_exported(file: Path, tmp_path: Path) -> None:
    """Missing projects, revisions and files are reported as missing."""
    with pytest.raises(CannotExportError, match="no project nobody"):
        lines_of(file, "nobody")
    with pytest.raises(CannotExportError, match="revision 48 is not yet there: project default is at 47"):
        lines_of(file, "default", 48)
    with pytest.raises(CannotExportError, match="name one with --project"):
        lines_of(file, at=1)
    with pytest.raises(CannotOpenError, match="no file"):
        lines_of(tmp_path / "missing.db")
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as database:
        database.execute("CREATE TABLE projects (id)")
    with pytest.raises(CannotOpenError, match="no file of Tallymark"):
        lines_of(tmp_path / "foreign.db")


async def test_a_value_that_is_no_number_comes_back(open_storage: Open, tmp_path: Path) -> None:
    """Infinities and what is not a number have no JSON of their own, and are the same after an import."""
    async with open_storage() as storage:
        await write(storage, create_model(), create_versions(None))
        await write(storage, c.SetStage(**of("churn"), stage=Stage.PRODUCTION))
        await write(storage, c.LogMetadata(**of("churn"), metadata={"worst": math.inf, "least": math.nan}))
    copy = tmp_path / "copy.db"
    take_in(copy, lines_of(tmp_path / "tallymark.db"))
    async with open_sqlite(copy, ("default",)) as storage:
        version = await storage.version("default", "churn", in_stage(Stage.PRODUCTION))
    assert version is not None
    assert version.metadata["worst"] == math.inf
    least = version.metadata["least"]
    assert isinstance(least, float)
    assert math.isnan(least)
