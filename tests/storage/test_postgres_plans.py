"""How PostgreSQL finds what statements search for: by keys, whatever it knows or believes of the tables."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import AsyncIterator, Iterator

import pytest
from postgres_server import Databases

from tallymark_server.storage import sql
from tallymark_server.storage.postgres.connections import Connection, connect
from tallymark_server.storage.postgres.dialect import DIALECT
from tallymark_server.storage.postgres.exchange import placed
from tallymark_server.storage.postgres.migrate import prepare, steps
from tallymark_server.storage.sql.statement import Statement

# What is read as a whole, and why.
WHOLE = {
    "newest_time": "once, when a server starts: projects are few",
    "projects_after": "the list of projects, by name",
    "awaited_runs": "running runs of all projects, when a server starts",
    "count_of_erased": "all erasures of a project, to prove it",
    "erased_contents": "all erasures of a project, to prove it",
    "revisions_that_erased": "all erasures of a project, to prove it",
}
SCHEMA = steps()
_SCAN = re.compile("Seq Scan|Bitmap|Hash Join|Merge Join")
_OF_PROJECT = re.compile(r"\s*Index Cond: \(project = \S+\)")
_TEMPORARY = re.compile(r"\brewritten\b")


def statements() -> Iterator[tuple[str, Statement]]:
    """Yield each statement that is always the same, with its name."""
    for module in pkgutil.iter_modules(sql.__path__):
        found = vars(importlib.import_module(f"{sql.__name__}.{module.name}"))
        for name, value in found.items():
            if isinstance(value, Statement):
                yield name, value
            elif isinstance(value, dict) and not name.startswith("__"):
                yield from ((f"{name}-{key}", each) for key, each in value.items() if isinstance(each, Statement))


STATEMENTS = {name: statement for name, statement in statements() if not _TEMPORARY.search(statement.text(DIALECT))}


@pytest.fixture
async def connection(postgres: Databases) -> AsyncIterator[Connection]:
    """A connection to a database with empty tables, which PostgreSQL knows nothing about yet."""
    with postgres.new() as name:
        async with await connect(postgres.url(name)) as opened:
            await prepare(opened, "it", SCHEMA)
            yield opened


async def plan_of(connection: Connection, statement: Statement) -> list[str]:
    text = placed(statement.text(DIALECT)).sql
    rows = await (await connection.execute(b"EXPLAIN (GENERIC_PLAN) " + text, prepare=False)).fetchall()
    return [line for (line,) in rows]


async def scans(connection: Connection) -> dict[str, list[str]]:
    """Return the statements that read a table as a whole, and how."""
    found = {name: await plan_of(connection, statement) for name, statement in STATEMENTS.items()}
    chosen = {name: [line for line in plan if _SCAN.search(line)] for name, plan in found.items() if name not in WHOLE}
    return {name: lines for name, lines in chosen.items() if lines}


async def test_every_statement_finds_rows_by_their_keys(connection: Connection) -> None:
    """No statement reads a table as a whole, or all of a project where the key says more."""
    assert len(STATEMENTS) > 40
    assert await scans(connection) == {}
    of_projects = {
        name: lines
        for name, statement in STATEMENTS.items()
        if (lines := [line for line in await plan_of(connection, statement) if _OF_PROJECT.fullmatch(line)])
    }
    assert of_projects.keys() - WHOLE.keys() == set()


async def test_statistics_of_empty_tables_mislead_nobody(connection: Connection) -> None:
    """What was analyzed while it was empty is still not read as a whole; the next analysis finds better keys."""
    await connection.execute("ANALYZE", prepare=False)
    assert await scans(connection) == {}
