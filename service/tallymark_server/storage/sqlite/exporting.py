"""Tells logs as lines, while a server writes to them or not."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.sqlite import lines
from tallymark_server.storage.sqlite.appending import chained
from tallymark_server.storage.sqlite.offline import found

_PROJECTS = "SELECT id, name, log_id, revision FROM projects ORDER BY name"
_EVENTS = f"SELECT {', '.join(lines.COLUMNS)} FROM events WHERE project = ? AND revision <= ? ORDER BY revision"
_RECEIPTS = """
SELECT request_id, fingerprint, first_revision, last_revision FROM receipts WHERE project = ? AND last_revision <= ?
ORDER BY last_revision, request_id
"""


class CannotExportError(Exception):
    """What is asked for cannot be exported; the message says why."""


@dataclass(frozen=True, slots=True)
class _Project:
    id: int
    name: str
    log_id: str
    revision: int


@dataclass(frozen=True, slots=True)
class Export:
    """The lines of an export, and how many events they will tell."""

    events: int
    lines: Iterator[bytes]


@contextmanager
def exported(path: Path, project: str | None, at: int | None) -> Iterator[Export]:
    """All logs of a file, or a project's, up to a revision or as they are; CannotOpenError, CannotExportError."""
    with found(path) as connection:
        projects = [_Project(*row) for row in connection.execute(_PROJECTS)]
        if project is not None:
            projects = [known for known in projects if known.name == project]
        if not projects:
            raise CannotExportError(f"there is no project {project} in {path}")
        if at is not None:
            projects = [_at(projects, at)]
        yield Export(sum(known.revision for known in projects), _lines(connection, path, projects))


def _at(projects: list[_Project], at: int) -> _Project:
    if len(projects) > 1:
        raise CannotExportError("each project has revisions of its own: name one with --project")
    (known,) = projects
    if at > known.revision:
        raise CannotExportError(f"revision {at} is not yet there: project {known.name} is at {known.revision}")
    return _Project(known.id, known.name, known.log_id, at)


def _lines(connection: sqlite3.Connection, path: Path, projects: list[_Project]) -> Iterator[bytes]:
    digest, count = hashlib.sha256(), 0
    for project in projects:
        for line in _project(connection, path, project):
            digest.update(line)
            count += 1
            yield line
    yield lines.end_line(count, digest.hexdigest())


def _project(connection: sqlite3.Connection, path: Path, project: _Project) -> Iterator[bytes]:
    yield lines.project_line(project.name, project.log_id, project.revision)
    receipts = connection.execute(_RECEIPTS, (project.id, project.revision))
    receipt = receipts.fetchone()
    revision, last_hash = 0, b""
    for row in connection.execute(_EVENTS, (project.id, project.revision)):
        revision += 1
        last_hash = chained(last_hash, project.log_id, row[:-1])
        if (row[0], row[-1]) != (revision, last_hash):
            # What is told must be what can be read again.
            raise CannotOpenError(f"the log of {path} is broken at revision {revision}; ask `tallymark verify` for all")
        yield lines.event_line(row)
        while receipt is not None and receipt[3] == revision:
            yield lines.receipt_line(*receipt)
            receipt = receipts.fetchone()
    if revision != project.revision or receipt is not None:
        raise CannotOpenError(f"the log of {path} is broken after revision {revision}; ask `tallymark verify` for all")
