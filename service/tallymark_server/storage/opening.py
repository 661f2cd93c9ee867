"""Chooses the engine by the name of the database: a file is SQLite's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tallymark_server.observer import Observer
from tallymark_server.storage.contract import Storage
from tallymark_server.storage.database_url import is_url
from tallymark_server.storage.offline import needing_psycopg


@asynccontextmanager
async def open_storage(
    database: str, projects: Sequence[str], observer: Observer | None = None, listen_url: str = ""
) -> AsyncIterator[Storage]:
    """Yield the storage of that name, made ready if it is empty, with at least these projects.

    `listen_url` is where to hear of other servers' changes, if a pooler is in the way of the database. Raises
    CannotOpenError.
    """
    if not is_url(database):
        from tallymark_server.storage.sqlite.engine import open_sqlite

        async with open_sqlite(Path(database), projects, observer) as file:
            yield file
        return
    with needing_psycopg(database):
        from tallymark_server.storage.postgres.engine import open_postgres
    async with open_postgres(database, projects, observer, listen_url) as server:
        yield server
