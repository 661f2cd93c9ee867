"""The SQLite file of another registry, read in one committed state and never written."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tallymark_server.importers.source_model import CannotReadError


@contextmanager
def opened(path: Path, tables: Collection[str], what: str) -> Iterator[sqlite3.Connection]:
    """Open the file in one committed state, after a check that it is intact and has the tables of `what`.

    Raises CannotReadError.
    """
    if not path.is_file():
        raise CannotReadError(f"there is no file {path}; name {what}")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN")
            there = tables_of(connection)
            if not there >= set(tables):
                raise CannotReadError(f"{path} is not {what}: it has no table {min(set(tables) - there)}")
            for (problem,) in connection.execute("PRAGMA quick_check(1)"):
                if problem != "ok":
                    raise CannotReadError(f"{path} is damaged: {problem.splitlines()[-1]}; restore a backup of it")
            yield connection
    except sqlite3.DatabaseError as error:
        raise CannotReadError(f"cannot read {path}: {error}; name {what}") from None


def tables_of(connection: sqlite3.Connection) -> set[str]:
    """Return the names of the existing tables."""
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


@contextmanager
def copied(path: Path, tables: Collection[str], what: str) -> Iterator[Path]:
    """Copy the file, for a reader that writes to what it opens. Raises CannotReadError."""
    with TemporaryDirectory(prefix="tallymark-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder, "copy.db")
        with opened(path, tables, what) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        yield copy
