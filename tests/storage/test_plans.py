"""How SQLite finds what is asked for: by keys, so that no answer takes longer when the tables grow."""

from __future__ import annotations

import re
import sqlite3

import pytest

from tallymark_server.storage.sqlite import loading, reading
from tallymark_server.storage.sqlite.migrate import migrate

STATEMENTS = {
    **{f"one by {by.value}": sql for by, sql in loading.POINTED_ONE.items()},
    **{f"many by {by.value}": sql for by, sql in loading.POINTED_MANY.items()},
    **{
        f"{module.__name__.rsplit('.', 1)[1]}.{name}": sql
        for module in (loading, reading)
        for name, sql in vars(module).items()
        if name.isupper() and isinstance(sql, str) and "SELECT" in sql and not name.startswith("_") and name != "EVENT"
    },
}


def _of_what_is_asked(step: str) -> bool:
    return "VIRTUAL TABLE" in step or step in ("SCAN CONSTANT ROW", "SCAN asked")


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_walks_through_no_table(name: str) -> None:
    """Each table is searched by more of its key than the project; only what is asked for is gone through."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, "memory")
    sql = STATEMENTS[name].format("TRUE")
    given = dict.fromkeys(re.findall(r":(\w+)", sql), "[]") or [1] * sql.count("?")
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", given)]
    connection.close()
    tables = [step for step in steps if step.startswith(("SCAN", "SEARCH")) and not _of_what_is_asked(step)]
    assert tables
    for step in tables:
        assert step.startswith("SEARCH"), steps
        assert not step.endswith("(project=?)"), steps
