"""Brings a database to the schema of this program: forward only, each step as a whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from psycopg import errors

from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.postgres.connections import Connection

_READABLE_FROM = re.compile(r"-- readable from (\d+)\n")
_TABLES = """
SELECT count(*), count(*) FILTER (WHERE tablename = 'schema_steps') FROM pg_catalog.pg_tables
WHERE schemaname = current_schema()
"""
# Whoever changes the schema holds the row of step 0. Both statements are one transaction.
_BEGIN = """
CREATE TABLE IF NOT EXISTS schema_steps (number bigint NOT NULL PRIMARY KEY, readable_from bigint NOT NULL);
INSERT INTO schema_steps VALUES (0, 0) ON CONFLICT DO NOTHING
"""
_LOCK = "SELECT number FROM schema_steps WHERE number = 0 FOR UPDATE"
_LAST = "SELECT number, readable_from FROM schema_steps ORDER BY number DESC LIMIT 1"
_DONE = "INSERT INTO schema_steps VALUES ($1, $2)"


class Step(NamedTuple):
    """A step of the schema. Programs that know the step `readable_from` can go on with the tables after it."""

    number: int
    readable_from: int
    sql: str


class _Last(NamedTuple):
    """The last step of a database."""

    number: int
    readable_from: int


def steps() -> list[Step]:
    """Return the steps in order."""
    return [_step(path) for path in sorted(Path(__file__).with_name("schema").glob("*.sql"))]


async def prepare(connection: Connection, name: str, schema: Sequence[Step]) -> None:
    """Create the tables of an empty database, or check those that are there. Raises CannotOpenError."""
    found = await _last(connection, name)
    if found is None:
        await _apply(connection, schema)
        return
    needed = _checked(name, found, schema)
    if found.number < needed:
        raise CannotOpenError(
            f"{name} has the tables of an earlier Tallymark (schema {found.number}, this one needs {needed}): run"
            " tallymark migrate --db URL"
        )


async def check(connection: Connection, name: str, schema: Sequence[Step]) -> None:
    """Raise CannotOpenError unless the database has the tables of this program."""
    if await _last(connection, name) is None:
        raise CannotOpenError(f"{name} is empty; name another database with --db")
    await prepare(connection, name, schema)


async def migrate(connection: Connection, name: str, schema: Sequence[Step]) -> int:
    """Apply the steps that the database lacks, and return how many. Raises CannotOpenError."""
    if (found := await _last(connection, name)) is not None:
        _checked(name, found, schema)
    return await _apply(connection, schema)


def _step(path: Path) -> Step:
    sql = path.read_text()
    declared = _READABLE_FROM.match(sql)
    if declared is None:
        raise ValueError(f"{path} does not begin with what can read it")
    return Step(int(path.name[:4]), int(declared.group(1)), sql)


async def _last(connection: Connection, name: str) -> _Last | None:
    """Return the last step of the database; None if it is empty. Raises CannotOpenError."""
    tables, ours = await _row(connection, _TABLES)
    if not tables:
        return None
    if not ours:
        raise CannotOpenError(f"{name} is another program's database; name another one with --db")
    last = _Last(*await _row(connection, _LAST))
    # A database that is being made ready, or was left then, has no further step.
    return last if last.number else None


def _checked(name: str, last: _Last, schema: Sequence[Step]) -> int:
    """Return the last step that this program knows, which can read what the database has. Raises CannotOpenError."""
    known = schema[-1].number
    if last.readable_from > known:
        raise CannotOpenError(
            f"{name} has the tables of a newer Tallymark (schema {last.number}, this one knows up to {known}); install"
            " the newer one, or name another database with --db"
        )
    return known


async def _apply(connection: Connection, schema: Sequence[Step]) -> int:
    """Apply the steps that are lacking; another program may apply some at the same time. Return how many were."""
    # Of several programs that create it at the same time, only one succeeds.
    with suppress(errors.UniqueViolation, errors.DuplicateObject, errors.DuplicateTable):
        await connection.execute(_BEGIN, prepare=False)
    applied = 0
    for step in schema:
        async with connection.transaction():
            await connection.execute(_LOCK, prepare=False)
            if (await _row(connection, _LAST))[0] < step.number:
                await connection.execute(step.sql.encode(), prepare=False)
                await connection.execute(_DONE, (step.number, step.readable_from))
                applied += 1
    return applied


async def _row(connection: Connection, sql: str) -> tuple[int, ...]:
    row = await (await connection.execute(sql.encode(), prepare=False)).fetchone()
    if row is None:
        raise RuntimeError("a statement that has one row returned none")
    return row
