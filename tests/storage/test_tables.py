"""The tables that engines share, beside those of each engine."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tallymark_server.storage.sql.tables import PROJECTION, Table
from tallymark_server.storage.sqlite.migrate import migrate


@pytest.mark.parametrize("table", PROJECTION, ids=[table.name for table in PROJECTION])
def test_a_table_is_that_of_the_file(table: Table) -> None:
    """Its columns, in their order, and its key are those of the table in a file of SQLite."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as file:
        migrate(file, "memory")
        found = file.execute(f"PRAGMA table_info({table.name})").fetchall()
    assert tuple(name for _, name, *_ in found) == table.columns
    assert (
        tuple(name for _, name, *_, place in sorted(found, key=lambda row: row[-1]) if place)
        == table.columns[: table.key]
    )


def test_every_table_of_the_file_is_known() -> None:
    """A table is part of the projection, or of what is kept beside it: the log, receipts, and what is erased."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as file:
        migrate(file, "memory")
        found = {name for (name,) in file.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    beside = {"projects", "events", "erasures", "receipts", "answers", "unscrubbed"}
    assert found == {table.name for table in PROJECTION} | beside
