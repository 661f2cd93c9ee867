"""Looks into a database of either engine: a file of SQLite, or one of PostgreSQL by its URL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import psycopg


def rows(database: str, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a statement that both engines understand."""
    if database.startswith("postgresql:"):
        with psycopg.connect(database) as connection:
            return connection.execute(sql.encode()).fetchall()
    with closing(sqlite3.connect(database)) as file:
        return file.execute(sql).fetchall()
