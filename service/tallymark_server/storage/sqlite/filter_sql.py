"""Conditions and orders to SQL. Every value, and every key of a fact, is bound; only our own words become SQL.

Columns are those of the image that is read, so that a page as of the past is judged by what was true then.
"""

from __future__ import annotations

from tallymark_server.domain.model import Time
from tallymark_server.domain.query import All, AnyOf, Comparator, Comparison, Condition, Kind, Negation, Order


def _image(path: str, default: str = "''") -> str:
    return f"coalesce(json_extract(events.image, '$.{path}'), {default})"


# An image leaves out a field that has its default.
VERSION_COLUMNS = {
    "number": "versions.number",
    "version_name": _image("name", "CAST(versions.number AS TEXT)"),
    "stage": _image("stage", "'none'"),
    "aliases": "$.aliases",
    "description": _image("description"),
    "tags": "$.tags",
    "metadata": "$.metadata",
    "run": _image("run"),
    "run_state": _image("run_state"),
    "step": _image("step"),
    "automatic": _image("automatic", "FALSE"),
    "creator": _image("creator"),
    "create_time": _image("create_time", "0"),
    "update_time": _image("update_time", "0"),
}
MODEL_COLUMNS = {
    "name": _image("name"),
    **{
        field: _image(f"card.{field}")
        for field in ("description", "license", "audience", "use_cases", "limitations", "trade_offs", "ethics")
    },
    "tags": "$.card.tags",
    "metadata": "$.card.metadata",
    "last_number": "models.last_number",
    "creator": _image("creator"),
    "create_time": _image("create_time", "0"),
    "update_time": _image("update_time", "0"),
}
RUN_COLUMNS = {
    "run": "runs.id",
    "state": _image("state", "'running'"),
    "parameters": "$.parameters",
    **{field: _image(field) for field in ("pipeline", "error", "commit", "host", "user", "url", "command", "creator")},
    "create_time": _image("create_time", "0"),
    # Without a time from the program, the registry's time is the best one.
    "start_time": _image("start_time", "json_extract(events.image, '$.create_time')"),
    # A running run sorts after every run that has ended.
    "end_time": _image("end_time", str(2**62)),
}
ARTIFACT_COLUMNS = {
    "artifact": "artifacts.artifact",
    "ordinal": "artifacts.ordinal",
    "type": _image("type", "'data'"),
    "role": "artifacts.role",
    "size_bytes": _image("size", "0"),
    **{field: _image(field) for field in ("uri", "digest", "format", "run", "step", "creator")},
    "create_time": _image("create_time", "0"),
}
# A text is sorted by its beginning: the sort keys of the last item become part of a page token.
_SORTED = 255
_FACT = f"""
(SELECT CASE type
    WHEN 'object' THEN coalesce(
        json_extract(value, '$.time'), CAST(json_extract(value, '$.integer') AS INTEGER),
        substr(json_extract(value, '$.uri'), 1, {_SORTED})
    )
    WHEN 'array' THEN NULL WHEN 'text' THEN substr(value, 1, {_SORTED}) ELSE value END
FROM json_each(events.image, '{{}}') WHERE key = ?)
"""

Sql = tuple[str, list[object]]


def where(condition: Condition | None, columns: dict[str, str]) -> Sql:
    """Return the condition as a term to follow WHERE …, with its parameters; without a condition, one that is true."""
    return ("TRUE", []) if condition is None else _term(condition, columns)


def sort_keys(orders: tuple[Order, ...], columns: dict[str, str]) -> list[tuple[str, list[object], bool]]:
    """Return the terms to sort by, each with its parameters, and whether it descends. Missing facts come last."""
    keys: list[tuple[str, list[object], bool]] = []
    for order in orders:
        column = columns[order.field]
        if order.kind is Kind.FACTS:
            fact = _FACT.format(column)
            keys += [(f"{fact} IS NULL", [order.key], False), (fact, [order.key], order.descending)]
        else:
            prose = order.kind is Kind.TEXT and column.startswith("coalesce")
            keys.append((f"substr({column}, 1, {_SORTED})" if prose else column, [], order.descending))
    return keys


def _term(condition: Condition, columns: dict[str, str]) -> Sql:
    match condition:
        case All(conditions):
            return _joined(" AND ", conditions, columns)
        case AnyOf(conditions):
            return _joined(" OR ", conditions, columns)
        case Negation(inner):
            sql, parameters = _term(inner, columns)
            return f"NOT ({sql})", parameters
        case Comparison():
            return _comparison(condition, columns[condition.field])


def _joined(word: str, conditions: tuple[Condition, ...], columns: dict[str, str]) -> Sql:
    terms = [_term(condition, columns) for condition in conditions]
    return word.join(f"({sql})" for sql, _ in terms), [value for _, values in terms for value in values]


def _comparison(comparison: Comparison, column: str) -> Sql:
    match comparison.kind:
        case Kind.LIST:
            sql, parameters = _text("value", Comparator.EQUAL, str(comparison.value))
            return f"EXISTS (SELECT 1 FROM json_each(events.image, '{column}') WHERE {sql})", parameters
        case Kind.FACTS:
            sql, parameters = _fact(comparison)
            facts = f"SELECT 1 FROM json_each(events.image, '{column}') WHERE key = ? AND ({sql})"
            return f"EXISTS ({facts})", [comparison.key, *parameters]
        case Kind.TEXT:
            return _text(column, comparison.comparator, str(comparison.value))
        case _:
            return f"{column} {comparison.comparator.value} ?", [_plain(comparison.value)]


def _fact(comparison: Comparison) -> Sql:
    """Return the comparison of a fact with a value of its own type: no comparison with another type is true."""
    comparator, value = comparison.comparator, comparison.value
    if comparator is Comparator.HAS and value == "*":
        return "TRUE", []
    match value:
        case None:
            return f"type {'<>' if comparator is Comparator.UNEQUAL else '='} 'null'", []
        case bool():
            return f"type IN ('true', 'false') AND value {_sign(comparator)} ?", [int(value)]
        case str():
            sql, parameters = _text("value", comparator, value)
            uri, _ = _text("json_extract(value, '$.uri')", comparator, value)
            return f"CASE type WHEN 'text' THEN {sql} WHEN 'object' THEN {uri} ELSE FALSE END", parameters * 2
        case _:
            sign = _sign(comparator)
            whole = f"CAST(json_extract(value, '$.integer') AS INTEGER) {sign} ?"
            sql = f"CASE WHEN type IN ('integer', 'real') THEN value {sign} ? WHEN type = 'object' THEN {whole} END"
            return sql, [_plain(value)] * 2


def _text(column: str, comparator: Comparator, value: str) -> Sql:
    if comparator is Comparator.HAS and "*" not in value:
        return f"instr({column}, ?) > 0", [value]
    if "*" in value and comparator in (Comparator.EQUAL, Comparator.UNEQUAL, Comparator.HAS):
        negation = "NOT " if comparator is Comparator.UNEQUAL else ""
        return f"{column} {negation}GLOB ?", ["".join(f"[{ch}]" if ch in "?[" else ch for ch in value)]
    return f"{column} {_sign(comparator)} ?", [value]


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
