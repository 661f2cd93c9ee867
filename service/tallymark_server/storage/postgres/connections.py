"""Connects to the server, with the settings that the engine relies on."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict
from psycopg.postgres import types
from psycopg.types.numeric import FloatBinaryDumper, Int8BinaryDumper
from psycopg.types.string import BytesBinaryDumper, StrBinaryDumper

from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.database_url import SHAPE, shown
from tallymark_server.storage.postgres.images import ImageLoader

# Of several hosts the one that takes changes; a server that has vanished is noticed in some seconds.
_DEFAULTS: dict[str, Any] = {
    "target_session_attrs": "read-write",
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "1",
    "keepalives_count": "3",
    "tcp_user_timeout": "8000",
    "application_name": "tallymark",
}
# No statement of ours reads more than a few rows by their keys, whatever the statistics of young tables suggest.
_BY_KEY = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_bitmapscan": "off",
    "join_collapse_limit": "1",
    "from_collapse_limit": "1",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}
# How long to wait for a lock, for a statement, and for the next statement of a transaction that holds locks.
BOUNDS = {"lock_timeout": "5s", "statement_timeout": "10s", "idle_in_transaction_session_timeout": "2s"}
# A reader keeps nobody waiting, and a busy event loop may let some seconds pass between two of its statements.
READING = {**BOUNDS, "idle_in_transaction_session_timeout": "30s"}
# For work that takes as long as there are events: imports, proofs, changes of the schema.
UNBOUNDED = {"lock_timeout": "5s", "statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}
_SET = "SELECT set_config(name, value, FALSE) FROM unnest($1::text[], $2::text[]) AS setting (name, value)"

Connection = AsyncConnection[tuple[Any, ...]]


def _adapters() -> AdaptersMap:
    """Return the types of parameters: one for each type of Python, whatever the value."""
    adapters = AdaptersMap(psycopg.adapters)
    for kind, dumper in ((int, Int8BinaryDumper), (str, StrBinaryDumper), (bytes, BytesBinaryDumper)):
        adapters.register_dumper(kind, dumper)
    adapters.register_dumper(float, FloatBinaryDumper)
    adapters.register_loader(types["json"].oid, ImageLoader)
    return adapters


ADAPTERS = _adapters()


def check_url(url: str) -> dict[str, Any]:
    """Return the parameters of the URL, with those that it lacks. Raises CannotOpenError."""
    try:
        given = conninfo_to_dict(url)
        if url.partition("://")[2].partition("/")[0].count("@") > 1:
            # libpq takes the rest of such a password for the host, which its messages have.
            raise psycopg.ProgrammingError
    except psycopg.Error:
        # The message of libpq may have the password.
        raise CannotOpenError(
            f"{shown(url)} is no URL of PostgreSQL: name the database with --db {SHAPE}, with % before the two"
            " hexadecimal digits of each other character in a password"
        ) from None
    return {**_DEFAULTS, **given}


async def connect(url: str, *, bounds: dict[str, str] = BOUNDS, read_only: bool = False) -> Connection:
    """Return a new connection. Raises CannotOpenError if the URL is wrong, and psycopg.Error if it cannot be had."""
    connection = await AsyncConnection.connect(
        **check_url(url), autocommit=True, prepare_threshold=0, cursor_factory=AsyncRawCursor, context=ADAPTERS
    )
    settings = {**_BY_KEY, **bounds, "default_transaction_read_only": "on" if read_only else "off"}
    try:
        await connection.execute(_SET, (list(settings), list(settings.values())), prepare=False)
    except BaseException:
        await connection.close()
        raise
    return connection
