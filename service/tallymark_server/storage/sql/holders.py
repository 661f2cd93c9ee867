"""Which versions hold the places of models: the latest, production, staging and each alias, now or as of a revision.

Each question is one statement, however many models it is about, and one for aliases as of the past.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tallymark_server.domain.model import Holders
from tallymark_server.storage.sql.dialect import Dialect, Type
from tallymark_server.storage.sql.images import lists, version_as_of
from tallymark_server.storage.sql.session import ReadSession
from tallymark_server.storage.sql.statement import Statement, parameter


def held(sql: Dialect) -> str:
    """Return the columns of the holders of a row of `models`. No image is read for them."""
    in_stage = """
        SELECT number FROM versions AS holder
        WHERE holder.project = models.project AND holder.model = models.id
            AND holder.stage = '{}' AND holder.stage IN ('staging', 'production')
    """
    return f"""
    (SELECT number FROM {sql.indexed("versions AS newest", "live_versions")}
        WHERE newest.project = models.project AND newest.model = models.id AND newest.deleted = 0
        ORDER BY number DESC LIMIT 1),
    ({in_stage.format("production")}),
    ({in_stage.format("staging")}),
    (SELECT {sql.object_of("alias", "number")} FROM aliases
        WHERE aliases.project = models.project AND aliases.model = models.id)
    """


@Statement
def held_by_id(sql: Dialect) -> str:
    return f"""
    SELECT models.id, {held(sql)} FROM {sql.keys("wanted", id=Type.INTEGER)}
    {sql.join("models", "models.project = :project AND models.id = wanted.id")}
    """


@Statement
def held_by_name(sql: Dialect) -> str:
    return f"""
    SELECT models.name, {held(sql)} FROM {sql.keys("wanted", name=Type.TEXT)}
    {sql.join("models", "models.project = :project AND models.name = wanted.name")}
    """


def _image_as_of(sql: Dialect) -> str:
    """Return the term for the image as of the revision of a row of `versions`."""
    return f"""
    (SELECT image FROM events WHERE events.project = versions.project AND events.revision =
        CASE WHEN versions.revision <= :at THEN versions.revision ELSE ({version_as_of(sql)}) END)
    """


def latest_as_of(sql: Dialect, model: str, last_number: str) -> str:
    """Return the term for the number of the version that was the latest.

    A version that is deleted, and has not been changed since, was deleted then, and is skipped without reading the log.
    """
    return f"""
    (SELECT number FROM versions
        WHERE versions.project = :project AND versions.model = {model} AND versions.number <= {last_number}
            AND versions.deleted < 2 AND (versions.deleted = 0 OR versions.revision > :at)
            AND {sql.integer(_image_as_of(sql), "delete_time")} IS NULL
        ORDER BY number DESC LIMIT 1)
    """


def _in_stage_as_of(sql: Dialect, stage: str) -> str:
    """Return the term for the version that entered the stage last, if it was still there."""
    return f"""
    (SELECT number FROM versions
        WHERE versions.project = :project AND versions.model = wanted.model AND versions.deleted < 2
            AND versions.number = (
                SELECT number FROM {sql.indexed("events", "stage_changes")}
                WHERE project = :project AND model = wanted.model AND {sql.text("image", "stage")} = '{stage}'
                    AND revision <= :at AND kind = 'stage_changed'
                ORDER BY revision DESC LIMIT 1
            )
            AND {sql.text(_image_as_of(sql), "stage")} = '{stage}')
    """


def _wanted(sql: Dialect) -> str:
    """Return the models to read as of a revision, each with the highest number that was assigned by then."""
    return sql.keys("wanted", model=Type.INTEGER, last_number=Type.INTEGER)


@Statement
def held_as_of(sql: Dialect) -> str:
    return f"""
    SELECT wanted.model, {latest_as_of(sql, "wanted.model", "wanted.last_number")},
        {_in_stage_as_of(sql, "production")}, {_in_stage_as_of(sql, "staging")}, '{{}}'
    FROM {_wanted(sql)}
    """


def _next_alias(sql: Dialect, model: str, after: str) -> str:
    return f"""
    (SELECT alias FROM {sql.indexed("events", "alias_changes")}
        WHERE project = :project AND model = {model} AND alias > {after} AND kind = 'alias_set' ORDER BY alias LIMIT 1)
    """


# From one alias to the next, however often each was moved.
@Statement
def aliases_as_of(sql: Dialect) -> str:
    version = f"""
        versions.project = :project AND versions.model = known.model AND versions.deleted < 2 AND versions.number = (
            SELECT number FROM {sql.indexed("events", "alias_changes")}
            WHERE project = :project AND model = known.model AND alias = known.alias AND revision <= :at
                AND kind = 'alias_set'
            ORDER BY revision DESC LIMIT 1
        )
    """
    return f"""
    WITH RECURSIVE known(model, alias) AS (
        SELECT wanted.model, {_next_alias(sql, "wanted.model", "''")} FROM {_wanted(sql)}
        UNION ALL
        SELECT known.model, {_next_alias(sql, "known.model", "known.alias")} FROM known
        WHERE known.alias IS NOT NULL
    )
    SELECT known.model, known.alias, versions.number FROM known {sql.join("versions", version)}
    WHERE {lists(sql, _image_as_of(sql), "aliases", "known.alias")}
    """


def holders_of(row: Sequence[Any]) -> Holders:
    """Return the holders whose columns these are, as `held` selects them."""
    latest, production, staging, aliases = row
    return Holders(latest=latest or 0, production=production or 0, staging=staging or 0, aliases=json.loads(aliases))


async def holders_now(session: ReadSession, project: int, models: Iterable[int]) -> dict[int, Holders]:
    """Return the holders of the models of these ids."""
    (rows,) = await session.fetch(held_by_id(project=project, wanted=parameter(models)))
    return {model: holders_of(row) for model, *row in rows}


async def holders_at(
    session: ReadSession, project: int, last_numbers: Mapping[int, int], at: int
) -> dict[int, Holders]:
    """Return the holders of models as of a revision, given each model's highest number that was assigned by then."""
    wanted = parameter(last_numbers.items())
    held, aliases = await session.fetch(
        held_as_of(project=project, wanted=wanted, at=at), aliases_as_of(project=project, wanted=wanted, at=at)
    )
    found = {model: holders_of(row) for model, *row in held}
    for model, alias, number in aliases:
        found[model].aliases[alias] = number
    return found
