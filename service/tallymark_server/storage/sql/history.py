"""The events of a project, a model or a version, of some kinds or of all, in pages."""

from __future__ import annotations

from msgspec.structs import replace

from tallymark_server.storage.contract import Scope
from tallymark_server.storage.log.event_rows import COMMON, IMAGE, OF_MODELS
from tallymark_server.storage.sql.dialect import Dialect, Type
from tallymark_server.storage.sql.event_columns import event_columns, listed, none_of
from tallymark_server.storage.sql.filters import Parameters
from tallymark_server.storage.sql.pages import MAX_LOOKED_AT
from tallymark_server.storage.sql.session import ReadSession, Row
from tallymark_server.storage.sql.statement import Select, Statement, parameter

AFTER_ALL = 2**63 - 1


def _events(sql: Dialect) -> str:
    model = sql.join("models", "models.project = events.project AND models.id = events.model", left=True)
    return f"SELECT {event_columns(sql)} FROM events {model}"


@Statement
def events_after(sql: Dialect) -> str:
    return f"""
    {_events(sql)} WHERE events.project = :project AND events.revision > :after ORDER BY events.revision LIMIT :limit
    """


@Statement
def events_at(sql: Dialect) -> str:
    """The events of some revisions, in their order."""
    return f"""
    SELECT {event_columns(sql)} FROM {sql.keys("wanted", revision=Type.INTEGER)}
    {sql.join("events", "events.project = :project AND events.revision = wanted.revision")}
    {sql.join("models", "models.project = events.project AND models.id = events.model", left=True)}
    """


async def history_page(session: ReadSession, project: int, scope: Scope, limit: int) -> tuple[list[Row], Scope | None]:
    """Return events of the scope as rows; if none is found among very many, also the part of the scope left to read."""
    if scope.kinds and not scope.kinds & COMMON:
        (found,) = await session.fetch(rare_kinds(session.dialect, project, scope, limit))
        wanted = parameter(revision for (revision,) in found)
        rows, _ = await session.fetch_page(events_at(project=project, wanted=wanted), limit, IMAGE)
        return rows, None
    end = None
    if scope.kinds:
        # Events of these kinds are searched for without an index, so many at a time.
        (found,) = await session.fetch(end_of_scope(project, scope, MAX_LOOKED_AT))
        end = found[0][0] if found else None
    rows, _ = await session.fetch_page(events_of_scope(session.dialect, project, scope, limit, end), limit, IMAGE)
    if rows or end is None:
        return rows, None
    return [], replace(scope, before=end) if scope.newest_first else replace(scope, after=end)


def events_of_scope(sql: Dialect, project: int, scope: Scope, limit: int, end: int | None = None) -> Select:
    """Return the statement that reads the events of a scope, up to a revision if one is given."""
    sign, order, cursor = _direction(scope)
    parameters = Parameters(project=project, cursor=cursor, limit=limit)
    terms = ["events.project = :project", f"events.revision {sign} :cursor"]
    if scope.model_id is not None:
        terms.append(f"events.model = {parameters.add(scope.model_id)}")
    if scope.number is not None:
        # Events of a model have its last number, but are not events of that version.
        terms.append(f"events.number = {parameters.add(scope.number)} AND events.kind NOT IN ({listed(OF_MODELS)})")
    if scope.kinds:
        terms.append(f"events.kind IN ({listed(sorted(scope.kinds))})")
    if end is not None:
        terms.append(f"events.revision {'>=' if scope.newest_first else '<='} {parameters.add(end)}")
    text = f"{_events(sql)} WHERE {' AND '.join(terms)} ORDER BY events.revision{order} LIMIT :limit"
    return Select.of(text, parameters)


def end_of_scope(project: int, scope: Scope, count: int) -> Select:
    """Return the statement for the last of so many events, of any kinds, of the project, the model or the version."""
    sign, order, cursor = _direction(scope)
    owner = {"project": project, **_owner(scope)}
    terms = " AND ".join(f"{key} = :{key}" for key in owner)
    text = f"""
    SELECT revision FROM events WHERE {terms} AND revision {sign} :cursor ORDER BY revision{order}
    LIMIT 1 OFFSET :skipped
    """
    return Select.of(text, {**owner, "cursor": cursor, "skipped": count - 1})


def rare_kinds(sql: Dialect, project: int, scope: Scope, limit: int) -> Select:
    """Return the statement that finds the revisions of a scope of rare kinds.

    It reads the first few of each kind, and of these the first few, however many events of other kinds exist.
    """
    sign, order, cursor = _direction(scope)
    owner = {"project": project, **_owner(scope)}
    index = {1: "kinds_of_projects", 2: "kinds_of_models", 3: "kinds_of_versions"}[len(owner)]
    terms = " AND ".join(f"{key} = :{key}" for key in owner)
    of_kind = f"""
    SELECT * FROM (
        SELECT revision FROM {sql.indexed("events", index)}
        WHERE {terms} AND kind = '{{}}' AND {none_of("kind", sorted(COMMON))} AND revision {sign} :cursor
        ORDER BY revision{order} LIMIT :limit
    ) AS of_kind
    """
    kinds = sorted(scope.kinds - set(OF_MODELS)) if scope.number is not None else sorted(scope.kinds)
    each = " UNION ALL ".join(of_kind.format(kind) for kind in kinds) or "SELECT 0 AS revision WHERE FALSE"
    text = f"SELECT revision FROM ({each}) AS found ORDER BY revision{order} LIMIT :limit"
    return Select.of(text, {**owner, "cursor": cursor, "limit": limit})


def _owner(scope: Scope) -> dict[str, int]:
    named = {"model": scope.model_id, "number": scope.number}
    return {key: value for key, value in named.items() if value is not None}


def _direction(scope: Scope) -> tuple[str, str, int]:
    """Return the comparison of the scope's revisions with the cursor, their order, and the cursor."""
    if scope.newest_first:
        return "<", " DESC", AFTER_ALL if scope.before is None else scope.before
    return ">", "", scope.after
