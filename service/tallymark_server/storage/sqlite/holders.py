"""Which versions hold the places of models: the latest, production, staging and each alias, now or as of a revision.

Each question is one statement, however many models it is about, and one for aliases as of the past.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping

from tallymark_server.domain.model import Holders
from tallymark_server.storage.sqlite.images import VERSION_AS_OF

# Of a row of `models`. Each is found through an index, and no image is read for it.
HELD = """
    (SELECT number FROM versions AS newest INDEXED BY live_versions
        WHERE newest.project = models.project AND newest.model = models.id AND newest.deleted = 0
        ORDER BY number DESC LIMIT 1),
    (SELECT number FROM versions AS holder
        WHERE holder.project = models.project AND holder.model = models.id
            AND holder.stage = 'production' AND holder.stage IN ('staging', 'production')),
    (SELECT number FROM versions AS holder
        WHERE holder.project = models.project AND holder.model = models.id
            AND holder.stage = 'staging' AND holder.stage IN ('staging', 'production')),
    (SELECT json_group_object(alias, number) FROM aliases
        WHERE aliases.project = models.project AND aliases.model = models.id)
"""
HELD_BY_ID = f"""
SELECT models.id, {HELD} FROM json_each(:asked) AS asked
CROSS JOIN models ON models.project = :project AND models.id = asked.value
"""
HELD_BY_NAME = f"""
SELECT models.name, {HELD} FROM json_each(:asked) AS asked
CROSS JOIN models ON models.project = :project AND models.name = asked.value
"""
# The models to read as of a revision, each with the highest number that was assigned by then.
_ASKED = """
(SELECT json_extract(value, '$[0]') AS model, json_extract(value, '$[1]') AS last_number FROM json_each(:asked))
AS asked
"""
# The image as of the revision of a row of `versions`; the newest image if it has not changed since.
_IMAGE_AS_OF = f"""
(SELECT image FROM events WHERE events.project = versions.project AND events.revision =
    CASE WHEN versions.revision <= :at THEN versions.revision ELSE ({VERSION_AS_OF}) END)
"""
# A version that is deleted, and has not been changed since, was deleted then, and is skipped without reading the log.
_LATEST_AT = f"""
(SELECT number FROM versions
    WHERE versions.project = :project AND versions.model = asked.model AND versions.number <= asked.last_number
        AND versions.deleted < 2 AND (versions.deleted = 0 OR versions.revision > :at)
        AND json_extract({_IMAGE_AS_OF}, '$.delete_time') IS NULL
    ORDER BY number DESC LIMIT 1)
"""


def _in_stage_at(stage: str) -> str:
    """Return the subquery for the version that entered the stage last, if it was still there."""
    return f"""
    (SELECT number FROM versions
        WHERE versions.project = :project AND versions.model = asked.model AND versions.deleted < 2
            AND versions.number = (
                SELECT number FROM events INDEXED BY stage_changes
                WHERE project = :project AND model = asked.model AND json_extract(image, '$.stage') = '{stage}'
                    AND revision <= :at AND kind = 'stage_changed'
                ORDER BY revision DESC LIMIT 1
            )
            AND json_extract({_IMAGE_AS_OF}, '$.stage') = '{stage}')
    """


HELD_AT = f"""
SELECT asked.model, {_LATEST_AT}, {_in_stage_at("production")}, {_in_stage_at("staging")}, '{{}}' FROM {_ASKED}
"""
_NEXT_ALIAS = """
(SELECT alias FROM events INDEXED BY alias_changes
    WHERE project = :project AND model = {model} AND alias > {after} AND kind = 'alias_set' ORDER BY alias LIMIT 1)
"""
# From one alias to the next, however often each was moved.
ALIASES_AT = f"""
WITH RECURSIVE known(model, alias) AS (
    SELECT asked.model, {_NEXT_ALIAS.format(model="asked.model", after="''")} FROM {_ASKED}
    UNION ALL
    SELECT known.model, {_NEXT_ALIAS.format(model="known.model", after="known.alias")} FROM known
    WHERE known.alias IS NOT NULL
)
SELECT known.model, known.alias, versions.number FROM known
CROSS JOIN versions ON versions.project = :project AND versions.model = known.model AND versions.deleted < 2
    AND versions.number = (
        SELECT number FROM events INDEXED BY alias_changes
        WHERE project = :project AND model = known.model AND alias = known.alias AND revision <= :at
            AND kind = 'alias_set'
        ORDER BY revision DESC LIMIT 1
    )
WHERE EXISTS (SELECT 1 FROM json_each({_IMAGE_AS_OF}, '$.aliases') AS held WHERE held.value = known.alias)
"""


def holders_of(row: tuple[int | None, int | None, int | None, str]) -> Holders:
    """Return the holders whose columns these are, as `HELD` selects them."""
    latest, production, staging, aliases = row
    return Holders(latest=latest or 0, production=production or 0, staging=staging or 0, aliases=json.loads(aliases))


def holders_now(connection: sqlite3.Connection, project: int, models: Iterable[int]) -> dict[int, Holders]:
    """Return the holders of the models of these ids."""
    given = {"project": project, "asked": json.dumps(list(models))}
    return {model: holders_of(row) for model, *row in connection.execute(HELD_BY_ID, given)}


def holders_at(
    connection: sqlite3.Connection, project: int, last_numbers: Mapping[int, int], at: int
) -> dict[int, Holders]:
    """Return the holders of models as of a revision, given each model's highest number that was assigned by then."""
    given = {"project": project, "asked": json.dumps(list(last_numbers.items())), "at": at}
    found = {model: holders_of(row) for model, *row in connection.execute(HELD_AT, given)}
    for model, alias, number in connection.execute(ALIASES_AT, given):
        found[model].aliases[alias] = number
    return found
