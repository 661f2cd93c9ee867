"""The transaction of one write: it holds the row of its project from before the first read until the commit."""

from __future__ import annotations

from collections.abc import Sequence

from tallymark_server.domain.commands import Erasing, Keys
from tallymark_server.domain.events import Event
from tallymark_server.domain.model import Erasure
from tallymark_server.domain.state import Receipt, State
from tallymark_server.storage.contract import Writing
from tallymark_server.storage.postgres.exchange import Call
from tallymark_server.storage.postgres.session import PostgresSession
from tallymark_server.storage.sql.batch_append import append
from tallymark_server.storage.sql.erase import look, overwrite
from tallymark_server.storage.sql.state_loader import Log, load

_NO_REWRITTEN = b"DROP TABLE IF EXISTS pg_temp.rewritten"
_REWRITTEN = b"""
CREATE TEMP TABLE rewritten (
    revision bigint PRIMARY KEY, actor text, reason text, previous_name text, image text, salt bytea, digest bytea
) ON COMMIT DROP
"""
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
        self._erasing: Erasing | None = None
        self.grown: set[str] = set()

    async def load(self, project: str, keys: Keys, *, most: int | None = None) -> State:
        if project not in self._logs:
            self._session.add(Call(_LOCK, (project,)))
        log, state = await load(self._session, project, keys, most, project_id=self._ids.get(project))
        self._logs[project], self._erasing = log, keys.erasing
        if log.project is not None:
            self._ids[project] = log.project
            if keys.erasing is not None:
                self._session.add(Call(_NO_REWRITTEN))
                self._session.add(Call(_REWRITTEN))
                await look(self._session, log.project, state, keys.erasing)
        return state

    async def append(self, state: State, events: Sequence[Event], receipts: Sequence[tuple[str, Receipt]]) -> None:
        log, erasing = self._logs[state.project], self._erasing
        await append(self._session, log, state, events, receipts)
        for event in events if erasing is not None else ():
            if isinstance(event.image, Erasure) and log.project is not None and erasing is not None:
                await overwrite(self._session, log.project, event.image, erasing.paths)
        if events:
            self.grown.add(state.project)
