"""The events of a project, a model or a version, of some kinds or of all, in pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from tallymark_server.storage.contract import Scope
from tallymark_server.storage.log.event_rows import COMMON, IMAGE, OF_MODELS
from tallymark_server.storage.sql.event_columns import event_columns, none_of
from tallymark_server.storage.sql.pages import MAX_LOOKED_AT, cut
from tallymark_server.storage.sqlite.dialect import DIALECT

_EVENTS = f"""
SELECT {event_columns(DIALECT)} FROM events
LEFT JOIN models ON models.project = events.project AND models.id = events.model
"""
EVENT_AT = f"{_EVENTS} WHERE events.project = ? AND events.revision = ?"
EVENTS_AFTER = f"{_EVENTS} WHERE events.project = ? AND events.revision > ? ORDER BY events.revision LIMIT ?"
AFTER_ALL = 2**63 - 1


def history_page(
    connection: sqlite3.Connection, project: int, scope: Scope, limit: int
) -> tuple[list[Any], Scope | None]:
    """Return events of the scope as rows; if none is found among very many, also the part of the scope left to read."""
    end = _end(connection, project, scope)
    rows, _ = cut(_events(connection, project, scope, limit, end), limit, IMAGE)
    if rows or end is None:
        return rows, None
    return [], replace(scope, before=end) if scope.newest_first else replace(scope, after=end)


def _events(connection: sqlite3.Connection, project: int, scope: Scope, limit: int, end: int | None) -> Iterator[Any]:
    if scope.kinds and not scope.kinds & COMMON:
        for (revision,) in connection.execute(*kinds_statement(project, scope, limit)).fetchall():
            yield from connection.execute(EVENT_AT, (project, revision))
    else:
        yield from connection.execute(*history_statement(project, scope, limit, end))


def _end(connection: sqlite3.Connection, project: int, scope: Scope) -> int | None:
    """Return the revision up to where events are searched for kinds without an index; None for the whole log."""
    if not scope.kinds & COMMON:
        return None
    row = connection.execute(*end_statement(project, scope, MAX_LOOKED_AT)).fetchone()
    return None if row is None else int(row[0])


def history_statement(project: int, scope: Scope, limit: int, end: int | None = None) -> tuple[str, list[object]]:
    """Return the statement that reads the events of a scope, up to a revision if one is given, with its parameters."""
    terms, bound = ["events.project = ?"], list[object]([project])
    if scope.model_id is not None:
        terms.append("events.model = ?")
        bound.append(scope.model_id)
    if scope.number is not None:
        # Events of a model have its last number, but are not events of that version.
        terms.append(f"events.number = ? AND events.kind NOT IN ({', '.join('?' * len(OF_MODELS))})")
        bound += [scope.number, *OF_MODELS]
    if scope.kinds:
        terms.append(f"events.kind IN ({', '.join('?' * len(scope.kinds))})")
        bound += sorted(scope.kinds)
    way, order, cursor = _way(scope)
    if end is not None:
        terms.append(f"events.revision {'>=' if scope.newest_first else '<='} ?")
        bound.append(end)
    sql = f"{_EVENTS} WHERE {' AND '.join(terms)} AND events.revision {way} ? ORDER BY events.revision{order} LIMIT ?"
    return sql, [*bound, cursor, limit]


def end_statement(project: int, scope: Scope, count: int) -> tuple[str, list[object]]:
    """Return the statement for the last of so many events, of any kinds, of the project, the model or the version."""
    way, order, cursor = _way(scope)
    named = {"project": project, "model": scope.model_id, "number": scope.number}
    owner = {key: value for key, value in named.items() if value is not None}
    terms = " AND ".join(f"{key} = ?" for key in owner)
    sql = f"SELECT revision FROM events WHERE {terms} AND revision {way} ? ORDER BY revision{order} LIMIT 1 OFFSET ?"
    return sql, [*owner.values(), cursor, count - 1]


def kinds_statement(project: int, scope: Scope, limit: int) -> tuple[str, list[object]]:
    """Return the statement that finds the revisions of a scope of rare kinds, with its parameters.

    It reads the first few of each kind, and of these the first few, however many events of other kinds exist.
    """
    way, order, cursor = _way(scope)
    keys, bound, index = ["project"], list[object]([project]), "kinds_of_projects"
    if scope.model_id is not None:
        keys, bound, index = [*keys, "model"], [*bound, scope.model_id], "kinds_of_models"
    if scope.number is not None:
        keys, bound, index = [*keys, "number"], [*bound, scope.number], "kinds_of_versions"
    searched = " AND ".join(f"{key} = ?" for key in keys)
    one = f"""
    SELECT * FROM (
        SELECT revision FROM events INDEXED BY {index}
        WHERE {searched} AND kind = ? AND {none_of("kind", sorted(COMMON))} AND revision {way} ?
        ORDER BY revision{order} LIMIT ?
    )
    """
    kinds = sorted(scope.kinds - set(OF_MODELS)) if scope.number is not None else sorted(scope.kinds)
    each = " UNION ALL ".join([one] * len(kinds)) or "SELECT 0 AS revision WHERE FALSE"
    sql = f"SELECT revision FROM ({each}) ORDER BY revision{order} LIMIT ?"
    return sql, [*(value for kind in kinds for value in (*bound, kind, cursor, limit)), limit]


def _way(scope: Scope) -> tuple[str, str, int]:
    """Return the comparison of the scope's revisions with the cursor, their order, and the cursor."""
    if scope.newest_first:
        return "<", " DESC", AFTER_ALL if scope.before is None else scope.before
    return ">", "", scope.after
