"""The words of PostgreSQL.

A lateral subquery with a LIMIT is searched for each row of the tables before it, by the keys in its condition: no
planner can turn the order round. An image is returned with its proof, as JSON, which no column has; `images` checks it.
"""

from __future__ import annotations

from tallymark_server.storage.index_keys import MAX_TEXT
from tallymark_server.storage.log.chain import Row
from tallymark_server.storage.sql.dialect import Dialect, Type

_CONTENT = ("actor", "reason", "alias", "previous_name", "image")
_OWN_TEXT = "(value #>> '{}')"
_FLAG = f"CAST(CAST({_OWN_TEXT} AS boolean) AS integer)"
_BYTES = "encode({}.{}, 'hex')"


class PostgresDialect(Dialect):
    """Statements as PostgreSQL reads them."""

    def keys(self, name: str, /, **columns: Type) -> str:
        rows = f"json_array_elements(CAST(:{name} AS json)) AS each (value)"
        if len(columns) == 1:
            rows = f"json_array_elements_text(CAST(:{name} AS json)) AS each (value)"
            terms = ["value"]
        else:
            terms = [f"value ->> {place}" for place in range(len(columns))]
        # Compared with columns, a text has their collation.
        kinds = zip(terms, columns.items(), strict=True)
        selected = ", ".join(f"CAST({term} AS {kind}) AS {column}" for term, (column, kind) in kinds)
        return f"(SELECT {selected} FROM {rows}) AS {name}"

    def join(self, table: str, on: str, *, index: str = "", left: bool = False, many: bool = False) -> str:  # noqa: ARG002 - the planner chooses the index
        alias = table.rpartition(" ")[2]
        found = f"LATERAL (SELECT * FROM {table} WHERE {on} {'OFFSET 0' if many else 'LIMIT 1'}) AS {alias}"
        return f"LEFT JOIN {found} ON TRUE" if left else f"CROSS JOIN {found}"

    def indexed(self, table: str, index: str) -> str:  # noqa: ARG002 - the planner chooses the index
        return table

    def whole(self, event: str) -> str:
        columns = [f"{event}.{column}" for column in Row._fields]
        log_id = f"(SELECT log_id FROM projects WHERE projects.id = {event}.project)"
        before = f"""(
            SELECT encode(before.hash, 'hex') FROM events AS before
            WHERE before.project = {event}.project AND before.revision = {event}.revision - 1
        )"""
        proof = [_BYTES.format(event, column) for column in ("salt", "digest", "hash")]
        return f"json_build_array({', '.join([*proof, f'{event}.erased', log_id, before, *columns])})"

    def whole_image(self) -> str:
        columns = [f"events.{column}" for column in ("revision", *_CONTENT)]
        proof = [_BYTES.format("events", column) for column in ("salt", "digest")]
        return f"json_build_array({', '.join([*proof, *columns])})"

    def text(self, image: str, field: str) -> str:
        return f'(({_field(image, field)}) COLLATE "C")'

    def integer(self, image: str, field: str) -> str:
        return f"CAST({_field(image, field)} AS bigint)"

    def text_is(self, image: str, field: str, value: str) -> str:
        return f"{self.text(image, field)} = {value}"

    def without(self, image: str, *fields: str) -> str:
        left_out = ", ".join(f"'{field}'" for field in fields)
        return f"json_build_object('image', {image}, 'without', json_build_array({left_out}))"

    def object_of(self, key: str, value: str) -> str:
        return f"CAST(coalesce(json_object_agg({key}, {value}), '{{}}') AS text)"

    def greatest(self, one: str, other: str) -> str:
        return f"greatest({one}, {other})"

    def log(self, table: str) -> str:
        return table

    def hexadecimal(self, value: str) -> str:
        return f"encode({value}, 'hex')"

    def pairs_of(self, one: str, other: str) -> str:
        return f"CAST(coalesce(json_agg(json_build_array({one}, {other})), '[]') AS text)"

    def same(self, one: str, other: str) -> str:
        return f"{one} IS NOT DISTINCT FROM {other}"

    def flag(self, image: str, field: str) -> str:
        return f"CAST(CAST({_field(image, field)} AS boolean) AS integer)"

    def items(self, image: str, field: str) -> str:
        return f"json_array_elements_text({_part(image, field)}) AS item (value)"

    def facts(self, image: str, field: str) -> str:
        return f"""(
            SELECT key, json_typeof(value) = 'null' AS is_null,
                CASE json_typeof(value) WHEN 'boolean' THEN {_FLAG} END AS flag,
                CASE json_typeof(value) WHEN 'string' THEN {_OWN_TEXT} WHEN 'object' THEN value ->> 'uri' END
                    COLLATE "C" AS text,
                CASE json_typeof(value) WHEN 'number' THEN CAST({_OWN_TEXT} AS numeric)
                    WHEN 'object' THEN CAST(value ->> 'integer' AS numeric) END AS number
            FROM json_each({_part(image, field)})
        ) AS fact"""

    def fact_sort(self, image: str, field: str, key: str) -> str:
        # The key that the fact has in its index, since numbers and texts are in one column.
        text = f"'t' || left({{}}, {MAX_TEXT})"
        return f"""(SELECT CASE json_typeof(value)
            WHEN 'number' THEN {_number_key(_OWN_TEXT)}
            WHEN 'boolean' THEN {_number_key(_FLAG)}
            WHEN 'string' THEN {text.format(_OWN_TEXT)}
            WHEN 'object' THEN coalesce(
                {_number_key("value ->> 'time'")}, {_whole_key("value ->> 'integer'")},
                {text.format("(value ->> 'uri')")}
            ) END COLLATE "C"
        FROM json_each({_part(image, field)}) WHERE key = {key})"""

    def fact_index_key(self, value: str | float) -> str:
        return str(value)

    def compare(self, number: str, sign: str, value: str) -> str:
        # By its text, since a cast of a float rounds it.
        return f"{number} {sign} CAST(CAST({value} AS text) AS numeric)"

    def contains(self, text: str, part: str) -> str:
        return f"strpos({text}, {part}) > 0"

    def matches(self, text: str, pattern: str, *, negated: bool = False) -> str:
        return f"{text} {'NOT ' if negated else ''}LIKE {pattern}"

    def pattern(self, wildcard: str) -> str:
        return "".join(f"\\{char}" if char in "\\%_" else char for char in wildcard).replace("*", "%")


def _number_key(number: str) -> str:
    """Return the term for the key of a number in the index of facts: see `index_keys`."""
    value = f"(CAST({number} AS double precision) + 0.0)"
    bits = f"CAST('x' || encode(float8send({value}), 'hex') AS bit(64))"
    changed = f"{bits} # CAST(CASE WHEN {value} < 0 THEN -1 ELSE {1 - 2**63} - 1 END AS bit(64))"
    return f"'n' || lpad(to_hex(CAST({changed} AS bigint)), 16, '0')"


def _whole_key(number: str) -> str:
    """Return the term for the key of a whole number of 64 bits: of the float below it, and what it has more."""
    steps = " ".join(f"WHEN abs(whole) < {2 ** (53 + power)} THEN {2**power}" for power in range(11))
    return f"""(
        SELECT {_number_key("base")}
            || CASE WHEN whole = base THEN '' ELSE lpad(to_hex(CAST(whole - base AS bigint)), 3, '0') END
        FROM (SELECT whole, floor(whole / step) * step AS base FROM (
            SELECT whole, CASE {steps} END AS step FROM (SELECT CAST({number} AS numeric) AS whole) AS given
        ) AS stepped) AS based
    )"""


def _part(image: str, field: str) -> str:
    return f"CAST({image} AS json) #> '{{{field.replace('.', ',')}}}'"


def _field(image: str, field: str) -> str:
    if "." in field:
        return f"CAST({image} AS json) #>> '{{{field.replace('.', ',')}}}'"
    return f"CAST({image} AS json) ->> '{field}'"


DIALECT = PostgresDialect()
