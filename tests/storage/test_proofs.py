"""The promises of the storage contract about proofs and exports, on every engine."""

from __future__ import annotations

import asyncio
import io
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from pathlib import Path

import pytest
from storage.conftest import Open
from storage.commands import create_model, create_versions, write
from storage.test_verification import CORRUPTIONS, file

from tallymark_server.domain.errors import Overloaded, ProjectNotFound, StorageUnavailable
from tallymark_server.storage.checkpoint import Mark
from tallymark_server.storage.contract import Piece, Storage
from tallymark_server.storage import prover
from tallymark_server.storage.sqlite import export_stream
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.storage.sqlite.log_import import import_log
from tallymark_server.storage.sqlite.verification import verify_project

pytestmark = pytest.mark.sqlite_only

__all__ = ["file"]

MANY = 1000


async def written(storage: Storage, project: str = "default") -> None:
    """A model with some versions, each by a request of its own."""
    creates = (create_versions(None, project=project, request_id=f"r{place}") for place in range(MANY))
    await write(storage, create_model(project=project, request_id="first"), *creates)


async def told(export: AsyncIterator[Piece]) -> bytes:
    return b"".join([piece.lines async for piece in export])


async def test_a_proof_is_of_one_project(storage: Storage) -> None:
    """A proof has the number of events and the end of the project's log, whatever another project has."""
    await written(storage)
    await write(storage, create_model(project="other"))
    proof = await storage.verify("default", None)
    head = await storage.head("default")
    assert (proof.events, proof.problem_count, proof.problems) == (MANY + 1, 0, [])
    assert (proof.mark.log_id, proof.mark.revision, len(proof.mark.hash)) == (head.log_id, head.revision, 66)
    assert (await storage.verify("other", None)).events == 1
    with pytest.raises(ProjectNotFound):
        await storage.verify("none", None)


async def test_a_proof_holds_the_log_to_a_mark(storage: Storage) -> None:
    """A log that has grown since agrees with the mark; one with another hash, id or length does not."""
    await write(storage, create_model())
    mark = (await storage.verify("default", None)).mark
    await write(storage, create_versions(None))
    assert (await storage.verify("default", mark)).problems == []
    for wrong in (mark._replace(hash="0" * 64), mark._replace(log_id="x"), mark._replace(revision=9)):
        assert (await storage.verify("default", wrong)).problem_count == 1
    assert (await storage.verify("default", Mark(mark.log_id, 0, ""))).problems == []


async def test_a_file_of_any_name_is_proved(tmp_path: Path) -> None:
    """A name that is no text, as other systems have them, prevents neither the proof nor the refusal that names it."""
    path = tmp_path / os.fsdecode(b"caf\xe9.db")
    async with open_sqlite(path, ("default",)) as storage:
        await write(storage, create_model())
        assert (await storage.verify("default", None)).events == 1
        path.unlink()
        with pytest.raises(StorageUnavailable, match="there is no file"):
            await storage.verify("default", None)


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name != "event of no project"])
def test_tampering_is_found_in_the_project_alone(file: Path, name: str) -> None:
    """Each change that was not made by the writer is reported for its project, as in the proof of a whole file."""
    script, expected = CORRUPTIONS[name]
    with closing(sqlite3.connect(file)) as database:
        database.executescript(script)
    proof = verify_project(file, "default", None, 100, 1000)
    told = [f"{problem.where}: {problem.what}" for problem in proof.problems]
    assert proof.problem_count == len(told)
    assert any(expected in line for line in told), told


@pytest.mark.parametrize("damage", ["pages", "text"])
def test_what_cannot_be_read_is_a_problem(file: Path, damage: str) -> None:
    """A file with damaged pages or invalid text is reported as damaged, and not as temporarily unavailable."""
    if damage == "text":
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("UPDATE events SET actor = CAST(x'ff' AS TEXT) WHERE revision = 5")
    else:
        # The log is put into the file itself, and then its pages are written over.
        with closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            pages = database.execute(
                "SELECT rootpage FROM sqlite_schema WHERE name IN ('events', 'versions')"
            ).fetchall()
        with file.open("r+b") as raw:
            for (page,) in pages:
                raw.seek((page - 1) * 4096)
                raw.write(b"\xa5" * 4096)
    proof = verify_project(file, "default", None, 100, 1000)
    assert proof.problems[-1].where == "file"
    assert "it cannot be read" in proof.problems[-1].what


async def test_proofs_wait_for_each_other_and_not_too_many(storage: Storage) -> None:
    """Those who come at once are answered one after the other; more than a few are refused, and leaving makes room."""
    await write(storage, create_model())
    asked = [asyncio.create_task(storage.verify("default", None)) for _ in range(prover.MAX_WAITING + 1)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="proofs"):
        await storage.verify("default", None)
    for task in asked[2:]:
        task.cancel()
    await asyncio.wait(asked[2:])
    assert {(await task).events for task in (*asked[:2], asyncio.create_task(storage.verify("default", None)))} == {1}


async def test_reads_and_writes_go_on_beside_a_proof(storage: Storage) -> None:
    """Nobody waits for a proof, and what is written meanwhile is proved or not yet there."""
    await written(storage)
    proving_ = asyncio.create_task(storage.verify("default", None))
    writes = 0
    while not proving_.done():
        await write(storage, create_versions(None))
        assert (await storage.events("default", MANY, 1)).items
        writes += 1
    proof = proving_.result()
    assert proof.problems == []
    assert writes > 1
    assert MANY < proof.events <= MANY + 1 + writes


async def test_an_export_of_a_revision_is_the_same_whatever_is_written(storage: Storage, tmp_path: Path) -> None:
    """Its bytes are those of before, it may pause while others write, and it can be imported."""
    await written(storage)
    at = MANY // 2
    whole = await told(storage.export("default", at))
    paused = storage.export("default", at)
    first = await anext(paused)
    await write(storage, create_versions(None, request_id="later"))
    assert first.lines + await told(paused) == whole
    assert import_log(tmp_path / "copy.db", io.BytesIO(whole), lambda _: None) == {"default": at}
    async with open_sqlite(tmp_path / "copy.db", ("default",)) as copy:
        assert await told(copy.export("default", at)) == whole
    with pytest.raises(ProjectNotFound):
        await told(storage.export("none", 1))


async def test_an_export_is_told_in_pieces(storage: Storage) -> None:
    """No piece is larger than a message may be, none is empty, and each says how far the export has come."""
    await written(storage)
    found = [piece async for piece in storage.export("default", MANY + 1)]
    assert len(found) > 3
    assert all(0 < len(piece.lines) <= export_stream.MAX_PIECE for piece in found)
    revisions = [piece.revision for piece in found]
    assert revisions == sorted(revisions)
    assert revisions[-1] == MANY + 1


async def test_of_an_empty_log_there_is_an_export(storage: Storage) -> None:
    """It has the line of the project and the last one, and nothing between."""
    assert len((await told(storage.export("other", 0))).splitlines()) == 2


async def test_exports_are_not_too_many_and_leaving_makes_room(open_storage: Open) -> None:
    """More than a few at a time are refused, and one that is left before its end is over."""
    async with open_storage() as storage:
        await written(storage)
        begun = [storage.export("default", MANY) for _ in range(export_stream.MAX_EXPORTS)]
        for export in begun:
            await anext(export)
        with pytest.raises(Overloaded, match="exports"):
            await told(storage.export("default", MANY))
        for export in begun:
            await export.aclose()
        async with aclosing(storage.export("default", MANY)) as export:
            assert (await anext(export)).lines
