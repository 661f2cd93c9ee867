"""Finds candidates for a filter in indexes: by tags, facts, names, aliases, stages and runs.

The filter is still applied to the image of each candidate, so there may be too many candidates, but never too few.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from itertools import islice

from tallymark_server.domain.model import EXCLUSIVE_STAGES
from tallymark_server.domain.query import All, AnyOf, Comparator, Comparison, Condition, Kind, Query
from tallymark_server.storage.index_keys import AFTER_NUMBERS, NOT_COMPARABLE, fact_key
from tallymark_server.storage.sql.facts import MAX_TEXT, TAGS

# With more candidates than this the filter is applied to one version after the other, which fills a page soon.
MAX_CANDIDATES = 10_000
# How much of the log may have passed since the page's revision.
MAX_BEHIND = 10_000

_OF_MODEL = "project = ? AND model = ?"
_FACTS = f"SELECT number FROM facts WHERE {_OF_MODEL} AND key = ?"
_CHANGED_SINCE = f"SELECT number FROM events INDEXED BY events_of_models WHERE {_OF_MODEL} AND revision > ?"
# Where exactly this text is to be looked up.
_EXACTLY = {
    "version_name": f"SELECT number FROM versions WHERE {_OF_MODEL} AND name = ?",
    "aliases": f"SELECT number FROM aliases WHERE {_OF_MODEL} AND alias = ?",
    "stage": f"SELECT number FROM versions WHERE {_OF_MODEL} AND stage = ? AND stage IN ('staging', 'production')",
    "run": f"SELECT number FROM run_versions WHERE {_OF_MODEL} AND run = ?",
}

Sql = tuple[str, list[object]]


def candidates(
    connection: sqlite3.Connection, project: int, model: int, condition: Condition | None, behind: tuple[int, int]
) -> Sql | None:
    """Return a SELECT of all numbers that can meet the condition; None if they are too many, or not known.

    `behind` has the revision that the condition is evaluated at, and the newest.
    """
    at, newest = behind
    if condition is None or newest - at > MAX_BEHIND:
        return None
    for sql, bound in _ways(condition, project, model):
        (count,) = connection.execute(f"SELECT count(*) FROM ({sql} LIMIT {MAX_CANDIDATES + 1})", bound).fetchone()
        if count <= MAX_CANDIDATES:
            if at < newest:
                return f"{sql} UNION ALL {_CHANGED_SINCE}", [*bound, project, model, at]
            return sql, bound
    return None


def leading(connection: sqlite3.Connection, project: int, model: int, query: Query) -> Sql | None:
    """Return a SELECT of numbers that hold the page, when versions are ordered by a fact; None if it is not known.

    Those that have the fact come first, in its order, and then the others.
    """
    if query.condition is not None or len(query.order) != 2 or query.order[0].kind is not Kind.FACTS:
        return None
    by_fact, by_number = query.order
    of_fact = (project, model, f"metadata.{by_fact.key}")
    # The order of such facts does not follow from their keys.
    if connection.execute(f"{_FACTS} AND value = '{NOT_COMPARABLE}' LIMIT 1", of_fact).fetchone():
        return None
    missing, value, number = query.after or (0, None, None)
    numbers: list[int] = []
    if not missing:
        after = (None if value is None else fact_key(value), number)
        has = _in_order(connection, of_fact, after, (by_fact.descending, by_number.descending))
        numbers += islice(has, query.limit + 1)
    if len(numbers) <= query.limit:
        sign, downwards = ("<", " DESC") if by_number.descending else (">", "")
        begin = f"number {sign} ?" if missing else "?"
        lacks = f"""
        SELECT number FROM versions INDEXED BY live_versions
        WHERE project = ? AND model = ? AND deleted = 0 AND {begin} AND NOT EXISTS (
            SELECT 1 FROM facts INDEXED BY facts_of_versions WHERE facts.project = versions.project
                AND facts.model = versions.model AND facts.number = versions.number AND key = ?
        )
        ORDER BY number{downwards} LIMIT ?
        """
        bound = (project, model, number if missing else True, of_fact[2], query.limit + 1)
        numbers += [found for (found,) in connection.execute(lacks, bound)]
    return "SELECT value FROM json_each(?)", [json.dumps(numbers)]


def _in_order(
    connection: sqlite3.Connection,
    of_fact: tuple[int, int, str],
    after: tuple[str | None, object],
    descending: tuple[bool, bool],
) -> Iterator[int]:
    """Yield the versions that have the fact, by its keys and then by their numbers, after one of these.

    One key after the other: the index has both in one direction, and of one key there may be very many.
    """
    (value_sign, value_order), (number_sign, number_order) = (
        ("<", "DESC") if down else (">", "ASC") for down in descending
    )
    of_value = f"""
    SELECT facts.number FROM facts CROSS JOIN versions INDEXED BY live_versions
        ON versions.project = facts.project AND versions.model = facts.model AND versions.number = facts.number
    WHERE facts.project = ? AND facts.model = ? AND key = ? AND value = ? AND versions.deleted = 0 AND {{}}
    ORDER BY facts.number {number_order}
    """
    further = f"""
    SELECT value FROM facts WHERE project = ? AND model = ? AND key = ? AND {{}} ORDER BY value {value_order} LIMIT 1
    """
    value, number = after
    if value is not None:
        begun = connection.execute(of_value.format(f"facts.number {number_sign} ?"), (*of_fact, value, number))
        yield from (found for (found,) in begun)
    while True:
        begin, bound = ("TRUE", ()) if value is None else (f"value {value_sign} ?", (value,))
        row = connection.execute(further.format(begin), (*of_fact, *bound)).fetchone()
        if row is None:
            return
        (value,) = row
        yield from (found for (found,) in connection.execute(of_value.format("TRUE"), (*of_fact, value)))


def _ways(condition: Condition, project: int, model: int) -> Iterator[Sql]:
    """Yield each SELECT that finds everything that can meet the condition."""
    match condition:
        case Comparison():
            if (way := _way(condition)) is not None:
                sql, bound = way
                yield sql, [project, model, *bound]
        case All(conditions):
            for inner in conditions:
                yield from _ways(inner, project, model)
        case AnyOf(conditions):
            each = [next(_ways(inner, project, model), None) for inner in conditions]
            found = [way for way in each if way is not None]
            if len(found) == len(each):
                yield " UNION ALL ".join(sql for sql, _ in found), [value for _, bound in found for value in bound]
        case _:
            pass


def _way(comparison: Comparison) -> Sql | None:
    field, comparator, value = comparison.field, comparison.comparator, comparison.value
    text = value if isinstance(value, str) else None
    if comparison.kind is Kind.FACTS:
        return _fact_way(f"metadata.{comparison.key}", comparator, value)
    if text is None or "*" in text:
        return None
    if comparison.kind is Kind.LIST and field == TAGS:
        return f"{_FACTS} AND value = ?", [TAGS, fact_key(text[:MAX_TEXT])]
    exact = comparison.kind is Kind.LIST or comparator is Comparator.EQUAL
    if not exact or field not in _EXACTLY or (field == "stage" and text not in EXCLUSIVE_STAGES):
        return None
    # A version without a name of its own is called by its number.
    if field == "version_name" and text.isdecimal():
        return None
    return _EXACTLY[field], [text]


def _fact_way(key: str, comparator: Comparator, value: object) -> Sql | None:
    match value:
        case "*" if comparator is Comparator.HAS:
            return _FACTS, [key]
        case None if comparator is not Comparator.UNEQUAL:
            return f"{_FACTS} AND value = '{NOT_COMPARABLE}'", [key]
        case str() if comparator is Comparator.EQUAL and "*" not in value:
            return f"{_FACTS} AND value = ?", [key, fact_key(value[:MAX_TEXT])]
        case bool() | int() | float() if comparator is not Comparator.UNEQUAL:
            sign = "=" if comparator is Comparator.HAS else comparator.value
            return f"{_FACTS} AND value {sign} ? AND value < '{AFTER_NUMBERS}'", [key, fact_key(value)]
        case _:
            return None
