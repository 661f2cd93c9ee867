"""Resources as requests returned them at a revision, from the log alone, even if they were purged since."""

from __future__ import annotations

import sqlite3
from typing import Any

from msgspec.structs import replace

from tallymark_server.domain.model import Holders, Model, ModelVersion, Resource, Run
from tallymark_server.storage.codec import decode_run, decode_version
from tallymark_server.storage.log.event_rows import BESIDE_VERSIONS, event_of
from tallymark_server.storage.sqlite.as_of import last_number
from tallymark_server.storage.sqlite.event_integrity import WHOLE, whole
from tallymark_server.storage.sqlite.images import NAME_AS_OF, RUN_AS_OF
from tallymark_server.storage.sqlite.rows import EVENT, listed

# The image of a version; one before the model was created anew in its line belongs to another version.
_IMAGE = f"""
(SELECT {{image}} FROM events AS past INDEXED BY events_of_versions
    WHERE past.project = :project AND past.model = :model AND past.number = {{number}}
        AND past.revision BETWEEN :since AND :at AND past.kind NOT IN ({listed(BESIDE_VERSIONS)})
    ORDER BY past.revision DESC LIMIT 1)
"""
# The columns of an event, with the name that its model had then.
EVENT_THEN = EVENT.replace("models.name", NAME_AS_OF)
VERSION_THEN = f"SELECT {_IMAGE.format(image=whole('past'), number=':number')}"
RUN_THEN = f"""
SELECT {WHOLE}, {NAME_AS_OF} FROM runs
CROSS JOIN events ON events.project = runs.project AND events.revision = {RUN_AS_OF}
WHERE runs.project = :project AND runs.id = :run
"""
IMAGE_OF = f"SELECT {EVENT_THEN} FROM events WHERE events.project = :project AND events.revision = :revision"
LATEST_THEN = f"""
SELECT made.number FROM events AS made INDEXED BY events_of_versions
WHERE made.project = :project AND made.model = :model AND made.number <= :last
    AND made.revision BETWEEN :since AND :at AND made.kind = 'version_created'
    AND json_extract({_IMAGE.format(image="image", number="made.number")}, '$.delete_time') IS NULL
ORDER BY made.number DESC LIMIT 1
"""
_ENTERED = """
(SELECT number FROM events INDEXED BY stage_changes
    WHERE project = :project AND model = :model AND json_extract(image, '$.stage') = :stage
        AND revision BETWEEN :since AND :at AND kind = 'stage_changed'
    ORDER BY revision DESC LIMIT 1)
"""
IN_STAGE_THEN = f"""
SELECT entered.number FROM (SELECT {_ENTERED} AS number) AS entered
WHERE json_extract({_IMAGE.format(image="image", number="entered.number")}, '$.stage') = :stage
"""
_NEXT_ALIAS = """
(SELECT alias FROM events INDEXED BY alias_changes
    WHERE project = :project AND model = :model AND alias > {after} AND kind = 'alias_set' ORDER BY alias LIMIT 1)
"""
_POINTED_AT = """
(SELECT number FROM events INDEXED BY alias_changes
    WHERE project = :project AND model = :model AND alias = known.alias AND revision BETWEEN :since AND :at
        AND kind = 'alias_set'
    ORDER BY revision DESC LIMIT 1)
"""
ALIASES_THEN = f"""
WITH RECURSIVE known(alias) AS (
    SELECT {_NEXT_ALIAS.format(after="''")}
    UNION ALL
    SELECT {_NEXT_ALIAS.format(after="known.alias")} FROM known WHERE known.alias IS NOT NULL
), pointed AS (SELECT alias, {_POINTED_AT} AS number FROM known)
SELECT pointed.alias, pointed.number FROM pointed
WHERE EXISTS (
    SELECT 1 FROM json_each({_IMAGE.format(image="image", number="pointed.number")}, '$.aliases') AS held
    WHERE held.value = pointed.alias
)
ORDER BY pointed.alias
"""


class Then:
    """One project as requests returned its resources at a revision."""

    def __init__(self, connection: sqlite3.Connection, project: int, at: int) -> None:
        self._connection = connection
        self._project = project
        self._at = at

    def version(self, model: int, number: int, name: str) -> ModelVersion:
        """Return the version, which existed then, of the model of that id and name."""
        (image,) = self._row(VERSION_THEN, model=model, number=number, since=0)
        return decode_version(image, name)

    def run(self, run_id: str) -> Run:
        """Return the run, which existed then."""
        return decode_run(*self._row(RUN_THEN, run=run_id))

    def image(self, revision: int) -> Resource:
        """Return the resource that had the image of that revision then."""
        image = event_of(self._row(IMAGE_OF, revision=revision)).image
        if not isinstance(image, Model):
            return image
        return replace(image, last_number=last_number(self._connection, self._project, image.id, self._at))

    def holders(self, model: Model) -> Holders:
        """Return the holders of the model."""
        given = {"model": model.id, "since": model.create_revision, "last": model.last_number}
        latest = self._rows(LATEST_THEN, **given)
        production = self._rows(IN_STAGE_THEN, **given, stage="production")
        staging = self._rows(IN_STAGE_THEN, **given, stage="staging")
        return Holders(
            latest=latest[0][0] if latest else 0,
            production=production[0][0] if production else 0,
            staging=staging[0][0] if staging else 0,
            aliases=dict(self._rows(ALIASES_THEN, **given)),
        )

    def _row(self, sql: str, **given: object) -> tuple[Any, ...]:
        (row,) = self._rows(sql, **given)
        return row

    def _rows(self, sql: str, **given: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, {"project": self._project, "at": self._at, **given}).fetchall()
