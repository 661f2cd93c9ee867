"""Finds candidates for a filter in indexes: by tags, facts, names, aliases, stages and runs.

The filter is still applied to the image of each candidate, so there may be too many candidates, but never too few. The
parameters of the page have `project` and `model`, and get those of the candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tallymark_server.domain.model import EXCLUSIVE_STAGES
from tallymark_server.domain.query import All, AnyOf, Comparator, Comparison, Condition, Kind, Query, SortKey
from tallymark_server.storage.index_keys import AFTER_NUMBERS, MAX_TEXT, NOT_COMPARABLE, fact_key
from tallymark_server.storage.sql.dialect import Dialect, Type
from tallymark_server.storage.sql.facts import TAGS
from tallymark_server.storage.sql.filters import Parameters
from tallymark_server.storage.sql.session import ReadSession
from tallymark_server.storage.sql.statement import Select, Statement, parameter

# With more candidates than this the filter is applied to one version after the other, which fills a page soon.
MAX_CANDIDATES = 10_000
# How much of the log may have passed since the page's revision.
MAX_BEHIND = 10_000
# How many keys of an order are read at once, at first and at most.
_FIRST_KEYS, _MOST_KEYS = 2, 64

_OF_MODEL = "project = :project AND model = :model"
_FACTS = f"SELECT number FROM facts WHERE {_OF_MODEL} AND key = "
# Where exactly a text is looked up.
_EXACTLY = {
    "version_name": f"SELECT number FROM versions WHERE {_OF_MODEL} AND name = ",
    "aliases": f"SELECT number FROM aliases WHERE {_OF_MODEL} AND alias = ",
    "stage": f"SELECT number FROM versions WHERE {_OF_MODEL} AND stage IN ('staging', 'production') AND stage = ",
    "run": f"SELECT number FROM run_versions WHERE {_OF_MODEL} AND run = ",
}


async def candidates(
    session: ReadSession, parameters: Parameters, condition: Condition | None, behind: tuple[int, int]
) -> str | None:
    """Return a SELECT of all numbers that can meet the condition; None if they are too many, or not known.

    `behind` has the revision that the condition is evaluated at, which is the parameter `at`, and the newest.
    """
    at, newest = behind
    if condition is None or newest - at > MAX_BEHIND:
        return None
    for numbers in _lookups(condition, parameters):
        count = f"SELECT count(*) FROM ({numbers} LIMIT {MAX_CANDIDATES + 1}) AS found"
        (rows,) = await session.fetch(Select.of(count, parameters))
        if rows[0][0] <= MAX_CANDIDATES:
            if at < newest:
                changed = session.dialect.indexed("events", "events_of_models")
                return f"{numbers} UNION ALL SELECT number FROM {changed} WHERE {_OF_MODEL} AND revision > :at"
            return numbers
    return None


def _lookups(condition: Condition, parameters: Parameters) -> Iterator[str]:
    """Yield each SELECT that finds everything that can meet the condition."""
    match condition:
        case Comparison():
            if (lookup := _lookup(condition, parameters)) is not None:
                yield lookup
        case All(conditions):
            for inner in conditions:
                yield from _lookups(inner, parameters)
        case AnyOf(conditions):
            each = [next(_lookups(inner, parameters), None) for inner in conditions]
            found = [lookup for lookup in each if lookup is not None]
            if len(found) == len(each):
                yield " UNION ALL ".join(found)
        case _:
            pass


def _lookup(comparison: Comparison, parameters: Parameters) -> str | None:
    field, comparator, value = comparison.field, comparison.comparator, comparison.value
    text = value if isinstance(value, str) else None
    if comparison.kind is Kind.FACTS:
        return _fact_lookup(f"metadata.{comparison.key}", comparator, value, parameters)
    if text is None or "*" in text:
        return None
    if comparison.kind is Kind.LIST and field == TAGS:
        return f"{_FACTS}{parameters.add(TAGS)} AND value = {parameters.add(fact_key(text[:MAX_TEXT]))}"
    exact = comparison.kind is Kind.LIST or comparator is Comparator.EQUAL
    if not exact or field not in _EXACTLY or (field == "stage" and text not in EXCLUSIVE_STAGES):
        return None
    # A version without a name of its own is called by its number.
    if field == "version_name" and text.isdecimal():
        return None
    return f"{_EXACTLY[field]}{parameters.add(text)}"


def _fact_lookup(key: str, comparator: Comparator, value: object, parameters: Parameters) -> str | None:
    match value:
        case "*" if comparator is Comparator.HAS:
            return f"{_FACTS}{parameters.add(key)}"
        case None if comparator is not Comparator.UNEQUAL:
            return f"{_FACTS}{parameters.add(key)} AND value = '{NOT_COMPARABLE}'"
        case str() if comparator is Comparator.EQUAL and "*" not in value:
            return f"{_FACTS}{parameters.add(key)} AND value = {parameters.add(fact_key(value[:MAX_TEXT]))}"
        case bool() | int() | float() if comparator is not Comparator.UNEQUAL:
            sign = "=" if comparator is Comparator.HAS else comparator.value
            number = parameters.add(fact_key(value))
            return f"{_FACTS}{parameters.add(key)} AND value {sign} {number} AND value < '{AFTER_NUMBERS}'"
        case _:
            return None


@Statement
def facts_without_order(_: Dialect) -> str:
    """The facts whose order does not follow from their keys."""
    return f"{_FACTS}:key AND value = '{NOT_COMPARABLE}' LIMIT 1"


class _FactOrder(NamedTuple):
    """A fact of the versions of a model, and the directions of its keys and of the numbers that have one key."""

    project: int
    model: int
    key: str
    keys_descend: bool
    numbers_descend: bool

    def keys(self, after: str | None, most: int) -> Select:
        """Return the SELECT of the next keys of the fact: from one to the next, however many versions have each."""
        sign, order = ("<", " DESC") if self.keys_descend else (">", "")
        following = f"(SELECT value FROM facts WHERE {_OF_MODEL} AND key = :key AND {{}} ORDER BY value{order} LIMIT 1)"
        first = following.format("TRUE" if after is None else f"value {sign} :after")
        text = f"""
        WITH RECURSIVE found(value, place) AS (
            SELECT {first}, 1
            UNION ALL
            SELECT {following.format(f"value {sign} found.value")}, place + 1 FROM found
            WHERE found.value IS NOT NULL AND place < :most
        )
        SELECT value FROM found WHERE value IS NOT NULL
        """
        return Select.of(text, {**self._of_fact(), "after": after, "most": most})

    def numbers(self, sql: Dialect, key: str, after: SortKey, most: int) -> Select:
        """Return the SELECT of the first numbers that have the key, after that one, if there is one."""
        sign, order = ("<", " DESC") if self.numbers_descend else (">", "")
        begin = "TRUE" if after is None else f"facts.number {sign} :after"
        live = "versions.project = facts.project AND versions.model = facts.model AND versions.number = facts.number"
        text = f"""
        SELECT facts.number FROM facts
        {sql.join("versions", f"{live} AND versions.deleted = 0", index="live_versions")}
        WHERE facts.project = :project AND facts.model = :model AND facts.key = :key AND facts.value = :value
            AND {begin}
        ORDER BY facts.number{order} LIMIT :most
        """
        return Select.of(text, {**self._of_fact(), "value": key, "after": after, "most": most})

    def lacking(self, sql: Dialect, after: SortKey, most: int) -> Select:
        """Return the SELECT of the first numbers of versions without the fact, after that one, if there is one."""
        sign, order = ("<", " DESC") if self.numbers_descend else (">", "")
        begin = "TRUE" if after is None else f"number {sign} :after"
        text = f"""
        SELECT number FROM {sql.indexed("versions", "live_versions")}
        WHERE project = :project AND model = :model AND deleted = 0 AND {begin} AND NOT EXISTS (
            SELECT 1 FROM {sql.indexed("facts", "facts_of_versions")} WHERE facts.project = versions.project
                AND facts.model = versions.model AND facts.number = versions.number AND key = :key
        )
        ORDER BY number{order} LIMIT :most
        """
        return Select.of(text, {**self._of_fact(), "after": after, "most": most})

    def _of_fact(self) -> dict[str, object]:
        return {"project": self.project, "model": self.model, "key": self.key}


async def leading(session: ReadSession, project: int, model: int, query: Query, parameters: Parameters) -> str | None:
    """Return a SELECT of numbers that hold the page, when versions are ordered by a fact; None if it is not known.

    Those that have the fact come first, in its order, and then the others.
    """
    if query.condition is not None or len(query.order) != 2 or query.order[0].kind is not Kind.FACTS:
        return None
    by_fact, by_number = query.order
    order = _FactOrder(project, model, f"metadata.{by_fact.key}", by_fact.descending, by_number.descending)
    (unordered,) = await session.fetch(facts_without_order(project=project, model=model, key=order.key))
    if unordered:
        return None
    missing, value, number = query.after or (0, None, None)
    most = query.limit + 1
    numbers = [] if missing else await _with_fact(session, order, (value, number), most)
    if len(numbers) < most:
        (rows,) = await session.fetch(order.lacking(session.dialect, number if missing else None, most))
        numbers += [found for (found,) in rows]
    parameters["numbers"] = parameter(numbers)
    return f"SELECT number FROM {session.dialect.keys('numbers', number=Type.INTEGER)}"


async def _with_fact(session: ReadSession, order: _FactOrder, after: tuple[SortKey, SortKey], most: int) -> list[int]:
    """Return the first versions that have the fact, by its keys and then by their numbers, after one of these.

    One key after the other: the index has both in one direction, and of one key there may be very many.
    """
    sql = session.dialect
    value, number = after
    key: str | None = None
    found: list[int] = []
    if value is not None:
        key = sql.fact_index_key(value)
        (rows,) = await session.fetch(order.numbers(sql, key, number, most))
        found += [each for (each,) in rows]
    at_once = _FIRST_KEYS
    while len(found) < most:
        (keys,) = await session.fetch(order.keys(key, at_once))
        for rows in await session.fetch(*(order.numbers(sql, each, None, most - len(found)) for (each,) in keys)):
            found += [each for (each,) in rows]
        if len(keys) < at_once:
            break
        key, at_once = keys[-1][0], min(2 * at_once, _MOST_KEYS)
    return found[:most]
