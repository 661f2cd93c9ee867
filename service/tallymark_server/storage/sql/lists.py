"""Pages of lists: one statement each, by the keys of the last item, as of one revision.

What has changed since that revision is read as it was: its newest image up to then. What was created since is left out.
"""

from __future__ import annotations

from typing import NamedTuple

from tallymark_server.domain.query import Query, SortKey
from tallymark_server.storage.log.event_rows import OF_MODELS
from tallymark_server.storage.sql.dialect import Dialect
from tallymark_server.storage.sql.event_columns import one_of
from tallymark_server.storage.sql.filters import (
    Columns,
    Parameters,
    artifact_columns,
    condition_term,
    model_columns,
    run_columns,
    sort_terms,
    version_columns,
)
from tallymark_server.storage.sql.images import (
    event_as_of,
    linked_as_of,
    model_as_of,
    name_as_of,
    run_as_of,
    version_as_of,
)
from tallymark_server.storage.sql.index_candidates import candidates, leading
from tallymark_server.storage.sql.last_numbers import last_number_as_of, last_number_of_model
from tallymark_server.storage.sql.pages import MAX_LOOKED_AT
from tallymark_server.storage.sql.session import ReadSession, Row
from tallymark_server.storage.sql.statement import Select, Statement


class Page(NamedTuple):
    """The rows of a page, the sort keys after which the next begins, None after the last, and the keys of each row."""

    rows: list[Row]
    next: tuple[SortKey, ...] | None
    keys: list[tuple[SortKey, ...]]

    def first(self, count: int) -> Page:
        """Return the page with so many of its rows, one at least."""
        return self if count >= len(self.rows) else Page(self.rows[:count], self.keys[count - 1], self.keys[:count])


class Source(NamedTuple):
    """What a page is read from: what is selected, the tables from FROM on with a condition, and its parameters."""

    selected: str
    tables: str
    columns: Columns
    parameters: Parameters

    def narrowed(self, condition: str) -> Source:
        """Return the source with one more condition."""
        return self._replace(tables=f"{self.tables} AND {condition}")


class Scan(NamedTuple):
    """The order in which a condition is evaluated for one item after the other: FROM …, and the column it is by.

    It is read along an index, without images, and has the parameters of its source.
    """

    tables: str
    column: str


@Statement
def renamed_since(_: Dialect) -> str:
    return "SELECT 1 FROM events WHERE project = :project AND revision > :at AND kind = 'model_renamed' LIMIT 1"


async def versions_page(session: ReadSession, project: int, model: int, at: int, newest: int, query: Query) -> Page:
    """Return a page of images of the model's versions as of a revision; `newest` is the log's."""
    sql, is_newest = session.dialect, at >= newest
    parameters = Parameters(project=project, model=model, at=at, deleted=int(query.deleted))
    if is_newest:
        # Nothing has changed since: the present state is shown, and the index has no other.
        table = "versions" if query.deleted else sql.indexed("versions", "live_versions")
        event = sql.join("events", "events.project = versions.project AND events.revision = versions.revision")
        scanned = shown = "versions.deleted < 2" if query.deleted else "versions.deleted = 0"
    else:
        table, event = "versions", event_as_of(sql, "versions", version_as_of(sql))
        # A version that is deleted now, and has not been changed since, is skipped without reading its image.
        scanned, shown = (
            "versions.deleted < 2",
            f"""
            versions.deleted < 2 AND (versions.deleted <= :deleted OR versions.revision > :at) AND {_exists(sql)}
        """,
        )
        # Versions that were created since are excluded by their numbers. A later page has a bound of its own, and
        # SQLite would use only one of the two.
        if not (query.after and query.order[0].descending and query.order[0].field == "number"):
            (rows,) = await session.fetch(last_number_of_model(project=project, model=model, at=at))
            ((parameters["last"],),) = rows
            scanned, shown = f"{scanned} AND versions.number <= :last", f"{shown} AND versions.number <= :last"
    of_model = "versions.project = :project AND versions.model = :model"
    # With the image, whose it should be.
    selected = f"{sql.whole('events')}, versions.model, versions.number"
    source = Source(selected, f"FROM {table} {event} WHERE {of_model} AND {shown}", version_columns(sql), parameters)
    found = await candidates(session, parameters, query.condition, (at, newest))
    if found is None and is_newest and not query.deleted:
        found = await leading(session, project, model, query, parameters)
    if found is not None:
        return await _page(session, source.narrowed(f"versions.number IN ({found})"), query)
    return await _scanned(
        session, source, query, Scan(f"FROM {table} WHERE {of_model} AND {scanned}", "versions.number")
    )


async def models_page(session: ReadSession, project: int, at: int, newest: int, query: Query) -> Page:
    """Return a page of images of the project's models, each with its last number; `newest` is the log's revision."""
    sql, columns = session.dialect, model_columns(session.dialect)
    (renamed,) = await session.fetch(renamed_since(project=project, at=at))
    if not renamed:
        # The index has the order of the present names only.
        columns = {**columns, "name": "models.name"}
    shown = f"""
        models.project = :project AND models.deleted < 2 AND (models.deleted <= :deleted OR models.revision > :at)
        AND {_exists(sql)}
    """
    if at < newest:
        columns = {**columns, "last_number": last_number_as_of(sql)}
        shown = f"{shown} AND NOT {_purged(sql)}"
    source = Source(
        f"{sql.whole('events')}, {columns['last_number']}",
        f"FROM models {event_as_of(sql, 'models', model_as_of(sql))} WHERE {shown}",
        columns,
        Parameters(project=project, at=at, deleted=int(query.deleted)),
    )
    if renamed:
        return await _page(session, source, query)
    scan = Scan("FROM models WHERE models.project = :project AND models.deleted < 2", "models.name")
    return await _scanned(session, source, query, scan)


async def runs_page(session: ReadSession, project: int, at: int, query: Query, version: tuple[int, int] | None) -> Page:
    """Return a page of images of the project's runs, or of a version's, each with the name of its model."""
    sql, event = session.dialect, event_as_of(session.dialect, "runs", run_as_of(session.dialect))
    parameters = Parameters(project=project, at=at)
    selected = f"{sql.whole('events')}, {name_as_of(sql)}"
    if version is not None:
        parameters["model"], parameters["number"] = version
        run = sql.join("runs", "runs.project = run_versions.project AND runs.id = run_versions.run")
        tables = f"""
        FROM run_versions {run} {event}
        WHERE run_versions.project = :project AND run_versions.model = :model AND run_versions.number = :number
            AND run_versions.revision <= :at AND runs.start_revision <= :at
        """
        return await _page(session, Source(selected, tables, run_columns(sql), parameters), query)
    # A later page of the order of starts, descending, begins below a run that had begun by then: the condition would
    # be true of all, and SQLite, which searches by only one of two such bounds, uses the better one.
    own = query.order[0]
    below = query.after and own.descending and own.field == "start_revision"
    shown = "runs.project = :project" if below else "runs.project = :project AND runs.start_revision <= :at"
    source = Source(selected, f"FROM runs {event} WHERE {shown}", run_columns(sql), parameters)
    return await _scanned(session, source, query, Scan(f"FROM runs WHERE {shown}", "runs.start_revision"))


async def artifacts_page(session: ReadSession, project: int, model: int, number: int, at: int, query: Query) -> Page:
    """Return a page of images of the version's artifacts as of a revision."""
    sql = session.dialect
    tables = f"""
    FROM artifacts {event_as_of(sql, "artifacts", "artifacts.start_revision")}
    WHERE artifacts.project = :project AND artifacts.model = :model AND artifacts.number = :number
        AND {linked_as_of("artifacts")}
    """
    parameters = Parameters(project=project, model=model, number=number, at=at)
    return await _page(session, Source(sql.whole("events"), tables, artifact_columns(sql), parameters), query)


def _exists(sql: Dialect) -> str:
    return f"(:deleted = 1 OR {sql.integer('events.image', 'delete_time')} IS NULL)"


def _purged(sql: Dialect) -> str:
    """Return the condition that a row of `models` was purged since, even if it was created again."""
    return f"""
    ({sql.flag("events.image", "purged")} IS NOT NULL OR EXISTS (
        SELECT 1 FROM {sql.indexed("events AS past", "changes_of_models")}
        WHERE past.project = models.project AND past.model = models.id AND past.revision > :at
            AND {one_of("past.kind", OF_MODELS)} AND past.kind = 'model_purged'
    ))
    """


async def _scanned(session: ReadSession, source: Source, query: Query, scan: Scan) -> Page:
    """Return a page by evaluating the condition for one item after the other, in the order of the scan's column."""
    if query.condition is None or len(query.order) > 1:
        return await _page(session, source, query)
    sign, back, downwards = ("<", ">=", " DESC") if query.order[0].descending else (">", "<=", "")
    parameters = Parameters(source.parameters)
    begin = f"{scan.column} {sign} {parameters.add(query.after[0])}" if query.after else "TRUE"
    skipped = parameters.add(MAX_LOOKED_AT - 1)
    text = f"SELECT {scan.column} {scan.tables} AND {begin} ORDER BY {scan.column}{downwards} LIMIT 1 OFFSET {skipped}"
    (rows,) = await session.fetch(Select.of(text, parameters))
    if not rows:
        return await _page(session, source, query)
    (end,) = rows
    last = source.parameters.add(end[0])
    page = await _page(session, source.narrowed(f"{scan.column} {back} {last}"), query)
    return page if page.next else page._replace(next=end)


async def _page(session: ReadSession, source: Source, query: Query) -> Page:
    select, width = page_select(session.dialect, source, query)
    rows, more = await session.fetch_page(select, query.limit, 0)
    keys = [row[-width:] for row in rows]
    return Page([row[:-width] for row in rows], keys[-1] if more else None, keys)


def page_select(sql: Dialect, source: Source, query: Query) -> tuple[Select, int]:
    """Return the one statement of a page, and how many of its last columns are the sort keys."""
    parameters = Parameters(source.parameters)
    terms = sort_terms(sql, query.order, source.columns, parameters)
    named = ", ".join(f"{term} AS k{place}" for place, (term, _) in enumerate(terms))
    condition = condition_term(sql, query.condition, source.columns, parameters)
    after = [
        # The terms, since not every engine knows their names in a condition.
        " AND ".join(
            [
                sql.same(before, parameters.add(key))
                for (before, _), key in zip(terms[:place], query.after, strict=False)
            ]
            + [f"{term} {'<' if descending else '>'} {parameters.add(query.after[place])}"]
        )
        for place, (term, descending) in enumerate(terms)
        if query.after
    ]
    beyond = " OR ".join(f"({each})" for each in after) or "TRUE"
    order = ", ".join(f"k{place}{' DESC' if descending else ''}" for place, (_, descending) in enumerate(terms))
    limit = parameters.add(query.limit + 1)
    text = f"""
    SELECT {source.selected}, {named} {source.tables} AND ({condition}) AND ({beyond}) ORDER BY {order} LIMIT {limit}
    """
    return Select.of(text, parameters), len(terms)
