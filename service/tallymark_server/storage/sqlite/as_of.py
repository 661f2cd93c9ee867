"""Models and versions as they were at a revision, each found by a few steps through indexes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from tallymark_server.domain.model import Model, ModelVersion, Stage
from tallymark_server.domain.reference import By, Reference
from tallymark_server.storage.codec import decode_model, decode_version
from tallymark_server.storage.log.event_rows import BESIDE_VERSIONS, OF_MODELS
from tallymark_server.storage.sqlite.event_integrity import WHOLE
from tallymark_server.storage.sqlite.rows import listed, one_of

REVISION_AT = "SELECT time FROM events WHERE project = ? AND revision = ?"
MODEL_AT = f"""
SELECT {WHOLE} FROM events INDEXED BY changes_of_models
WHERE project = ? AND model = ? AND revision <= ? AND {one_of("kind", OF_MODELS)}
ORDER BY revision DESC LIMIT 1
"""
PURGED_SINCE = f"""
SELECT 1 FROM events INDEXED BY changes_of_models
WHERE project = ? AND model = ? AND revision > ? AND {one_of("kind", OF_MODELS)} AND kind = 'model_purged' LIMIT 1
"""
# A name may have belonged to a model that is called otherwise since, and was another's before.
MODEL_NOW = "SELECT id FROM models WHERE project = ? AND name = ?"
MODELS_RENAMED = """
SELECT DISTINCT model FROM events INDEXED BY model_renames
WHERE project = ? AND previous_name = ? AND kind = 'model_renamed'
"""
RENAMED_SINCE = "SELECT 1 FROM events WHERE project = ? AND revision > ? AND kind = 'model_renamed' LIMIT 1"
LAST_NUMBER = "SELECT last_number FROM models WHERE project = ? AND id = ?"
FIRST_CHANGE = """
SELECT revision FROM events INDEXED BY events_of_versions
WHERE project = ? AND model = ? AND number = ? AND kind = 'version_created'
ORDER BY revision LIMIT 1
"""
VERSION_AT = f"""
SELECT {WHOLE} FROM events
WHERE project = ? AND model = ? AND number = ? AND revision <= ? AND kind NOT IN ({listed(BESIDE_VERSIONS)})
ORDER BY revision DESC LIMIT 1
"""
PURGED = "SELECT 1 FROM versions WHERE project = ? AND model = ? AND number = ? AND deleted < 2"
# A version that is deleted, and has not been changed since, was deleted then, and is skipped without reading the log.
MAY_HAVE_BEEN_LATEST = """
SELECT number FROM versions
WHERE project = ? AND model = ? AND number <= ? AND deleted < 2 AND (deleted = 0 OR revision > ?) ORDER BY number DESC
"""
STAGE_ENTERED = """
SELECT number FROM events
WHERE project = ? AND model = ? AND json_extract(image, '$.stage') = ? AND revision <= ? AND kind = 'stage_changed'
ORDER BY revision DESC LIMIT 1
"""
ALIAS_SET = """
SELECT number FROM events WHERE project = ? AND model = ? AND alias = ? AND revision <= ? AND kind = 'alias_set'
ORDER BY revision DESC LIMIT 1
"""
NAMED_NOW = "SELECT number FROM versions WHERE project = ? AND model = ? AND name = ?"
VERSIONS_RENAMED = """
SELECT DISTINCT number FROM events INDEXED BY version_renames
WHERE project = ? AND model = ? AND previous_name = ? AND kind = 'version_renamed'
"""


class Past:
    """One project as it was at a revision."""

    def __init__(self, connection: sqlite3.Connection, project: int, at: int) -> None:
        self._connection = connection
        self._project = project
        self._at = at

    def model(self, name: str) -> Model | None:
        """Return the model that had the name."""
        found = [*self._rows(MODEL_NOW, name), *self._rows(MODELS_RENAMED, name)]
        for (model_id,) in dict.fromkeys(found):
            for (image,) in self._rows(MODEL_AT, model_id, self._at):
                model = decode_model(image, 0)
                if model.name == name and not model.purged and not self._rows(PURGED_SINCE, model_id, self._at):
                    return replace(model, last_number=last_number(self._connection, self._project, model_id, self._at))
        return None

    def version(self, model: Model, reference: Reference) -> ModelVersion | None:
        """Return the version of the model that the reference meant."""
        value = reference.value
        match reference.by:
            case By.NUMBER:
                return self._version(model, int(value))
            case By.LATEST:
                return self._latest(model)
            case By.STAGE:
                found = self._rows(STAGE_ENTERED, model.id, value, self._at)
                return self._of(model, found, lambda version: version.stage is Stage(str(value)))
            case By.ALIAS:
                found = self._rows(ALIAS_SET, model.id, value, self._at)
                return self._of(model, found, lambda version: str(value) in version.aliases)
            case By.NAME:
                found = [*self._rows(NAMED_NOW, model.id, value), *self._rows(VERSIONS_RENAMED, model.id, value)]
                return self._of(model, found, lambda version: version.name == value)

    def _of(
        self, model: Model, numbers: list[tuple[int]], holds: Callable[[ModelVersion], bool]
    ) -> ModelVersion | None:
        for (number,) in numbers:
            version = self._version(model, number)
            if version is not None and holds(version):
                return version
        return None

    def _version(self, model: Model, number: int) -> ModelVersion | None:
        for (image,) in self._rows(VERSION_AT, model.id, number, self._at):
            if self._rows(PURGED, model.id, number):
                return decode_version(image, model.name)
        return None

    def _latest(self, model: Model) -> ModelVersion | None:
        given = (self._project, model.id, model.last_number, self._at)
        for (number,) in self._connection.execute(MAY_HAVE_BEEN_LATEST, given):
            version = self._version(model, number)
            if version is not None and version.delete_time is None:
                return version
        return None

    def _rows(self, sql: str, *values: object) -> list[tuple[Any]]:
        return self._connection.execute(sql, (self._project, *values)).fetchall()


def last_number(connection: sqlite3.Connection, project: int, model: int, at: int) -> int:
    """Return the highest number by then, by binary search: numbers are assigned in the order of revisions."""
    (highest,) = connection.execute(LAST_NUMBER, (project, model)).fetchone()
    lowest = 0
    while lowest < highest:
        middle = (lowest + highest + 1) // 2
        made = connection.execute(FIRST_CHANGE, (project, model, middle)).fetchone()
        lowest, highest = (middle, highest) if made and made[0] <= at else (lowest, middle - 1)
    return int(lowest)


def revision_at(connection: sqlite3.Connection, project: int, newest: int, time: int) -> int:
    """Return the last revision at or before the time, 0 if there is none: times never decrease along the log."""
    lowest, highest = 0, newest
    while lowest < highest:
        middle = (lowest + highest + 1) // 2
        (found,) = connection.execute(REVISION_AT, (project, middle)).fetchone()
        lowest, highest = (middle, highest) if found <= time else (lowest, middle - 1)
    return lowest
