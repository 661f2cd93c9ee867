"""The transaction of one write: it holds the row of its project from before the first read until the commit."""

from __future__ import annotations

from collections.abc import Sequence

from tallymark_server.domain.commands import Keys
from tallymark_server.domain.events import Event
from tallymark_server.domain.state import Receipt, State
from tallymark_server.storage.contract import Writing
from tallymark_server.storage.postgres.exchange import Call
from tallymark_server.storage.postgres.session import PostgresSession
from tallymark_server.storage.sql.batch_append import append
from tallymark_server.storage.sql.state_loader import Log, load

# A statement of its own, before all reads: one that waits for a lock reads everything but the locked row as it was
# before the wait.
_LOCK = b"SELECT 1 FROM projects WHERE name = $1 FOR UPDATE"


class Transaction(Writing):
    """The open transaction of a session. `grown` has the projects to whose logs it adds.

    Args:
        session: where the transaction begins with the first load
        ids: the ids of projects by their names, which never change
    """

    def __init__(self, session: PostgresSession, ids: dict[str, int]) -> None:
        self._session = session
        self._ids = ids
        self._logs: dict[str, Log] = {}
        self.grown: set[str] = set()

    async def load(self, project: str, keys: Keys, *, most: int | None = None) -> State:
        if project not in self._logs:
            self._session.add(Call(_LOCK, (project,)))
        log, state = await load(self._session, project, keys, most, project_id=self._ids.get(project))
        self._logs[project] = log
        if log.project is not None:
            self._ids[project] = log.project
        return state

    async def append(self, state: State, events: Sequence[Event], receipts: Sequence[tuple[str, Receipt]]) -> None:
        await append(self._session, self._logs[state.project], state, events, receipts)
        if events:
            self.grown.add(state.project)
