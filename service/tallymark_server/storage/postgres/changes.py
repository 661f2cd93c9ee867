"""Changes to tables as statements: one row as parameters, many as one parameter of JSON, whatever their number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import msgspec

from tallymark_server.storage.postgres.exchange import Call
from tallymark_server.storage.sql.session import Rows
from tallymark_server.storage.sql.tables import FACTS, MODELS, PROJECTS, Table

# The types of columns by their names; all others are whole numbers. A test compares them with the schema.
_TEXTS = frozenset(
    (
        *("actor", "alias", "artifact", "automatic_run", "id", "identity", "image", "images", "key", "kind", "log_id"),
        *("metric", "name", "old_name", "previous_name", "previous_stage", "reason", "refusal", "request_id", "role"),
        *("run", "stage"),
    )
)
_BYTES = frozenset(("digest", "fingerprint", "hash", "previous_digest", "salt"))
_encode = msgspec.json.Encoder().encode


def type_of(table: Table, column: str) -> str:
    """Return the type of a column of the table."""
    if column == "value":
        return "text" if table is FACTS else "double precision"
    if column in _BYTES:
        return "bytea"
    number = column not in _TEXTS or (column == "id" and table in (MODELS, PROJECTS))
    return "bigint" if number else "text"


def insert(table: Table, rows: Rows) -> Call:
    """Return the statement that inserts rows, with a value for each column."""
    return _call(_insert, rows, table)


def upsert(table: Table, rows: Rows) -> Call:
    """Return the statement that inserts rows in place of those with the same key."""
    return _call(_upsert, rows, table)


def patch(table: Table, changed: tuple[str, ...], where: tuple[str, ...], rows: Rows) -> Call:
    """Return the statement that sets columns, given their values and after them those of `where`."""
    return _call(_patch, rows, table, changed, where)


def remove(table: Table, where: tuple[str, ...], rows: Rows) -> Call:
    """Return the statement that removes rows, given the values of `where`."""
    return _call(_remove, rows, table, where)


def copy(source: Table, target: Table, added: str, where: tuple[str, ...], rows: Rows) -> Call:
    """Return the statement that copies rows, given the value of the added column, and those of `where`."""
    return _call(_copy, rows, source, target, added, where)


def _call(write: Callable[..., bytes], rows: Rows, *about: object) -> Call:
    if len(rows) == 1:
        return Call(write(*about, many=False), rows[0])
    # Objects with short names, since PostgreSQL reads records from nothing else.
    names = [f"c{place}" for place in range(len(rows[0]))]
    records = [dict(zip(names, map(_plain, row), strict=True)) for row in rows]
    return Call(write(*about, many=True), (_encode(records).decode(),))


def _plain(value: object) -> object:
    """Return the value as JSON has it."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _given(types: Sequence[str], *, many: bool) -> str:
    """Return the table `given`, whose columns are c0, c1 and so on."""
    names = [f"c{place}" for place in range(len(types))]
    if many:
        columns = ", ".join(f"{name} {kind}" for name, kind in zip(names, types, strict=True))
        return f"json_to_recordset(CAST($1 AS json)) AS given ({columns})"
    values = ", ".join(f"CAST(${place} AS {kind})" for place, kind in enumerate(types, 1))
    return f"(VALUES ({values})) AS given ({', '.join(names)})"


def _types(table: Table, columns: Sequence[str]) -> list[str]:
    return [type_of(table, column) for column in columns]


@cache
def _insert(table: Table, *, many: bool) -> bytes:
    given = _given(_types(table, table.columns), many=many)
    return f"INSERT INTO {table.name} ({', '.join(table.columns)}) SELECT * FROM {given}".encode()


@cache
def _upsert(table: Table, *, many: bool) -> bytes:
    key, others = table.columns[: table.key], table.columns[table.key :]
    changed = ", ".join(f"{column} = excluded.{column}" for column in others)
    return _insert(table, many=many) + f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changed}".encode()


@cache
def _patch(table: Table, changed: tuple[str, ...], where: tuple[str, ...], *, many: bool) -> bytes:
    given = _given(_types(table, (*changed, *where)), many=many)
    values = ", ".join(f"{column} = given.c{place}" for place, column in enumerate(changed))
    return f"UPDATE {table.name} SET {values} FROM {given} WHERE {_has(table, where, len(changed))}".encode()


@cache
def _remove(table: Table, where: tuple[str, ...], *, many: bool) -> bytes:
    return (
        f"DELETE FROM {table.name} USING {_given(_types(table, where), many=many)} WHERE {_has(table, where)}".encode()
    )


@cache
def _copy(source: Table, target: Table, added: str, where: tuple[str, ...], *, many: bool) -> bytes:
    given = _given((type_of(target, added), *_types(source, where)), many=many)
    columns = ", ".join("given.c0" if column == added else f"{source.name}.{column}" for column in target.columns)
    found = f"LATERAL (SELECT * FROM {source.name} WHERE {_has(source, where, 1)} OFFSET 0) AS {source.name}"
    return f"""
    INSERT INTO {target.name} ({", ".join(target.columns)}) SELECT {columns} FROM {given} CROSS JOIN {found}
    """.encode()


def _has(table: Table, where: tuple[str, ...], first: int = 0) -> str:
    return " AND ".join(f"{table.name}.{column} = given.c{place}" for place, column in enumerate(where, first))
