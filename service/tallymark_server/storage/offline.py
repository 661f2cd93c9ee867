"""Files for commands that read or change a database without a service: the file itself, or a copy of what a URL names.

Commands prove and replay in files. What is in a database of PostgreSQL is copied into one before, or from one after.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.database_url import is_url, shown


@contextmanager
def found_file(database: str, project: str | None = None) -> Iterator[Path]:
    """Yield the file, or one with all projects, or one of them, of the database as they are now.

    Raises CannotOpenError.
    """
    if not is_url(database):
        yield Path(database)
        return
    with needing_psycopg(database):
        from tallymark_server.storage.transfer import copied
    with copied(database, project) as file:
        yield file


@contextmanager
def changed_file(database: str) -> Iterator[Path]:
    """Yield the file, or an empty one, whose projects are added to the database after the block.

    Raises CannotOpenError.
    """
    if not is_url(database):
        yield Path(database)
        return
    with needing_psycopg(database):
        from tallymark_server.storage.transfer import add_projects
    from tempfile import TemporaryDirectory  # servers import this module, and use no such folder

    with TemporaryDirectory(prefix="tallymark-") as folder:
        file = Path(folder, "import.db")
        yield file
        add_projects(file, database)


async def migrate(url: str) -> int:
    """Bring a database of PostgreSQL to the schema of this program, and return how many steps that took.

    Raises CannotOpenError.
    """
    with needing_psycopg(url):
        from tallymark_server.storage.transfer import migrate as apply
    return await apply(url)


@contextmanager
def needing_psycopg(url: str) -> Iterator[None]:
    """Raise CannotOpenError, with what to install, if the block cannot import what the URL needs."""
    try:
        yield
    except ImportError as error:
        raise CannotOpenError(
            f"{shown(url)} needs {error.name}, which is not installed: pip install 'tallymark[server,postgres]'"
        ) from None
