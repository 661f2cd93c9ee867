"""Looks into a database of either engine, or changes it: a file of SQLite, or one of PostgreSQL by its URL."""

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


def changed_rows(database: str, sql: str) -> int:
    """Execute a change that both engines understand, and return how many rows it has changed."""
    if database.startswith("postgresql:"):
        with psycopg.connect(database) as connection:
            return connection.execute(sql.encode()).rowcount
    with closing(sqlite3.connect(database)) as file, file:
        return file.execute(sql).rowcount
