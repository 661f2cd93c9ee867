"""A server that answers before its commits are on the disk. The tests of durability must detect it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from tallymark_server.serve_command import serve
from tallymark_server.storage.sqlite import engine

prepare = engine.prepare


def prepare_without_sync(connection: sqlite3.Connection, *, path: Path, projects: Sequence[str]) -> None:
    """Prepare a connection as the server does, but without syncing commits."""
    prepare(connection, path=path, projects=projects)
    connection.execute("PRAGMA synchronous = OFF")


if __name__ == "__main__":
    engine.prepare = prepare_without_sync
    serve()
