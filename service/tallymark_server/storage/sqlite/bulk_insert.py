"""Many rows in few statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain

# The numbers of rows of a statement, the largest first. Each step of a statement releases the interpreter: with one row
# each, a busy writer would spend as much on that as on the rows. Few sizes, so that all stay compiled.
_SIZES = (64, 16, 4, 1)


def insert(connection: sqlite3.Connection, table: str, rows: Sequence[Sequence[object]]) -> None:
    """Insert the rows, which have a value for each column of the table."""
    begin = 0
    for size in _SIZES:
        while len(rows) - begin >= size:
            values = chain.from_iterable(rows[begin : begin + size])
            connection.execute(_statement(table, len(rows[begin]), size), tuple(values))
            begin += size


@cache
def _statement(table: str, columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"INSERT INTO {table} VALUES {', '.join([row] * rows)}"
