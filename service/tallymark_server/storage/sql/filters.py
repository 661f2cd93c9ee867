"""Conditions and orders to SQL. Every value, and every key of a fact, is bound; only our own words become SQL.

Columns are those of the image that is read, so that a page as of the past is judged by what was true then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tallymark_server.domain.model import Time
from tallymark_server.domain.query import All, AnyOf, Comparator, Comparison, Condition, Kind, Negation, Order
from tallymark_server.storage.index_keys import MAX_TEXT
from tallymark_server.storage.sql.dialect import Dialect

_IMAGE = "events.image"
# The term of each field; of a list, and of facts, the name of the field in the image.
Columns = Mapping[str, str]


class Parameters(dict[str, object]):
    """The parameters of a statement that is being written."""

    def add(self, value: object) -> str:
        """Add a value, and return the parameter that has it."""
        name = f"p{len(self)}"
        self[name] = value
        return f":{name}"


class SortTerm(NamedTuple):
    """A term to sort by, and whether it descends."""

    term: str
    descending: bool


# An image leaves out a field that has its default.
def _text(sql: Dialect, field: str, default: str = "''") -> str:
    return f"coalesce({sql.text(_IMAGE, field)}, {default})"


def _integer(sql: Dialect, field: str, default: str = "0") -> str:
    return f"coalesce({sql.integer(_IMAGE, field)}, {default})"


def version_columns(sql: Dialect) -> Columns:
    """Return the columns of versions."""
    return {
        "number": "versions.number",
        "version_name": _text(sql, "name", "CAST(versions.number AS TEXT)"),
        "stage": _text(sql, "stage", "'none'"),
        "aliases": "aliases",
        "tags": "tags",
        "metadata": "metadata",
        **{field: _text(sql, field) for field in ("description", "run", "run_state", "step", "creator")},
        "automatic": f"coalesce({sql.flag(_IMAGE, 'automatic')}, 0)",
        **{field: _integer(sql, field) for field in ("create_time", "update_time")},
    }


def model_columns(sql: Dialect) -> Columns:
    """Return the columns of models."""
    card = ("description", "license", "audience", "use_cases", "limitations", "trade_offs", "ethics")
    return {
        "name": _text(sql, "name"),
        **{field: _text(sql, f"card.{field}") for field in card},
        "tags": "card.tags",
        "metadata": "card.metadata",
        "last_number": "models.last_number",
        "creator": _text(sql, "creator"),
        **{field: _integer(sql, field) for field in ("create_time", "update_time")},
    }


def run_columns(sql: Dialect) -> Columns:
    """Return the columns of runs."""
    texts = ("pipeline", "error", "commit", "host", "user", "url", "command", "creator")
    return {
        "run": "runs.id",
        "state": _text(sql, "state", "'running'"),
        "parameters": "parameters",
        **{field: _text(sql, field) for field in texts},
        "create_time": _integer(sql, "create_time"),
        # Without a time from the program, the registry's time is the best one.
        "start_time": _integer(sql, "start_time", sql.integer(_IMAGE, "create_time")),
        # A running run sorts after every run that has ended.
        "end_time": _integer(sql, "end_time", str(2**62)),
        "start_revision": "runs.start_revision",
    }


def artifact_columns(sql: Dialect) -> Columns:
    """Return the columns of artifacts."""
    return {
        "artifact": "artifacts.artifact",
        "ordinal": "artifacts.ordinal",
        "type": _text(sql, "type", "'data'"),
        "role": "artifacts.role",
        "size_bytes": _integer(sql, "size"),
        **{field: _text(sql, field) for field in ("uri", "digest", "format", "run", "step", "creator")},
        "create_time": _integer(sql, "create_time"),
        "start_revision": "artifacts.start_revision",
    }


def sort_terms(sql: Dialect, orders: tuple[Order, ...], columns: Columns, parameters: Parameters) -> list[SortTerm]:
    """Return the terms to sort by. Missing facts come last."""
    terms: list[SortTerm] = []
    for order in orders:
        column = columns[order.field]
        if order.kind is Kind.FACTS:
            fact = sql.fact_sort(_IMAGE, column, parameters.add(order.key))
            terms.append(SortTerm(f"CASE WHEN {fact} IS NULL THEN 1 ELSE 0 END", descending=False))
            terms.append(SortTerm(fact, order.descending))
        else:
            from_image = order.kind is Kind.TEXT and column.startswith("coalesce")
            terms.append(SortTerm(f"substr({column}, 1, {MAX_TEXT})" if from_image else column, order.descending))
    return terms


def condition_term(sql: Dialect, condition: Condition | None, columns: Columns, parameters: Parameters) -> str:
    """Return the condition as a term to follow WHERE …; without a condition, one that is true."""
    match condition:
        case None:
            return "TRUE"
        case All(conditions):
            return " AND ".join(f"({condition_term(sql, each, columns, parameters)})" for each in conditions)
        case AnyOf(conditions):
            return " OR ".join(f"({condition_term(sql, each, columns, parameters)})" for each in conditions)
        case Negation(inner):
            return f"NOT ({condition_term(sql, inner, columns, parameters)})"
        case Comparison():
            return _comparison(sql, condition, columns[condition.field], parameters)


def _comparison(sql: Dialect, comparison: Comparison, column: str, parameters: Parameters) -> str:
    match comparison.kind:
        case Kind.LIST:
            item = _compare_text(sql, "item.value", Comparator.EQUAL, str(comparison.value), parameters)
            return f"EXISTS (SELECT 1 FROM {sql.items(_IMAGE, column)} WHERE {item})"
        case Kind.FACTS:
            key = parameters.add(comparison.key)
            fact = _compare_fact(sql, comparison, parameters)
            return f"EXISTS (SELECT 1 FROM {sql.facts(_IMAGE, column)} WHERE fact.key = {key} AND {fact})"
        case Kind.TEXT:
            return _compare_text(sql, column, comparison.comparator, str(comparison.value), parameters)
        case _:
            return f"{column} {comparison.comparator.value} {parameters.add(_plain(comparison.value))}"


def _compare_fact(sql: Dialect, comparison: Comparison, parameters: Parameters) -> str:
    """Return the comparison of a fact with a value of its own type: no comparison with another type is true."""
    comparator, value = comparison.comparator, comparison.value
    if comparator is Comparator.HAS and value == "*":
        return "TRUE"
    match value:
        case None:
            return "NOT fact.is_null" if comparator is Comparator.UNEQUAL else "fact.is_null"
        case bool():
            return f"fact.flag {_sign(comparator)} {parameters.add(int(value))}"
        case str():
            return _compare_text(sql, "fact.text", comparator, value, parameters)
        case _:
            return sql.compare("fact.number", _sign(comparator), parameters.add(_plain(value)))


def _compare_text(sql: Dialect, column: str, comparator: Comparator, value: str, parameters: Parameters) -> str:
    if comparator is Comparator.HAS and "*" not in value:
        return sql.contains(column, parameters.add(value))
    if "*" in value and comparator in (Comparator.EQUAL, Comparator.UNEQUAL, Comparator.HAS):
        negated = comparator is Comparator.UNEQUAL
        return sql.matches(column, parameters.add(sql.pattern(value)), negated=negated)
    return f"{column} {_sign(comparator)} {parameters.add(value)}"


def _sign(comparator: Comparator) -> str:
    return "=" if comparator is Comparator.HAS else comparator.value


def _plain(value: str | float | bool | Time | None) -> object:
    match value:
        case Time(micros):
            return micros
        case bool():
            return int(value)
        case _:
            return value
