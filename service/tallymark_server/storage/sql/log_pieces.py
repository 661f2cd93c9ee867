"""An export piece by piece, each read when it is requested, for callers that may be slow and may leave.

Events up to a revision never change, and so each piece can be read from another state of the database. The export ends
when content is erased meanwhile.
"""

from __future__ import annotations

from tallymark_server.domain.errors import ErasedSince, ProjectNotFound
from tallymark_server.storage.log.exporter import ExportDigest, LogExporter
from tallymark_server.storage.log.lines import COLUMNS
from tallymark_server.storage.sql.dialect import Dialect
from tallymark_server.storage.sql.erasures import erased_since
from tallymark_server.storage.sql.log_columns import RECEIPT_COLUMNS, exported_columns
from tallymark_server.storage.sql.reader import head_of_project
from tallymark_server.storage.sql.session import ReadSession
from tallymark_server.storage.sql.statement import Select, Statement

# Few events to a piece, since a thread that reads them and the event loop take turns at the interpreter.
MAX_EVENTS = 200
_IMAGE = COLUMNS.index("image")
_BEFORE_ALL = -(2**63)


@Statement
def events_to_export(sql: Dialect) -> str:
    return f"""
    SELECT {exported_columns(sql)} FROM events WHERE project = :project AND revision > :after AND revision <= :at
    ORDER BY revision LIMIT :limit
    """


class LogPieces:
    """The lines of a project's log up to a revision, and how far they have come.

    Args:
        name: the name of the project
        at: the revision, which exists
        receipts: the table of the receipts, if they are copied to one with an index in the order of the log
    """

    def __init__(self, name: str, at: int, receipts: str = "receipts") -> None:
        self._name = name
        self._at = at
        self._receipts = receipts
        self._project = 0
        self._exporter = LogExporter(name, "", at)
        self._digest = ExportDigest()
        self._begun = self._ended = False

    @property
    def exported(self) -> int:
        """The last revision that has a line."""
        return self._exporter.exported

    async def next(self, session: ReadSession) -> bytes:
        """Return the next lines, none at the end. Raises ErasedSince, BrokenLogError and ProjectNotFound."""
        if self._ended:
            return b""
        lines = [] if self._begun else [await self._begin(session)]
        after = self.exported
        # Also when it was erased while the export was under way.
        (((erased_at,),),) = await session.fetch(erased_since(project=self._project, at=self._at))
        if erased_at is not None:
            raise ErasedSince(self._name, self._at, erased_at)
        select = events_to_export(project=self._project, after=after, at=self._at, limit=MAX_EVENTS + 1)
        events, _ = await session.fetch_page(select, MAX_EVENTS, _IMAGE)
        if not events and self._begun:
            self._exporter.end()
            self._ended = True
            return self._digest.end_line()
        # The first piece includes receipts of revisions below 1, so that they are found to be wrong.
        first = after if self._begun else _BEFORE_ALL
        (receipts,) = await session.fetch(self._receipts_of(first, after + len(events)))
        lines += self._exporter.lines_for(events, receipts)
        self._begun = True
        return b"".join(map(self._digest.add, lines))

    async def _begin(self, session: ReadSession) -> bytes:
        (rows,) = await session.fetch(head_of_project(name=self._name))
        if not rows:
            raise ProjectNotFound(self._name)
        ((self._project, log_id, _),) = rows
        self._exporter = LogExporter(self._name, log_id, self._at)
        return self._exporter.begin()

    def _receipts_of(self, after: int, until: int) -> Select:
        text = f"""
        SELECT {RECEIPT_COLUMNS} FROM {self._receipts}
        WHERE project = :project AND last_revision > :after AND last_revision <= :until
        ORDER BY last_revision, request_id
        """
        return Select.of(text, {"project": self._project, "after": after, "until": until})
