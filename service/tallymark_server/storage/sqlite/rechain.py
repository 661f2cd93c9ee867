"""Adds salts and digests to the logs of earlier releases, and the hashes that cover these."""

from __future__ import annotations

import sqlite3

from tallymark_server.storage.log.chain import Row, chained, chained_by_format_1, digest_of, salts

_STRETCH = 1000
_EVENTS = f"""
SELECT {", ".join(Row._fields)}, hash FROM events WHERE project = ? AND revision > ? ORDER BY revision LIMIT {_STRETCH}
"""
_SEAL = "UPDATE events SET salt = ?, digest = ?, hash = ? WHERE project = ? AND revision = ?"


def rechain(connection: sqlite3.Connection) -> None:
    """Chain the events of every project anew, over salted digests of their contents.

    Raises ValueError if one does not follow from the one before it: a log that was changed must not look sound later.
    """
    for project, name, log_id in connection.execute("SELECT id, name, log_id FROM projects ORDER BY id").fetchall():
        last_hash = _rechain(connection, project, name, log_id)
        connection.execute("UPDATE projects SET hash = ? WHERE id = ?", (last_hash, project))


def _rechain(connection: sqlite3.Connection, project: int, name: str, log_id: str) -> bytes:
    revision, old_hash, last_hash = 0, b"", b""
    while found := connection.execute(_EVENTS, (project, revision)).fetchall():
        sealed: list[tuple[object, ...]] = []
        for (*columns, found_hash), salt in zip(found, salts(len(found)), strict=True):
            row = Row(*columns)
            old_hash = chained_by_format_1(old_hash, log_id, row)
            if (row.revision, old_hash) != (revision + 1, found_hash):
                raise ValueError(f"project {name}, revision {row.revision}: its hash does not follow")
            revision, digest = row.revision, digest_of(salt, row)
            last_hash = chained(last_hash, log_id, row, digest)
            sealed.append((salt, digest, last_hash, project, revision))
        connection.executemany(_SEAL, sealed)
    return last_hash
