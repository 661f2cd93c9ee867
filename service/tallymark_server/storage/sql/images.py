"""Parts of statements that find the image of a resource as of a revision in the log.

`at` is the revision, as SQL: a parameter, or a column.
"""

from __future__ import annotations

from tallymark_server.storage.log.event_rows import BESIDE_VERSIONS, OF_MODELS, RUN_CHANGES
from tallymark_server.storage.sql.dialect import Dialect
from tallymark_server.storage.sql.event_columns import listed, one_of


def version_as_of(sql: Dialect, at: str = ":at") -> str:
    """Return the subquery for the newest change of a row of `versions` up to the revision."""
    return f"""
    SELECT past.revision FROM {sql.indexed("events AS past", "events_of_versions")}
    WHERE past.project = versions.project AND past.model = versions.model
        AND past.number = versions.number AND past.revision <= {at} AND past.kind NOT IN ({listed(BESIDE_VERSIONS)})
    ORDER BY past.revision DESC LIMIT 1
    """


def model_as_of(sql: Dialect, at: str = ":at") -> str:
    """Return the subquery for the newest change of a row of `models` up to the revision."""
    return _of_model(sql, "past.revision", at)


def _of_model(sql: Dialect, selected: str, at: str) -> str:
    return f"""
    SELECT {selected} FROM {sql.indexed("events AS past", "changes_of_models")}
    WHERE past.project = models.project AND past.model = models.id AND past.revision <= {at}
        AND {one_of("past.kind", OF_MODELS)}
    ORDER BY past.revision DESC LIMIT 1
    """


def run_as_of(sql: Dialect, at: str = ":at") -> str:
    """Return the term for the newest change of a row of `runs` up to the revision."""
    return f"""
    coalesce((
        SELECT past.revision FROM {sql.indexed("events AS past", "changes_of_runs")}
        WHERE past.project = runs.project AND {sql.text_is("past.image", "id", "runs.id")} AND past.revision <= {at}
            AND {one_of("past.kind", RUN_CHANGES)}
        ORDER BY past.revision DESC LIMIT 1
    ), runs.start_revision)
    """


def name_as_of(sql: Dialect, at: str = ":at") -> str:
    """Return the term for what the model of a row of `events` was called, null if it has none."""
    return f"""(
        SELECT CASE
            WHEN models.revision <= {at} THEN models.name
            ELSE ({_of_model(sql, sql.text("past.image", "name"), at)})
        END FROM models WHERE models.project = events.project AND models.id = events.model
    )"""


def event_as_of(sql: Dialect, table: str, older: str, at: str = ":at") -> str:
    """Return the join with the event that has the image as of the revision: the newest, or else the older one.

    Steps and artifacts are changed at most once: as of a revision they are as they are now, or as they began, and the
    older one is that of their `start_revision`.
    """
    return sql.join(
        "events",
        f"""events.project = {table}.project AND events.revision =
        CASE WHEN {table}.revision <= {at} THEN {table}.revision ELSE ({older}) END""",
    )


def linked_as_of(table: str, at: str = ":at") -> str:
    """Return the condition that an artifact was linked, and not unlinked, as of the revision."""
    return f"{table}.start_revision <= {at} AND ({table}.unlinked = 0 OR {table}.revision > {at})"


def lists(sql: Dialect, image: str, field: str, value: str) -> str:
    """Return the condition that a list of texts in an image has the value."""
    return f"EXISTS (SELECT 1 FROM {sql.items(image, field)} WHERE item.value = {value})"
