"""Refuses servers whose settings break the promises of the contract."""

from __future__ import annotations

import structlog

from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.postgres.connections import Connection

# What a setting must be, and why.
_REQUIRED = {
    "fsync": (("on",), "a loss of power would destroy the database"),
    "full_page_writes": (("on",), "a loss of power would destroy pages of the database"),
    "synchronous_commit": (("on", "remote_apply"), "changes would be answered that a crash or a failover loses"),
}
# Who sets this for a server of tests says that nothing in it matters.
_MAY_LOSE_DATA = "tallymark.may_lose_data"
_SETTINGS = "SELECT current_setting(name, TRUE) FROM unnest($1::text[]) WITH ORDINALITY AS s (name, n) ORDER BY n"
_log = structlog.get_logger()


async def check_settings(connection: Connection, name: str) -> None:
    """Raise CannotOpenError unless the server keeps what it has acknowledged, and holds any text."""
    names = [*_REQUIRED, "server_encoding", _MAY_LOSE_DATA]
    rows = await (await connection.execute(_SETTINGS, (names,))).fetchall()
    found = dict(zip(names, (value for (value,) in rows), strict=True))
    if found["server_encoding"] != "UTF8":
        raise CannotOpenError(
            f"{name} has the encoding {found['server_encoding']}, in which not every text can be stored: create the"
            " database with ENCODING 'UTF8', and name that one with --db"
        )
    for setting, (allowed, reason) in _REQUIRED.items():
        # An engine that speaks PostgreSQL, and lacks the setting, has no such choice.
        if found[setting] in (None, *allowed):
            continue
        if found[_MAY_LOSE_DATA] == "on":
            _log.warning("this server is only for tests, since it may lose data", db=name, setting=setting)
            return
        raise CannotOpenError(
            f"{name} has {setting} = {found[setting]}, with which {reason}: ALTER SYSTEM SET {setting} = on, and reload"
            " the server; the setting may also be one of the role or of the database"
        )
