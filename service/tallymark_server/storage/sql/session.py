"""Changes to the tables of one transaction, as every relational engine can make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tallymark_server.storage.sql.tables import Table

Rows = Sequence[Sequence[object]]


class Session(Protocol):
    """The tables of one transaction. Columns are named by constants of the program, and values are bound.

    Changes take effect in their order. An engine over a network may send them together; only
    `patch_if_found` has to wait for an answer.
    """

    async def insert(self, table: Table, rows: Rows) -> None:
        """Insert rows that do not exist yet, with a value for each column."""
        ...

    async def upsert(self, table: Table, rows: Rows) -> None:
        """Insert rows with a value for each column, in place of those with the same key."""
        ...

    async def patch(self, table: Table, changed: tuple[str, ...], where: tuple[str, ...], rows: Rows) -> None:
        """Set the changed columns of the rows whose `where` columns have these values.

        Each of `rows` has the values of `changed`, and after them those of `where`.
        """
        ...

    async def patch_if_found(
        self, table: Table, changed: tuple[str, ...], where: tuple[str, ...], row: Sequence[object]
    ) -> bool:
        """Do as `patch`, and return whether there was such a row."""
        ...

    async def remove(self, table: Table, where: tuple[str, ...], rows: Rows) -> None:
        """Remove the rows whose `where` columns have the values of one of `rows`."""
        ...

    async def copy(self, source: Table, target: Table, added: str, where: tuple[str, ...], rows: Rows) -> None:
        """Insert into the target the rows of the source whose `where` columns have these values.

        The target has the columns of the source, and one more. Each of `rows` begins with the value of that one.
        """
        ...
