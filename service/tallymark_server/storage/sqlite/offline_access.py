"""A file that is read beside its server, or changed while no server holds it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tallymark_server.storage.atomic_files import placed
from tallymark_server.storage.contract import CannotOpenError, Writing
from tallymark_server.storage.sqlite.connection import connector, unreadable
from tallymark_server.storage.sqlite.engine import Transaction, add_projects, prepare, real_file
from tallymark_server.storage.sqlite.file_lock import check_one_name, exclusive
from tallymark_server.storage.sqlite.head_file import intact, renew
from tallymark_server.storage.sqlite.migrate import APPLICATION_ID, refuse_newer, steps

_REVISION = "SELECT revision FROM projects WHERE name = ?"


@contextmanager
def found(path: Path, *, of_any_schema: bool = False) -> Iterator[sqlite3.Connection]:
    """Yield one committed state of a file, even while a server writes to it. Raises CannotOpenError."""
    if not path.is_file():
        raise CannotOpenError(f"there is no file {path}; name one with --db")
    check_one_name(path)
    try:
        with closing(connector(path.absolute(), read_only=True)()) as connection:
            _check(connection, path, of_any_schema=of_any_schema)
            connection.execute("BEGIN")
            # The state is that of the first question.
            connection.execute("SELECT count(*) FROM projects").fetchone()
            yield connection
    except sqlite3.DatabaseError as error:
        raise unreadable(path, error) from None


def _check(connection: sqlite3.Connection, path: Path, *, of_any_schema: bool) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        raise CannotOpenError(f"{path} is no file of Tallymark; name another with --db")
    check_schema(connection, path, of_any_schema=of_any_schema)


def check_schema(connection: sqlite3.Connection, path: Path, *, of_any_schema: bool = False) -> None:
    """Raise CannotOpenError if the file's tables are not those that this program knows."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if of_any_schema:
        return
    refuse_newer(version, str(path))
    if version != steps()[-1][0]:
        raise CannotOpenError(
            f"{path} has schema {version}, and this program reads {steps()[-1][0]}: serve it once first"
        )


@contextmanager
def changed(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield one transaction on a file that no server holds, or on a new one: done as a whole, or not at all.

    Raises CannotOpenError and CannotPlaceError.
    """
    path = real_file(path)
    with exclusive(path):
        with intact(path):
            if path.exists():
                with _transaction(path, path) as connection:
                    yield connection
            else:
                with placed(path) as fresh, _transaction(fresh, path) as connection:
                    yield connection
        renew(path)


@contextmanager
def _transaction(file: Path, path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(connector(file, read_only=False)()) as connection:
            prepare(connection, path=path, projects=())
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise CannotOpenError(f"cannot write {path}: {error}") from None
    except sqlite3.DatabaseError as error:
        raise CannotOpenError(f"cannot open {path}: {error}; name another file with --db") from None


def revision_of(connection: sqlite3.Connection, project: str) -> int | None:
    """Return the last revision of the project's log, None if there is no such project."""
    row = connection.execute(_REVISION, (project,)).fetchone()
    return None if row is None else int(row[0])


@contextmanager
def writing(path: Path, project: str) -> Iterator[Writing]:
    """Yield one transaction of the one writer, for a project without events. Raises CannotOpenError."""
    with changed(path) as connection:
        add_projects(connection, (project,))
        revision = revision_of(connection, project)
        if revision:
            raise CannotOpenError(
                f"project {project} of {path} has {revision:,} events already, and what was before them cannot be told"
                " after them; name another project or another file"
            )
        yield Transaction(connection)
