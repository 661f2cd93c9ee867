"""Opens the storage by its name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tallymark_server.observer import Observer
from tallymark_server.storage.contract import Storage


@asynccontextmanager
async def open_storage(
    database: str, projects: Sequence[str], observer: Observer | None = None
) -> AsyncIterator[Storage]:
    """Yield the storage of that name, made ready if it is empty, with at least these projects.

    Raises CannotOpenError.
    """
    from tallymark_server.storage.sqlite.engine import open_sqlite

    async with open_sqlite(Path(database), projects, observer) as file:
        yield file
