"""The questions: each one statement on the read-only connection."""

from __future__ import annotations

import json
import sqlite3

from tallymark_server.domain.conditions import Condition
from tallymark_server.domain.errors import ProjectNotFound
from tallymark_server.domain.events import Event
from tallymark_server.domain.model import Model, ModelVersion, Run
from tallymark_server.domain.reference import Reference
from tallymark_server.storage.codec import decode_model, decode_run, decode_version
from tallymark_server.storage.contract import Head
from tallymark_server.storage.sqlite.conditions import MODEL_COLUMNS, VERSION_COLUMNS, where
from tallymark_server.storage.sqlite.loading import RENAMED, pointed
from tallymark_server.storage.sqlite.rows import EVENT, event_of

HEAD = "SELECT id, log_id, revision FROM projects WHERE name = ?"
_MODEL = """
SELECT events.image, models.last_number FROM models
JOIN events ON events.project = models.project AND events.revision = models.revision
WHERE models.project = ? AND models.name
"""
MODEL_OF_NAME = f"{_MODEL} = ?"
# {} is the condition of a filter.
MODELS_AFTER = f"{_MODEL} > ? AND models.deleted <= ? AND ({{}}) ORDER BY models.name LIMIT ?"
VERSIONS_BELOW = """
SELECT events.image, models.name FROM models
JOIN versions ON versions.project = models.project AND versions.model = models.id
JOIN events ON events.project = versions.project AND events.revision = versions.revision
WHERE models.project = ? AND models.name = ? AND models.deleted <= ? AND versions.number < ? AND versions.deleted <= ?
    AND ({})
ORDER BY versions.number DESC LIMIT ?
"""
_RUN = """
SELECT events.image, models.name FROM runs
JOIN events ON events.project = runs.project AND events.revision = runs.revision
LEFT JOIN models ON models.project = runs.project AND models.id = events.model
WHERE runs.project = ?
"""
RUN_OF_ID = f"{_RUN} AND runs.id = ?"
RUNS_BELOW = f"{_RUN} AND runs.start_revision < ? ORDER BY runs.start_revision DESC LIMIT ?"
EVENTS_AFTER = f"""
SELECT {EVENT} FROM events LEFT JOIN models ON models.project = events.project AND models.id = events.model
WHERE events.project = ? AND events.revision > ? ORDER BY events.revision LIMIT ?
"""


class Reading:
    """The questions to one file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ids: dict[str, int] = {}

    def head(self, project: str) -> Head:
        """Where the project's log stands."""
        row = self._connection.execute(HEAD, (project,)).fetchone()
        if row is None:
            raise ProjectNotFound(project)
        self._ids[project] = row[0]
        return Head(row[1], row[2])

    def model(self, project: str, name: str) -> Model | None:
        """The model of that name."""
        row = self._connection.execute(MODEL_OF_NAME, (self._id(project), name)).fetchone()
        return None if row is None else decode_model(*row)

    def renamed(self, project: str, old_name: str) -> str | None:
        """What a model that was called so is called now."""
        given = {"project": self._id(project), "asked": json.dumps([old_name])}
        row = self._connection.execute(RENAMED, given).fetchone()
        return None if row is None else str(row[1])

    def models(
        self, project: str, after: str, limit: int, *, deleted: bool, condition: Condition | None
    ) -> list[Model]:
        """Models by name, after that name."""
        sql, parameters = where(condition, MODEL_COLUMNS)
        given = (self._id(project), after, int(deleted), *parameters, limit)
        rows = self._connection.execute(MODELS_AFTER.format(sql), given)
        return [decode_model(*row) for row in rows]

    def version(self, project: str, model: str, reference: Reference, *, of_deleted: bool) -> ModelVersion | None:
        """The version that the reference means."""
        return pointed(self._connection, self._id(project), model, reference, of_deleted=of_deleted)

    def versions(
        self, project: str, model: str, before: int, limit: int, *, deleted: bool, condition: Condition | None
    ) -> list[ModelVersion]:
        """Versions of the model from the highest number down, below that number."""
        sql, parameters = where(condition, VERSION_COLUMNS)
        given = (self._id(project), model, int(deleted), before, int(deleted), *parameters, limit)
        rows = self._connection.execute(VERSIONS_BELOW.format(sql), given)
        return [decode_version(*row) for row in rows]

    def run(self, project: str, run_id: str) -> Run | None:
        """The run of that id."""
        row = self._connection.execute(RUN_OF_ID, (self._id(project), run_id)).fetchone()
        return None if row is None else decode_run(*row)

    def runs(self, project: str, before: int, limit: int) -> list[Run]:
        """Runs from the last started back, started before that revision."""
        rows = self._connection.execute(RUNS_BELOW, (self._id(project), before, limit))
        return [decode_run(*row) for row in rows]

    def events(self, project: str, after: int, limit: int) -> list[Event]:
        """Events after that revision, in order."""
        rows = self._connection.execute(EVENTS_AFTER, (self._id(project), after, limit))
        return [event_of(row) for row in rows]

    def _id(self, project: str) -> int:
        # Projects are made when the file is opened, and never go away.
        if project not in self._ids:
            self.head(project)
        return self._ids[project]
