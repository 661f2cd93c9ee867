"""The log of a project, read out of the tables of PostgreSQL: each line proves the one before it."""

from __future__ import annotations

import psycopg
from consistency.expected import Log

from tallymark_server.storage.log.exporter import LogExporter
from tallymark_server.storage.log.lines import COLUMNS

_EVENTS = f"SELECT {', '.join(COLUMNS)}, salt, digest, hash, NULL FROM events WHERE project = %s ORDER BY revision"
_RECEIPTS = """
SELECT request_id, fingerprint, first_revision, last_revision FROM receipts WHERE project = %s ORDER BY last_revision
"""


def log_of(url: str, project: str = "default") -> Log:
    """Return the whole log, in which nothing was erased. Raises BrokenLogError if its chain of hashes is broken."""
    with psycopg.connect(f"{url}?target_session_attrs=read-write") as connection:
        found = connection.execute("SELECT id, log_id, revision FROM projects WHERE name = %s", (project,)).fetchone()
        assert found is not None, "the project exists"
        place, log_id, revision = found
        exporter = LogExporter(project, log_id, revision)
        events = connection.execute(_EVENTS.encode(), (place,)).fetchall()
        receipts = connection.execute(_RECEIPTS.encode(), (place,)).fetchall()
    lines = [exporter.begin(), *exporter.lines_for(events, receipts)]
    exporter.end()
    return Log(lines)
