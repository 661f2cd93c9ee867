"""Pages of lists: one statement each, by the keys of the last item, as of one revision.

What has changed since that revision is read as it was: its newest image up to then. What was created since is left out.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Any, NamedTuple

from tallymark_server.domain.query import Query
from tallymark_server.storage.log.event_rows import OF_MODELS
from tallymark_server.storage.sql.event_columns import one_of
from tallymark_server.storage.sql.images import (
    event_as_of,
    linked_as_of,
    model_as_of,
    name_as_of,
    run_as_of,
    version_as_of,
)
from tallymark_server.storage.sql.last_numbers import last_number_of_model
from tallymark_server.storage.sql.pages import MAX_LOOKED_AT, cut
from tallymark_server.storage.sqlite.dialect import DIALECT
from tallymark_server.storage.sqlite.event_integrity import WHOLE
from tallymark_server.storage.sqlite.filter_sql import (
    ARTIFACT_COLUMNS,
    MODEL_COLUMNS,
    RUN_COLUMNS,
    VERSION_COLUMNS,
    sort_keys,
    where,
)
from tallymark_server.storage.sqlite.index_candidates import candidates, leading

# Leaves out what was purged since, even if it was created again.
_PURGED = f"""
(json_extract(events.image, '$.purged') IS NOT NULL OR EXISTS (
    SELECT 1 FROM events AS past INDEXED BY changes_of_models
    WHERE past.project = models.project AND past.model = models.id AND past.revision > ?
        AND {one_of("past.kind", OF_MODELS)} AND past.kind = 'model_purged'
))
"""
# With the image, whose it should be.
_OWN = f"{WHOLE}, versions.model, versions.number"
_THERE = "(? OR json_extract(events.image, '$.delete_time') IS NULL)"

Part = tuple[str, list[object]]
VERSION_AS_OF = version_as_of(DIALECT)
MODEL_AS_OF = model_as_of(DIALECT)
RUN_AS_OF = run_as_of(DIALECT)


class Page(NamedTuple):
    """The rows of a page, the sort keys after which the next begins, None after the last, and the keys of each row."""

    rows: list[tuple[Any, ...]]
    next: tuple[Any, ...] | None
    keys: list[tuple[Any, ...]]

    def first(self, count: int) -> Page:
        """Return the page with so many of its rows, one at least."""
        return self if count >= len(self.rows) else Page(self.rows[:count], self.keys[count - 1], self.keys[:count])


def placed(sql: str, at: int) -> Part:
    """Return the part for a statement with positional parameters."""
    return sql.replace(":at", "?"), [at] * sql.count(":at")


def last_number(connection: sqlite3.Connection, project: int, model: int, at: int) -> int:
    """Return the highest number by then."""
    select = last_number_of_model(project=project, model=model, at=at)
    ((number,),) = connection.execute(select.text(DIALECT), select.parameters)
    return int(number)


class Walk(NamedTuple):
    """How things are walked when a condition is evaluated for each of them: FROM …, and the column of the order."""

    way: str
    bound: list[object]
    column: str


def _event(table: str, as_of: str, at: int) -> Part:
    """Return the join with the event that has the image as of the revision."""
    return placed(event_as_of(DIALECT, table, as_of), at)


def versions_page(connection: sqlite3.Connection, project: int, model: int, at: int, newest: int, query: Query) -> Page:
    """Return a page of images of the model's versions as of a revision; `newest` is the log's."""
    table, bound, made = "versions", list[object](), list[object]()
    if at >= newest:
        # Nothing has changed since: the present state is shown, and the index has no other.
        join = "CROSS JOIN events ON events.project = versions.project AND events.revision = versions.revision"
        there, there_bound = ("TRUE" if query.deleted else "versions.deleted = 0"), []
        table = "versions" if query.deleted else "versions INDEXED BY live_versions"
    else:
        join, bound = _event("versions", VERSION_AS_OF, at)
        # A version that is deleted now, and has not been changed since, is skipped without reading its image.
        there = f"(versions.deleted <= ? OR versions.revision > ?) AND {_THERE}"
        there_bound = [int(query.deleted), at, int(query.deleted)]
        # Versions that were created since are excluded by their numbers. A later page has a bound of its own, and
        # SQLite would use only one of the two.
        if not (query.after and query.order[0].descending and query.order[0].field == "number"):
            last = last_number(connection, project, model, at)
            made.append(last)
            there, there_bound = f"versions.number <= ? AND {there}", [last, *there_bound]
    found = candidates(connection, project, model, query.condition, (at, newest))
    if found is None and at >= newest and not query.deleted:
        found = leading(connection, project, model, query)
    source = f"""
    FROM {table} {join}
    WHERE versions.project = ? AND versions.model = ? AND versions.deleted < 2 AND {there}
    """
    of_model = (source, [*bound, project, model, *there_bound])
    if found is not None:
        among = _narrowed(of_model, f"versions.number IN ({found[0]})", found[1])
        return _page(connection, _OWN, among, VERSION_COLUMNS, query)
    if made:
        live = "versions.deleted < 2 AND versions.number <= ?"
    else:
        live = "versions.deleted = 0" if "INDEXED" in table else "versions.deleted < 2"
    walk = Walk(
        f"FROM {table} WHERE versions.project = ? AND versions.model = ? AND {live}",
        [project, model, *made],
        "versions.number",
    )
    return _walked(connection, _OWN, of_model, VERSION_COLUMNS, query, walk)


def models_page(connection: sqlite3.Connection, project: int, at: int, query: Query, *, renamed_since: bool) -> Page:
    """Return a page of images of the project's models, each with its last number."""
    join, bound = _event("models", MODEL_AS_OF, at)
    deleted = int(query.deleted)
    source = f"""
    FROM models {join}
    WHERE models.project = ? AND models.deleted < 2 AND (models.deleted <= ? OR models.revision > ?) AND {_THERE}
    """
    # The index has the order of the present names only.
    columns = MODEL_COLUMNS if renamed_since else {**MODEL_COLUMNS, "name": "models.name"}
    is_newest = connection.execute("SELECT revision <= ? FROM projects WHERE id = ?", (at, project)).fetchone()[0]
    of_project: Part = (source, [*bound, project, deleted, at, deleted])
    if not is_newest:
        of_project = _narrowed(of_project, f"NOT {_PURGED}", [at])
        connection.create_function("last_number", 3, partial(last_number, connection))
        columns = {**columns, "last_number": f"last_number(models.project, models.id, {at:d})"}
    selected = f"{WHOLE}, {columns['last_number']}"
    if renamed_since:
        return _page(connection, selected, of_project, columns, query)
    walk = Walk("FROM models WHERE models.project = ? AND models.deleted < 2", [project], "models.name")
    return _walked(connection, selected, of_project, columns, query, walk)


def runs_page(
    connection: sqlite3.Connection, project: int, at: int, query: Query, version: tuple[int, int] | None
) -> Page:
    """Return a page of images of the project's runs, or of a version's, each with the name of its model."""
    join, bound = _event("runs", RUN_AS_OF, at)
    columns = {**RUN_COLUMNS, "start_revision": "runs.start_revision"}
    selected, name_bound = placed(name_as_of(DIALECT), at)
    shown: Part = (f"{WHOLE}, {selected}", name_bound)
    if version is not None:
        source = f"""
        FROM run_versions CROSS JOIN runs ON runs.project = run_versions.project AND runs.id = run_versions.run {join}
        WHERE run_versions.project = ? AND run_versions.model = ? AND run_versions.number = ?
            AND run_versions.revision <= ? AND runs.start_revision <= ?
        """
        return _page(connection, shown, (source, [*bound, project, *version, at, at]), columns, query)
    begun = _begun(query, at)
    of_project = _narrowed((f"FROM runs {join} WHERE runs.project = ?", [*bound, project]), *begun)
    walk = Walk(*_narrowed(("FROM runs WHERE runs.project = ?", [project]), *begun), "runs.start_revision")
    return _walked(connection, shown, of_project, columns, query, walk)


def _begun(query: Query, at: int) -> Part:
    """Return the condition that a run had begun by then.

    A later page of the order of starts, descending, begins below a run that had: then it is true of all, and SQLite,
    which searches by only one of two such bounds, uses the better one.
    """
    own = query.order[0]
    if query.after and own.descending and own.field == "start_revision":
        return "TRUE", []
    return "runs.start_revision <= ?", [at]


def artifacts_page(
    connection: sqlite3.Connection, project: int, model: int, number: int, at: int, query: Query
) -> Page:
    """Return a page of images of the version's artifacts as of a revision."""
    join, bound = _event("artifacts", "artifacts.start_revision", at)
    linked, linked_bound = placed(linked_as_of("artifacts"), at)
    source = f"FROM artifacts {join} WHERE artifacts.project = ? AND artifacts.model = ? AND artifacts.number = ?"
    of_version = _narrowed((source, [*bound, project, model, number]), linked, linked_bound)
    columns = {**ARTIFACT_COLUMNS, "start_revision": "artifacts.start_revision"}
    return _page(connection, WHOLE, of_version, columns, query)


def _walked(
    connection: sqlite3.Connection,
    selected: str | Part,
    source: Part,
    columns: dict[str, str],
    query: Query,
    walk: Walk,
) -> Page:
    """Return a page by evaluating the condition for one thing after the other, in the order of the walk's column."""
    if query.condition is None or len(query.order) > 1:
        return _page(connection, selected, source, columns, query)
    way, bound, column = walk
    sign, back, downwards = ("<", ">=", " DESC") if query.order[0].descending else (">", "<=", "")
    begin = f"{column} {sign} ?" if query.after else "TRUE"
    sql = f"SELECT {column} {way} AND {begin} ORDER BY {column}{downwards} LIMIT 1 OFFSET ?"
    end = connection.execute(sql, [*bound, *query.after, MAX_LOOKED_AT - 1]).fetchone()
    if end is None:
        return _page(connection, selected, source, columns, query)
    page = _page(connection, selected, _narrowed(source, f"{column} {back} ?", list(end)), columns, query)
    return page if page.next else page._replace(next=end)


def _narrowed(source: Part, condition: str, bound: list[object]) -> Part:
    return f"{source[0]} AND {condition}", [*source[1], *bound]


def _page(
    connection: sqlite3.Connection, selected: str | Part, source: Part, columns: dict[str, str], query: Query
) -> Page:
    sql, parameters = page_statement(selected, source, columns, query)
    rows, more = cut(connection.execute(sql, parameters), query.limit, 0)
    width = len(sort_keys(query.order, columns))
    keys = [row[-width:] for row in rows]
    return Page([row[:-width] for row in rows], keys[-1] if more else None, keys)


def page_statement(
    selected: str | Part, source: Part, columns: dict[str, str], query: Query
) -> tuple[str, list[object]]:
    """Return the one statement of a page."""
    what, what_bound = (selected, []) if isinstance(selected, str) else selected
    keys = sort_keys(query.order, columns)
    named = ", ".join(f"{term} AS k{place}" for place, (term, _, _) in enumerate(keys))
    condition, condition_bound = where(query.condition, columns)
    after, after_bound = _after([descending for _, _, descending in keys], query.after)
    order = ", ".join(f"k{place}{' DESC' if descending else ''}" for place, (_, _, descending) in enumerate(keys))
    sql = f"SELECT {what}, {named} {source[0]} AND ({condition}) AND ({after}) ORDER BY {order} LIMIT ? + 1"
    key_bound = [value for _, values, _ in keys for value in values]
    return sql, [*what_bound, *key_bound, *source[1], *condition_bound, *after_bound, query.limit]


def _after(descending: list[bool], keys: tuple[object, ...]) -> tuple[str, list[object]]:
    """Return the condition for the items after the item of those keys."""
    if not keys:
        return "TRUE", []
    terms: list[str] = []
    bound: list[object] = []
    for place, downwards in enumerate(descending):
        same = "".join(f"k{before} IS ? AND " for before in range(place))
        terms.append(f"({same}k{place} {'<' if downwards else '>'} ?)")
        bound += [*keys[:place], keys[place]]
    return " OR ".join(terms), bound
