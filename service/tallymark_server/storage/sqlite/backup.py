"""Copies a file while a server writes to it, with SQLite's own backup."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tallymark_server.storage.atomic_files import placed
from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.sqlite.connection import connector
from tallymark_server.storage.sqlite.migrate import SCHEMA_OF_THESE_HASHES, migrate, steps
from tallymark_server.storage.sqlite.offline_access import found

_PAGES_AT_ONCE = 1024
_HEADS = "SELECT name, revision FROM projects ORDER BY name"


@contextmanager
def of_this_schema(path: Path) -> Iterator[Path]:
    """Yield the file, or a migrated copy if an earlier release wrote it; the copy is removed afterwards.

    Raises CannotOpenError, also if its log cannot be proved on the way.
    """
    if not _is_older(path):
        yield path
        return
    with TemporaryDirectory(prefix="tallymark-") as folder:
        copy = Path(folder, path.name)
        with found(path, of_any_schema=True) as source, closing(connector(copy, read_only=False)()) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
            migrate(target, str(path))
        yield copy


def gets_other_hashes(path: Path) -> bool:
    """Return whether the hashes of the file's logs change when a server first opens it. Raises CannotOpenError."""
    return 0 < _schema(path) < SCHEMA_OF_THESE_HASHES


def _is_older(path: Path) -> bool:
    return 0 < _schema(path) < steps()[-1][0]


def _schema(path: Path) -> int:
    with found(path, of_any_schema=True) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return int(version)


def backup(path: Path, to: Path, tell: Callable[[int, int], None]) -> dict[str, int]:
    """Copy the file to a new one, and return the revision of each project in the copy.

    `tell` is called with the number of copied pages and of all pages. Raises CannotOpenError and CannotPlaceError.
    """
    # The copy shows one committed state, since the source is read in one transaction; without it, the backup would
    # start anew with every commit of the server.
    with found(path, of_any_schema=True) as source, placed(to) as partial:
        try:
            with closing(connector(partial.absolute(), read_only=False)()) as copy:
                source.backup(copy, pages=_PAGES_AT_ONCE, progress=lambda _, left, pages: tell(pages - left, pages))
                # Reading the copy, even to verify it, needs no file beside it.
                copy.execute("PRAGMA journal_mode = DELETE")
                return dict(copy.execute(_HEADS).fetchall())
        except sqlite3.OperationalError as error:
            raise CannotOpenError(f"cannot copy {path} to {to}: {error}") from None
