"""The words of PostgreSQL.

A lateral subquery with a LIMIT is searched for each row of the tables before it, by the keys in its condition: no
planner can turn the order round. An image is returned with its proof, as JSON, which no column has; `images` checks it.
"""

from __future__ import annotations

from tallymark_server.storage.log.chain import Row
from tallymark_server.storage.sql.dialect import Dialect, Type

_CONTENT = ("actor", "reason", "alias", "previous_name", "image")
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

    def lists(self, image: str, field: str, value: str) -> str:
        path = "{" + field.replace(".", ",") + "}"
        held = f"json_array_elements_text(CAST({image} AS json) #> '{path}') AS held (value)"
        return f"EXISTS (SELECT 1 FROM {held} WHERE held.value = {value})"

    def without(self, image: str, *fields: str) -> str:
        left_out = ", ".join(f"'{field}'" for field in fields)
        return f"json_build_object('image', {image}, 'without', json_build_array({left_out}))"

    def object_of(self, key: str, value: str) -> str:
        return f"CAST(coalesce(json_object_agg({key}, {value}), '{{}}') AS text)"

    def greatest(self, one: str, other: str) -> str:
        return f"greatest({one}, {other})"

    def one_of(self, column: str, values: str) -> str:
        return f"{column} = ANY (ARRAY(SELECT json_array_elements_text(CAST({values} AS json))))"


def _field(image: str, field: str) -> str:
    if "." in field:
        return f"CAST({image} AS json) #>> '{{{field.replace('.', ',')}}}'"
    return f"CAST({image} AS json) ->> '{field}'"


DIALECT = PostgresDialect()
