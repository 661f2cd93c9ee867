"""The words of SQLite.

CROSS JOIN keeps the order of the tables: from the wanted keys to what is found. Without it, the planner of a small
file scans whole tables, and still does when they have grown.
"""

from __future__ import annotations

from tallymark_server.storage.sql.dialect import Dialect, Type
from tallymark_server.storage.sqlite.event_integrity import WHOLE_IMAGE, whole


class SqliteDialect(Dialect):
    """Statements as SQLite reads them, with the functions of `event_integrity`."""

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

    def lists(self, image: str, field: str, value: str) -> str:
        return f"EXISTS (SELECT 1 FROM json_each({image}, '$.{field}') AS held WHERE held.value = {value})"

    def without(self, image: str, *fields: str) -> str:
        paths = ", ".join(f"'$.{field}'" for field in fields)
        return f"json_remove({image}, {paths})"

    def object_of(self, key: str, value: str) -> str:
        return f"json_group_object({key}, {value})"

    def greatest(self, one: str, other: str) -> str:
        return f"max({one}, {other})"

    def one_of(self, column: str, values: str) -> str:
        return f"{column} IN (SELECT value FROM json_each({values}))"


DIALECT = SqliteDialect()
