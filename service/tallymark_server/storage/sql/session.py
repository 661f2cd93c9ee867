"""One transaction, as every relational engine can read and change its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tallymark_server.storage.sql.dialect import Dialect
from tallymark_server.storage.sql.statement import Select
from tallymark_server.storage.sql.tables import Table

Row = tuple[Any, ...]
Rows = Sequence[Sequence[object]]


class ReadSession(Protocol):
    """What one committed state, or one transaction, has in its tables."""

    @property
    def dialect(self) -> Dialect:
        """The words in which the engine reads statements."""
        ...

    @property
    def eager(self) -> bool:
        """Whether a statement that may be needed is cheaper than to wait for another answer: true over a network."""
        ...

    async def fetch(self, *selects: Select) -> list[list[Row]]:
        """Return the rows of each statement. An engine over a network sends all of them in one round trip."""
        ...

    async def fetch_page(self, select: Select, limit: int, image: int) -> tuple[list[Row], bool]:
        """Return as many rows as fit into a page, and whether there are more.

        These are `limit` rows at most, and so many that the texts in the column `image` have `MAX_PAGE_SIZE` bytes;
        one row at least. The statement itself returns one row more than `limit` at most. Rows that do not fit are not
        read, since they may be large.
        """
        ...


class Session(ReadSession, Protocol):
    """The tables of one transaction. Columns are named by constants of the program, and values are bound.

    Changes take effect in their order, also for what is fetched later. An engine over a network may send them together;
    only `patch_if_found` and `add_project` have to wait for an answer.
    """

    async def execute(self, change: Select) -> None:
        """Execute a statement that changes tables."""
        ...

    async def add_project(self, name: str, log_id: str) -> int:
        """Add a project that does not exist, with an empty log, and return its id."""
        ...

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
