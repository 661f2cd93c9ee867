"""One transaction: changes wait, and are sent together with the next question or the commit."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from tallymark_server.storage.postgres import changes
from tallymark_server.storage.postgres.dialect import DIALECT
from tallymark_server.storage.postgres.exchange import BEGIN, COMMIT, Answer, Call, Exchange, placed
from tallymark_server.storage.sql.dialect import Dialect
from tallymark_server.storage.sql.pages import MAX_PAGE_SIZE, cut, size_of
from tallymark_server.storage.sql.session import Row, Rows, Session
from tallymark_server.storage.sql.statement import Select
from tallymark_server.storage.sql.tables import PROJECTS, Table

# How many rows are read at a time, since some may be large, and more than a page holds.
FETCHED = 64
_FETCH = Call(b"FETCH FORWARD %d FROM page" % FETCHED)
# Ids are random, so that servers need not agree on them; other engines and readers of JSON hold them exactly.
_MAX_ID = 1 << 53


def new_id() -> int:
    """Return the id of a new project."""
    return 1 + secrets.randbelow(_MAX_ID - 1)


class PostgresSession(Session):
    """The tables in a transaction of this connection, which begins with the first statement."""

    def __init__(self, exchange: Exchange, begin: Sequence[Call] = (BEGIN,)) -> None:
        self._exchange = exchange
        self._waiting = list(begin)
        self._begun = False

    @property
    def eager(self) -> bool:
        return True

    @property
    def dialect(self) -> Dialect:
        return DIALECT

    def add(self, call: Call) -> None:
        """Send the statement with the next ones."""
        self._waiting.append(call)

    async def ask(self, *calls: Call) -> list[Answer]:
        """Send what waits and these statements, and return the answers to these."""
        sent, self._waiting = [*self._waiting, *calls], []
        self._begun = True
        answers = await self._exchange(sent)
        return answers[len(answers) - len(calls) :]

    async def commit(self) -> None:
        """Commit. Nothing is sent if nothing was read or changed."""
        if self._begun or len(self._waiting) > 1:
            await self.ask(COMMIT)

    async def fetch(self, *selects: Select) -> list[list[Row]]:
        return [answer.rows for answer in await self.ask(*map(_call, selects))] if selects else []

    async def fetch_page(self, select: Select, limit: int, image: int) -> tuple[list[Row], bool]:
        if limit < FETCHED:
            (rows,) = await self.fetch(select)
            return cut(rows, limit, image)
        sql, parameters = _call(select)
        rows, size, chunk = [], 0, [Call(b"DECLARE page NO SCROLL CURSOR FOR " + sql, parameters)]
        while len(rows) <= limit and size <= MAX_PAGE_SIZE:
            *_, found = await self.ask(*chunk, _FETCH)
            rows += found.rows
            size += sum(size_of(row[image]) for row in found.rows)
            if len(found.rows) < FETCHED:
                break
            chunk = []
        self.add(Call(b"CLOSE page"))
        return cut(rows, limit, image)

    async def execute(self, change: Select) -> None:
        self.add(_call(change))

    async def add_project(self, name: str, log_id: str) -> int:
        project = new_id()
        await self.insert(PROJECTS, [(project, name, log_id, 0, 0, 0, b"")])
        return project

    async def insert(self, table: Table, rows: Rows) -> None:
        if rows:
            self.add(changes.insert(table, rows))

    async def upsert(self, table: Table, rows: Rows) -> None:
        if rows:
            self.add(changes.upsert(table, rows))

    async def patch(self, table: Table, changed: tuple[str, ...], where: tuple[str, ...], rows: Rows) -> None:
        if rows:
            self.add(changes.patch(table, changed, where, rows))

    async def patch_if_found(
        self, table: Table, changed: tuple[str, ...], where: tuple[str, ...], row: Sequence[object]
    ) -> bool:
        (answer,) = await self.ask(changes.patch(table, changed, where, [row]))
        return answer.found > 0

    async def remove(self, table: Table, where: tuple[str, ...], rows: Rows) -> None:
        if rows:
            self.add(changes.remove(table, where, rows))

    async def copy(self, source: Table, target: Table, added: str, where: tuple[str, ...], rows: Rows) -> None:
        if rows:
            self.add(changes.copy(source, target, added, where, rows))


def _call(select: Select) -> Call:
    sql, names = placed(select.text(DIALECT))
    return Call(sql, [select.parameters[name] for name in names])
