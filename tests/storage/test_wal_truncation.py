"""The write-ahead log of a file stays small."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from storage.commands import create_model, create_versions, versions_of, write

from tallymark_server.storage.sqlite import wal_truncation
from tallymark_server.storage.contract import Storage
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.storage.sqlite.verification import verify

DEADLINE = 60.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is looked at soon after each change."""
    monkeypatch.setattr(wal_truncation, "IDLE", 0.05)


def length(db: Path) -> int:
    return db.with_name(f"{db.name}-wal").stat().st_size


async def shrinks(db: Path, longest: int = 0) -> None:
    """Return when the log is no longer than that."""
    until = time.monotonic() + DEADLINE
    while length(db) > longest:
        assert time.monotonic() < until, f"the log has {length(db)} bytes"
        await asyncio.sleep(0)


async def test_what_was_written_last_moves_into_the_database_when_nobody_writes(tmp_path: Path) -> None:
    """After a pause the database has everything without its log, whose file keeps the size that it will need again."""
    db, alone = tmp_path / "tallymark.db", tmp_path / "alone.db"
    async with open_sqlite(db, ("default",)) as storage:
        await write(storage, create_model(), create_versions(*[None] * 50))
        before = length(db)
        until = time.monotonic() + DEADLINE
        while not holds(alone, db, 51):
            assert time.monotonic() < until
            await asyncio.sleep(0)
        assert length(db) == before > 0


def holds(alone: Path, db: Path, events: int) -> bool:
    """Return whether a copy of the database alone has so many events."""
    shutil.copyfile(db, alone)
    with closing(sqlite3.connect(alone)) as copy:
        try:
            return bool(copy.execute("SELECT count(*) FROM events").fetchone() == (events,))
        except sqlite3.Error:  # it was copied while it was written
            return False


async def test_a_long_log_is_emptied_when_nobody_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a pause all is in the database and the log is empty; whoever reads meanwhile only puts that off."""
    monkeypatch.setattr(wal_truncation, "USUAL", 0)
    db = tmp_path / "tallymark.db"
    async with open_sqlite(db, ("default",)) as storage:
        await write(storage, create_model(), create_versions(*[None] * 50))
        await shrinks(db)
        with closing(sqlite3.connect(db, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            (before,) = reader.execute("SELECT count(*) FROM events").fetchone()
            await write(storage, create_versions(None))
            assert length(db)
            assert reader.execute("SELECT count(*) FROM events").fetchone() == (before,)
        await shrinks(db)
        await write(storage, create_versions(None))
        assert [version.number for version in await versions_of(storage)] == list(range(52, 0, -1))
    assert verify(db).problems == []


@asynccontextmanager
async def read_without_pause(storage: Storage) -> AsyncIterator[None]:
    """While lists are read one after the other, so that at any moment one is."""
    ended = asyncio.Event()

    async def read() -> None:
        while not ended.is_set():
            await versions_of(storage)

    readers = [asyncio.create_task(read()) for _ in range(3)]
    try:
        yield
    finally:
        ended.set()
        await asyncio.gather(*readers)


async def test_the_log_does_not_grow_while_others_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long log is made small also while others read and write without a pause, which SQLite alone would not do."""
    monkeypatch.setattr(wal_truncation, "LONGEST", 500_000)
    db = tmp_path / "tallymark.db"
    async with open_sqlite(db, ("default",)) as storage:
        await write(storage, create_model())
        async with read_without_pause(storage):
            for _ in range(3):
                while length(db) <= wal_truncation.LONGEST:
                    await write(storage, create_versions(*[None] * 100))
                until = time.monotonic() + DEADLINE
                while length(db) > wal_truncation.LONGEST:
                    assert time.monotonic() < until
                    await write(storage, create_versions(None))
    assert verify(db).problems == []
