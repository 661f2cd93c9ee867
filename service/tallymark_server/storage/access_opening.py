"""Where access to a database is kept: in a file beside that of SQLite, or in the database of PostgreSQL itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from tallymark_server.storage.access import AccessStore, Entry
from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.database_url import is_url
from tallymark_server.storage.offline import needing_psycopg


async def access_place(database: str) -> str | None:
    """Return where access to the database is kept: a file, or its URL; None if it was not set up.

    Raises CannotOpenError if the database does not answer.
    """
    if not is_url(database):
        from tallymark_server.storage.sqlite.access_file import access_file

        path = access_file(Path(database))
        return str(path) if path.exists() else None
    with needing_psycopg(database):
        from tallymark_server.storage.postgres.access_tables import has_access
    return database if await has_access(database) else None


async def open_access(place: str, *, read_only: bool = False) -> AccessStore:
    """Open the store at that place. Raises CannotOpenError."""
    if not is_url(place):
        from tallymark_server.storage.sqlite.access_file import open_access_file

        return open_access_file(Path(place), read_only=read_only)
    with needing_psycopg(place):
        from tallymark_server.storage.postgres.access_tables import open_access_tables
    return await open_access_tables(place)


async def set_up_access(database: str, entries: Callable[[str], Iterable[Entry]]) -> None:
    """Set access to the database up, with the first entries for the id of the log.

    Raises CannotOpenError, or CannotPlaceError for a file.
    """
    if not is_url(database):
        from tallymark_server.storage.sqlite.access_file import access_file, create_access_file

        path = access_file(Path(database))
        if path.exists():
            raise CannotOpenError(
                f"{path} exists already: log in with its first token, or, if that is lost, make another one with"
                " --recover"
            )
        create_access_file(path, entries)
        return
    with needing_psycopg(database):
        from tallymark_server.storage.postgres.access_tables import create_access_tables
    await create_access_tables(database, entries)


async def wait_for_access(database: str) -> None:
    """Return once access to a database of PostgreSQL was set up. Raises CannotOpenError if that cannot be seen."""
    with needing_psycopg(database):
        from tallymark_server.storage.postgres.access_tables import wait_for_access as wait
    await wait(database)
