"""Reads and changes of tables as statements of SQLite, which are done at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache

from tallymark_server.domain.events import Event
from tallymark_server.storage.log.replay import ImpossibleEventError
from tallymark_server.storage.sql.pages import cut
from tallymark_server.storage.sql.projection import project_events
from tallymark_server.storage.sql.session import Row, Rows, Session
from tallymark_server.storage.sql.statement import Select
from tallymark_server.storage.sql.tables import Table
from tallymark_server.storage.sqlite.bulk_insert import insert
from tallymark_server.storage.sqlite.dialect import DIALECT, SqliteDialect

_NEW_PROJECT = "INSERT INTO projects (name, log_id) VALUES (?, ?) RETURNING id"


class SqliteSession(Session):
    """The tables of this connection. Its methods never wait."""

    __slots__ = ("_connection", "_dialect")
    eager = False

    def __init__(self, connection: sqlite3.Connection, dialect: SqliteDialect = DIALECT) -> None:
        self._connection = connection
        self._dialect = dialect

    @property
    def dialect(self) -> SqliteDialect:
        return self._dialect

    async def fetch(self, *selects: Select) -> list[list[Row]]:
        execute, dialect = self._connection.execute, self._dialect
        return [execute(each.text(dialect), each.parameters).fetchall() for each in selects]

    async def fetch_page(self, select: Select, limit: int, image: int) -> tuple[list[Row], bool]:
        # SQLite reads a row when it is fetched.
        return cut(self._connection.execute(select.text(self._dialect), select.parameters), limit, image)

    async def execute(self, change: Select) -> None:
        self._connection.execute(change.text(self._dialect), change.parameters)

    async def add_project(self, name: str, log_id: str) -> int:
        ((project,),) = self._connection.execute(_NEW_PROJECT, (name, log_id)).fetchall()
        return int(project)

    async def insert(self, table: Table, rows: Rows) -> None:
        insert(self._connection, table.name, rows)

    async def upsert(self, table: Table, rows: Rows) -> None:
        self._connection.executemany(_upsert(table), rows)

    async def patch(self, table: Table, changed: tuple[str, ...], where: tuple[str, ...], rows: Rows) -> None:
        if len(rows) == 1:
            self._connection.execute(_patch(table, changed, where), rows[0])
        else:
            self._connection.executemany(_patch(table, changed, where), rows)

    async def patch_if_found(
        self, table: Table, changed: tuple[str, ...], where: tuple[str, ...], row: Sequence[object]
    ) -> bool:
        return self._connection.execute(_patch(table, changed, where), tuple(row)).rowcount > 0

    async def remove(self, table: Table, where: tuple[str, ...], rows: Rows) -> None:
        self._connection.executemany(_remove(table, where), rows)

    async def copy(self, source: Table, target: Table, added: str, where: tuple[str, ...], rows: Rows) -> None:
        self._connection.executemany(_copy(source, target, added, where), rows)


async def project_one(session: SqliteSession, project: int, event: Event) -> None:
    """Update the tables to the state after one replayed event. Raise ImpossibleEventError if they do not allow it."""
    try:
        await project_events(session, project, [event])
    except sqlite3.IntegrityError as error:
        raise ImpossibleEventError(str(error)) from None


@cache
def _upsert(table: Table) -> str:
    return f"INSERT OR REPLACE INTO {table.name} VALUES ({', '.join('?' * len(table.columns))})"


@cache
def _patch(table: Table, changed: tuple[str, ...], where: tuple[str, ...]) -> str:
    return f"UPDATE {table.name} SET {', '.join(f'{each} = ?' for each in changed)} WHERE {_has(where)}"


@cache
def _remove(table: Table, where: tuple[str, ...]) -> str:
    return f"DELETE FROM {table.name} WHERE {_has(where)}"


@cache
def _copy(source: Table, target: Table, added: str, where: tuple[str, ...]) -> str:
    columns = ", ".join("?" if column == added else column for column in target.columns)
    return f"INSERT INTO {target.name} SELECT {columns} FROM {source.name} WHERE {_has(where)}"


def _has(where: tuple[str, ...]) -> str:
    return " AND ".join(f"{column} = ?" for column in where)
