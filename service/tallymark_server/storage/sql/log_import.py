"""The tables into which logs are imported."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from tallymark_server.domain.events import Event
from tallymark_server.storage.contract import Problem
from tallymark_server.storage.log.chain import Row
from tallymark_server.storage.log.importer import ImportTarget, ProjectTarget
from tallymark_server.storage.log.seals import Seal
from tallymark_server.storage.sql.erasures import erasure_problems
from tallymark_server.storage.sql.reader import head_of_project
from tallymark_server.storage.sql.session import Session
from tallymark_server.storage.sql.tables import ERASURES, EVENTS, PROJECTS, RECEIPTS


class ImportedTables(ImportTarget):
    """The tables of a database into which projects are imported.

    Args:
        session: the one transaction of the import
        project_one: updates the tables of a project by its id to the state after an event; raises ImpossibleEventError
    """

    def __init__(self, session: Session, project_one: Callable[[int, Event], Awaitable[None]]) -> None:
        self._session = session
        self._project_one = project_one

    async def revision_of(self, project: str) -> int:
        """Return the revision of the project, 0 if it has no events or does not exist."""
        (rows,) = await self._session.fetch(head_of_project(name=project))
        return int(rows[0][2]) if rows else 0

    async def begin(self, project: str, log_id: str) -> ImportedProject:
        """Create the project with this log, or set the log of the one without events."""
        (rows,) = await self._session.fetch(head_of_project(name=project))
        if rows:
            project_id = int(rows[0][0])
            await self._session.patch(PROJECTS, ("log_id",), ("id",), [(log_id, project_id)])
        else:
            project_id = await self._session.add_project(project, log_id)
        return ImportedProject(self._session, project_id, project, self._project_one)


class ImportedProject(ProjectTarget):
    """The tables of a project that is imported."""

    def __init__(
        self, session: Session, project: int, name: str, project_one: Callable[[int, Event], Awaitable[None]]
    ) -> None:
        self._session = session
        self._id = project
        self._name = name
        self._project_one = project_one

    async def project_event(self, event: Event) -> None:
        """Update the tables to the state after the event. Raise ImpossibleEventError if they do not allow it."""
        await self._project_one(self._id, event)

    async def add_events(self, events: Sequence[tuple[Row, Seal]]) -> None:
        """Add events, with their erasures, to the log."""
        await self._session.insert(
            EVENTS, [(self._id, *row, seal.hash, seal.salt, seal.digest, seal.erased_at) for row, seal in events]
        )
        erasures = [(self._id, row.revision, *mark) for row, seal in events for mark in seal.marks]
        await self._session.insert(ERASURES, erasures)

    async def add_receipt(self, receipt: Sequence[object]) -> None:
        """Add a receipt, with the fields of `lines.RECEIPT`."""
        await self._session.insert(RECEIPTS, [(self._id, *receipt)])

    async def end(self, revision: int, time: int, last_model_id: int, last_hash: bytes) -> None:
        """Write where the log ends."""
        head = (revision, time, last_model_id, last_hash, self._id)
        await self._session.patch(PROJECTS, ("revision", "time", "last_model_id", "hash"), ("id",), [head])

    async def erasure_problems(self) -> list[Problem]:
        """Return every erasure that does not agree with the log."""
        return await erasure_problems(self._session, self._id, self._name)
