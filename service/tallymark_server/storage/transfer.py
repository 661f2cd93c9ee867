"""Copies projects between a database of PostgreSQL and a file of SQLite, row by row.

So each engine proves the other: to be verified or exported, a database is copied into a file, whose log is replayed
into new tables; and what is imported is replayed into a file first, and copied from there.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.database_url import shown
from tallymark_server.storage.postgres import migrate as schema
from tallymark_server.storage.postgres.changes import type_of
from tallymark_server.storage.postgres.connections import ADAPTERS, UNBOUNDED, check_url, connect
from tallymark_server.storage.postgres.durability import check_settings
from tallymark_server.storage.postgres.errors import told
from tallymark_server.storage.postgres.session import new_id
from tallymark_server.storage.sql.tables import ERASURES, EVENTS, PROJECTION, PROJECTS, RECEIPTS, Table
from tallymark_server.storage.sqlite.bulk_insert import insert
from tallymark_server.storage.sqlite.connection import connector
from tallymark_server.storage.sqlite.migrate import migrate as migrate_file

# How many rows are in memory at once.
_STRETCH = 1000
# Answers without effect are no part of a log, and are not exported either.
_OF_PROJECTS = (EVENTS, ERASURES, RECEIPTS, *PROJECTION)
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# JSON has it as an escape, which is none after an odd number of backslashes.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_WITH_ESCAPES = r"SELECT revision, image FROM events WHERE project = ? AND instr(image, '\u0000') > 0 ORDER BY revision"
_IN_FILE = f"SELECT {', '.join(PROJECTS.columns)} FROM projects WHERE revision > 0 ORDER BY name"
_HELD = "SELECT id, revision FROM projects WHERE name = %s FOR UPDATE"


@contextmanager
def copied(url: str, project: str | None = None) -> Iterator[Path]:
    """Yield a file with the projects of a database, or with one, as they are at one moment. Raises CannotOpenError."""
    asyncio.run(_check(url))
    with TemporaryDirectory(prefix="tallymark-") as folder:
        file = Path(folder, "copy.db")
        with _unreachable(url), _connected(url) as server, closing(connector(file, read_only=False)()) as copy:
            migrate_file(copy, str(file))
            copy.execute("PRAGMA synchronous = OFF")
            server.execute(_SNAPSHOT)
            copy.execute("BEGIN")
            _copy_to_file(server, copy, project)
            copy.execute("COMMIT")
        yield file


def add_projects(file: Path, url: str) -> dict[str, int]:
    """Add all projects of the file that have events, and return the revision of each. All are added, or none.

    An empty database is made ready. Raises CannotOpenError.
    """
    asyncio.run(_prepare(url))
    with _unreachable(url), closing(connector(file, read_only=True)()) as source, _connected(url) as server:
        revisions: dict[str, int] = {}
        with server.transaction():
            for number, name, *head in source.execute(_IN_FILE).fetchall():
                _refuse_nul(source, number, name)
                project = _begin(server, name, head, url)
                for table in _OF_PROJECTS:
                    rows = source.execute(f"SELECT * FROM {table.name} WHERE project = ?", (number,))
                    _copy_to_server(server, table, ((project, *row[1:]) for row in rows))
                revisions[name] = head[1]
        return revisions


async def migrate(url: str) -> int:
    """Bring the database to the schema of this program, and return how many steps that took. Raises CannotOpenError."""
    with _unreachable(url):
        async with await connect(url, bounds=UNBOUNDED) as connection:
            return await schema.migrate(connection, shown(url), schema.steps())


async def _check(url: str) -> None:
    with _unreachable(url):
        async with await connect(url, bounds=UNBOUNDED) as connection:
            await schema.check(connection, shown(url), schema.steps())


async def _prepare(url: str) -> None:
    with _unreachable(url):
        async with await connect(url, bounds=UNBOUNDED) as connection:
            await check_settings(connection, shown(url))
            await schema.prepare(connection, shown(url), schema.steps())


@contextmanager
def _unreachable(url: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise CannotOpenError(f"cannot read or write {shown(url)}: {told(error)}") from None
    except sqlite3.IntegrityError as error:
        raise CannotOpenError(f"{shown(url)} is damaged: {error}; restore a backup") from None


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(**check_url(url), autocommit=True, context=ADAPTERS) as connection:
        yield connection


def _copy_to_file(server: psycopg.Connection[Any], copy: sqlite3.Connection, name: str | None) -> None:
    columns = ", ".join(PROJECTS.columns)
    of_name = f"SELECT {columns} FROM projects WHERE name = coalesce(%s, name) ORDER BY name"
    wanted = server.execute(of_name.encode(), (name,))
    for number, row in enumerate(wanted.fetchall(), 1):
        insert(copy, PROJECTS.name, [(number, *row[1:])])
        for table in _OF_PROJECTS:
            stretch: list[tuple[object, ...]] = []
            for found in _rows(server, table, int(row[0])):
                stretch.append((number, *found[1:]))
                if len(stretch) == _STRETCH:
                    insert(copy, table.name, stretch)
                    stretch.clear()
            insert(copy, table.name, stretch)


def _rows(server: psycopg.Connection[Any], table: Table, project: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the project in the order of their key."""
    columns, key = ", ".join(table.columns), ", ".join(table.columns[: table.key])
    select = f"SELECT {columns} FROM {table.name} WHERE project = {project:d} ORDER BY {key}"
    with server.cursor() as cursor, cursor.copy(f"COPY ({select}) TO STDOUT (FORMAT BINARY)".encode()) as rows:
        rows.set_types(_types(table))
        yield from rows.rows()


def _begin(server: psycopg.Connection[Any], name: str, head: list[Any], url: str) -> int:
    """Return the id of the project, whose row is there with this head. Raises CannotOpenError if it has events."""
    found = server.execute(_HELD, (name,)).fetchone()
    if found is not None and found[1]:
        raise CannotOpenError(f"project {name} of {shown(url)} is there already, with {found[1]:,} events")
    project = new_id() if found is None else int(found[0])
    server.execute(b"DELETE FROM projects WHERE id = %s", (project,))
    _copy_to_server(server, PROJECTS, [(project, name, *head)])
    return project


def _copy_to_server(server: psycopg.Connection[Any], table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    into = f"COPY {table.name} ({', '.join(table.columns)}) FROM STDIN (FORMAT BINARY)"
    with server.cursor() as cursor, cursor.copy(into.encode()) as copy:
        copy.set_types(_types(table))
        for row in rows:
            copy.write_row(row)


def _refuse_nul(source: sqlite3.Connection, number: int, name: str) -> None:
    """Raise CannotOpenError for an event of an early release with a character that PostgreSQL cannot store."""
    for revision, image in source.execute(_WITH_ESCAPES, (number,)):
        if _NUL.search(image):
            raise CannotOpenError(
                f"project {name}, revision {revision}: it has the character U+0000, which PostgreSQL cannot store;"
                " erase that content before the export, or go on with SQLite"
            )


def _types(table: Table) -> list[str]:
    return [type_of(table, column) for column in table.columns]
