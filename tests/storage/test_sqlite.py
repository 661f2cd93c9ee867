"""What only the SQLite engine promises."""

from __future__ import annotations

from pathlib import Path

from tallymark_server.storage.sqlite.engine import open_sqlite


async def test_a_commit_is_on_the_disk_before_it_is_answered(tmp_path: Path) -> None:
    """The writing connection is in WAL mode with synchronous FULL, in which SQLite syncs each commit."""
    async with open_sqlite(tmp_path / "tallymark.db", ("default",)) as storage:
        asked = ("PRAGMA journal_mode", "PRAGMA synchronous")
        found = await storage._writer.run(lambda connection: [connection.execute(sql).fetchone()[0] for sql in asked])
    assert found == ["wal", 2]
