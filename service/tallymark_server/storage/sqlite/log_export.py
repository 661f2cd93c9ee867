"""Writes logs as lines, while a server writes to them or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tallymark_server.domain.errors import ErasedSince
from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.immediate import run_immediately
from tallymark_server.storage.log.exporter import BrokenLogError, ExportDigest, LogExporter
from tallymark_server.storage.sql.as_of import revision_of_time
from tallymark_server.storage.sql.erasures import erased_since
from tallymark_server.storage.sql.log_columns import RECEIPT_COLUMNS, exported_columns
from tallymark_server.storage.sqlite.dialect import DIALECT
from tallymark_server.storage.sqlite.offline_access import found
from tallymark_server.storage.sqlite.session import SqliteSession

_PROJECTS = "SELECT id, name, log_id, revision FROM projects ORDER BY name"
_EVENTS = f"SELECT {exported_columns(DIALECT)} FROM events WHERE project = ? AND revision <= ? ORDER BY revision"
_RECEIPTS = f"""
SELECT {RECEIPT_COLUMNS} FROM receipts WHERE project = ? AND last_revision <= ?
ORDER BY last_revision, request_id
"""


class CannotExportError(Exception):
    """Raised when the requested logs cannot be exported; the message says why."""


@dataclass(frozen=True, slots=True)
class _Project:
    id: int
    name: str
    log_id: str
    revision: int

    def until(self, revision: int) -> _Project:
        """Return the project as if its log ended there."""
        return _Project(self.id, self.name, self.log_id, revision)


@dataclass(frozen=True, slots=True)
class Export:
    """The lines of an export, and the number of events that they will have."""

    events: int
    lines: Iterator[bytes]


@contextmanager
def exported(path: Path, project: str | None, at: int | datetime | None) -> Iterator[Export]:
    """Yield all logs of a file, or a project's, up to a revision, up to a time, or as they are.

    Raises CannotOpenError and CannotExportError.
    """
    with found(path) as connection:
        projects = [_Project(*row) for row in connection.execute(_PROJECTS)]
        if not projects:
            raise CannotExportError(f"{path} has no project to export; name another file with --db")
        if project is not None:
            there = ", ".join(known.name for known in projects)
            projects = [known for known in projects if known.name == project]
            if not projects:
                raise CannotExportError(f"there is no project {project} in {path}; there are: {there}")
        if isinstance(at, datetime):
            micros = round(at.timestamp() * 1_000_000)
            session = SqliteSession(connection)
            projects = [known.until(run_immediately(revision_of_time(session, known.id, micros))) for known in projects]
        elif at is not None:
            projects = [_at(projects, at)]
        for known in projects:
            _check_erased(connection, known)
        yield Export(sum(known.revision for known in projects), _lines(connection, path, projects))


def _at(projects: list[_Project], at: int) -> _Project:
    if len(projects) > 1:
        raise CannotExportError("each project has revisions of its own: name one with --project")
    (known,) = projects
    if at > known.revision:
        raise CannotExportError(f"revision {at} is not yet there: project {known.name} is at {known.revision}")
    return known.until(at)


def _check_erased(connection: sqlite3.Connection, project: _Project) -> None:
    since = erased_since(project=project.id, at=project.revision)
    ((erased_at,),) = connection.execute(since.text(DIALECT), since.parameters)
    if erased_at is not None:
        raise CannotExportError(str(ErasedSince(project.name, project.revision, erased_at)))


def _lines(connection: sqlite3.Connection, path: Path, projects: list[_Project]) -> Iterator[bytes]:
    digest = ExportDigest()
    try:
        for project in projects:
            for line in _project(connection, project):
                yield digest.add(line)
    except BrokenLogError as error:
        # What is exported must be what can be imported again.
        raise CannotOpenError(f"the log of {path} is broken {error}; ask `tallymark verify` for all") from None
    yield digest.end_line()


def _project(connection: sqlite3.Connection, project: _Project) -> Iterator[bytes]:
    exporter = LogExporter(project.name, project.log_id, project.revision)
    yield exporter.begin()
    bound = (project.id, project.revision)
    yield from exporter.lines_for(connection.execute(_EVENTS, bound), connection.execute(_RECEIPTS, bound))
    exporter.end()
