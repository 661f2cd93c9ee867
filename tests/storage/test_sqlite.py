"""What only the SQLite engine promises."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from storage.commands import create_model, models_of

from tallymark_server.storage.contract import Writing
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.writer import decide_batch


async def test_a_commit_is_on_the_disk_before_it_is_answered(tmp_path: Path) -> None:
    """The writing connection is in WAL mode with synchronous FULL, in which SQLite syncs each commit."""
    async with open_sqlite(tmp_path / "tallymark.db", ("default",)) as storage:
        asked = ("PRAGMA journal_mode", "PRAGMA synchronous")
        found = await storage._writer.run(lambda connection: [connection.execute(sql).fetchone()[0] for sql in asked])
    assert found == ["wal", 2]


@pytest.mark.parametrize("brief", [True, False])
async def test_work_that_waits_is_undone_and_reported(tmp_path: Path, brief: bool) -> None:
    """Work that waits for something else than its transaction, which others would wait for, raises."""

    async def work(writing: Writing) -> None:
        await decide_batch(writing, [create_model()], lambda: 1)
        await asyncio.sleep(0)

    async with open_sqlite(tmp_path / "tallymark.db", ("default",)) as storage:
        with pytest.raises(RuntimeError, match="waits for something else"):
            await storage.write(work, brief=brief)
        assert await models_of(storage) == []
        assert (await storage.head("default")).revision == 0


async def test_all_projects_are_in_one_line(tmp_path: Path) -> None:
    """Changes to different projects share a transaction, and with it the wait for the disk."""
    async with open_sqlite(tmp_path / "tallymark.db", ("default", "other")) as storage:
        assert storage.line("default") == storage.line("other") == storage.line("missing")
