"""The words of SQLite.

CROSS JOIN keeps the order of the tables: from the wanted keys to what is found. Without it, the planner of a small
file scans whole tables, and still does when they have grown.
"""

from __future__ import annotations

from tallymark_server.storage.index_keys import MAX_TEXT, fact_key
from tallymark_server.storage.sql.dialect import Dialect, Type
from tallymark_server.storage.sqlite.event_integrity import WHOLE_IMAGE, whole


class SqliteDialect(Dialect):
    """Statements as SQLite reads them, with the functions of `event_integrity`.

    Args:
        log: the name of the database that has the log, such as that of an attached file that is verified
    """

    def __init__(self, log: str = "main") -> None:
        self._log = log

    def keys(self, name: str, /, **columns: Type) -> str:
        if len(columns) == 1:
            selected = f"value AS {next(iter(columns))}"
        else:
            selected = ", ".join(f"json_extract(value, '$[{place}]') AS {each}" for place, each in enumerate(columns))
        return f"(SELECT {selected} FROM json_each(:{name})) AS {name}"

    def join(self, table: str, on: str, *, index: str = "", left: bool = False, many: bool = False) -> str:  # noqa: ARG002 - SQLite needs no limit to find rows by an index
        return f"{'LEFT' if left else 'CROSS'} JOIN {self.indexed(table, index) if index else table} ON {on}"

    def indexed(self, table: str, index: str) -> str:
        return f"{table} INDEXED BY {index}"

    def whole(self, event: str) -> str:
        return whole(event)

    def whole_image(self) -> str:
        return WHOLE_IMAGE

    def text(self, image: str, field: str) -> str:
        return f"json_extract({image}, '$.{field}')"

    def integer(self, image: str, field: str) -> str:
        return f"json_extract({image}, '$.{field}')"

    def text_is(self, image: str, field: str, value: str) -> str:
        # The + lets a column be compared without its affinity, which the index of an expression has not.
        return f"json_extract({image}, '$.{field}') = +{value}"

    def without(self, image: str, *fields: str) -> str:
        paths = ", ".join(f"'$.{field}'" for field in fields)
        return f"json_remove({image}, {paths})"

    def object_of(self, key: str, value: str) -> str:
        return f"json_group_object({key}, {value})"

    def greatest(self, one: str, other: str) -> str:
        return f"max({one}, {other})"

    def log(self, table: str) -> str:
        return f"{self._log}.{table}"

    def hexadecimal(self, value: str) -> str:
        return f"lower(hex({value}))"

    def pairs_of(self, one: str, other: str) -> str:
        return f"json_group_array(json_array({one}, {other}))"

    def same(self, one: str, other: str) -> str:
        return f"{one} IS {other}"

    def flag(self, image: str, field: str) -> str:
        return f"json_extract({image}, '$.{field}')"

    def items(self, image: str, field: str) -> str:
        return f"json_each({image}, '$.{field}') AS item"

    def facts(self, image: str, field: str) -> str:
        return f"""(
            SELECT key, type = 'null' AS is_null, CASE WHEN type IN ('true', 'false') THEN value END AS flag,
                CASE type WHEN 'text' THEN value WHEN 'object' THEN json_extract(value, '$.uri') END AS text,
                CASE WHEN type IN ('integer', 'real') THEN value
                    WHEN type = 'object' THEN CAST(json_extract(value, '$.integer') AS INTEGER) END AS number
            FROM json_each({image}, '$.{field}')
        ) AS fact"""

    def fact_sort(self, image: str, field: str, key: str) -> str:
        return f"""(SELECT CASE type
            WHEN 'object' THEN coalesce(
                json_extract(value, '$.time'), CAST(json_extract(value, '$.integer') AS INTEGER),
                substr(json_extract(value, '$.uri'), 1, {MAX_TEXT})
            )
            WHEN 'array' THEN NULL WHEN 'text' THEN substr(value, 1, {MAX_TEXT}) ELSE value END
        FROM json_each({image}, '$.{field}') WHERE key = {key})"""

    def fact_index_key(self, value: str | float) -> str:
        return fact_key(value)

    def compare(self, number: str, sign: str, value: str) -> str:
        return f"{number} {sign} {value}"

    def contains(self, text: str, part: str) -> str:
        return f"instr({text}, {part}) > 0"

    def matches(self, text: str, pattern: str, *, negated: bool = False) -> str:
        return f"{text} {'NOT ' if negated else ''}GLOB {pattern}"

    def pattern(self, wildcard: str) -> str:
        return "".join(f"[{char}]" if char in "?[" else char for char in wildcard)


DIALECT = SqliteDialect()
