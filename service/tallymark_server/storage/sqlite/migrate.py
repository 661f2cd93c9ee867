"""Migrates a file's tables to the schema of this program: forward only, each step as a whole or not at all."""

from __future__ import annotations

import json
import math
import sqlite3
from pathlib import Path

from tallymark_server.domain.errors import DataDamaged
from tallymark_server.storage.codec import decode_version
from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.immediate import run_immediately
from tallymark_server.storage.index_keys import fact_key, identity_key
from tallymark_server.storage.sql.facts import looked_up
from tallymark_server.storage.sql.run_states import add_run_states
from tallymark_server.storage.sqlite.rechain import rechain
from tallymark_server.storage.sqlite.session import SqliteSession

# Marks a file as ours, so that no other program's database is written to by mistake: "tmrk" in ASCII.
APPLICATION_ID = 0x746D726B


# What SQL alone cannot do: done after the step of that number, in its transaction. The states of runs belong to step 7,
# but are events, and events are appended in the format of step 8.
_AFTERWARDS = {8: (rechain, lambda connection: run_immediately(add_run_states(SqliteSession(connection))))}
# Files of an earlier schema get other hashes when they are migrated, with random salts.
SCHEMA_OF_THESE_HASHES = 8


def steps() -> list[tuple[int, str]]:
    """Return the number and the SQL of each step, in order."""
    folder = Path(__file__).with_name("schema")
    return sorted((int(path.name[:4]), path.read_text()) for path in folder.glob("*.sql"))


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Apply the steps that the file lacks. Raise CannotOpenError if it is not ours, or newer than this program."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application_id != APPLICATION_ID and (application_id or version or tables):
        raise CannotOpenError(f"{path} is another program's database; name another file with --db")
    refuse_newer(version, path)
    add_functions(connection)
    if not tables:
        _create(connection)
        return
    for number, sql in steps():
        if number > version:
            try:
                connection.executescript(f"BEGIN IMMEDIATE; {sql}")
                for work in _AFTERWARDS.get(number, ()):
                    work(connection)
                connection.execute(f"PRAGMA user_version = {number:d}")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
                connection.execute("COMMIT")
            except (sqlite3.Error, ValueError, TypeError, KeyError, DataDamaged) as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise
                raise CannotOpenError(f"{path} has an event that cannot be read: {error!r}; restore a backup") from None


def _create(connection: sqlite3.Connection) -> None:
    """Create the tables of a new file in one commit: each step by itself would wait for the disk once more."""
    last = steps()[-1][0]
    marks = f"PRAGMA user_version = {last:d}; PRAGMA application_id = {APPLICATION_ID:d}"
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {' '.join(sql for _, sql in steps())}; {marks}; COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def add_functions(connection: sqlite3.Connection) -> None:
    """Register the functions that the steps call."""
    connection.create_function("value_of_point", 1, _value_of_point, deterministic=True)
    connection.create_function("value_of_fact", 2, _value_of_fact, deterministic=True)
    connection.create_function("fact_key", 1, fact_key, deterministic=True)
    connection.create_function("identity_key", 1, identity_key, deterministic=True)


def refuse_newer(version: int, path: str) -> None:
    """Raise CannotOpenError if a file's schema is newer than this program."""
    known = steps()[-1][0]
    if version > known:
        raise CannotOpenError(
            f"{path} was written by a newer Tallymark (schema {version}, this one knows up to {known}); install the"
            " newer one, or name another file with --db"
        )


def _value_of_point(point: str) -> float | None:
    """Return the value of a point in an image, to its last digit, which SQLite might round; None for not a number."""
    value = json.loads(point)[2]
    number = float(value["number"] if isinstance(value, dict) else value)
    return None if math.isnan(number) else number


def _value_of_fact(image: str, key: str) -> str | float:
    """Return what the version of that image is found by through its fact of that key, as it was before step 10."""
    return looked_up(decode_version(image, "").metadata[key])
