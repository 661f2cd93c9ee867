"""Connects to a file, which is made for its owner alone when it is not there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tallymark_server.storage.placing import create_private

_CACHED_STATEMENTS = 256


def connector(path: Path, *, read_only: bool) -> Callable[[], sqlite3.Connection]:
    """What connects to the file."""

    def connect() -> sqlite3.Connection:
        if not read_only:
            # What SQLite makes beside it gets the same mode. If the folder is wrong, SQLite says how.
            with suppress(OSError):
                create_private(path)
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode={'ro' if read_only else 'rwc'}",
            uri=True,
            isolation_level=None,
            cached_statements=_CACHED_STATEMENTS,
            check_same_thread=False,
        )
        connection.execute("PRAGMA busy_timeout = 5000")
        return connection

    return connect
