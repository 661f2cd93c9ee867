"""Parts of statements that find the image of a resource as of a revision in the log."""

from __future__ import annotations

from tallymark_server.storage.log.event_rows import BESIDE_VERSIONS, OF_MODELS, RUN_CHANGES
from tallymark_server.storage.sqlite.rows import listed, one_of

Part = tuple[str, list[object]]

# The newest change of a version or a model up to a revision.
VERSION_AS_OF = f"""
SELECT past.revision FROM events AS past INDEXED BY events_of_versions
WHERE past.project = versions.project AND past.model = versions.model
    AND past.number = versions.number AND past.revision <= :at AND past.kind NOT IN ({listed(BESIDE_VERSIONS)})
ORDER BY past.revision DESC LIMIT 1
"""
_OF_MODEL = f"""
FROM events AS past INDEXED BY changes_of_models
WHERE past.project = models.project AND past.model = models.id AND past.revision <= :at
    AND {one_of("past.kind", OF_MODELS)}
ORDER BY past.revision DESC LIMIT 1
"""
MODEL_AS_OF = f"SELECT past.revision {_OF_MODEL}"
# Steps and artifacts are changed at most once: as of a revision they are as they are now, or as they began.
AS_BEGUN = "{}.start_revision"
# The + lets the column be compared without its affinity, which the index of an expression has not.
RUN_AS_OF = f"""
coalesce((
    SELECT past.revision FROM events AS past INDEXED BY changes_of_runs
    WHERE past.project = runs.project AND json_extract(past.image, '$.id') = +runs.id AND past.revision <= :at
        AND {one_of("past.kind", RUN_CHANGES)}
    ORDER BY past.revision DESC LIMIT 1
), runs.start_revision)
"""
# What the model of an event, if it has one, was called.
NAME_AS_OF = f"""(
    SELECT CASE
        WHEN models.revision <= :at THEN models.name
        ELSE (SELECT json_extract(past.image, '$.name') {_OF_MODEL})
    END FROM models WHERE models.project = events.project AND models.id = events.model
)"""


def image_as_of(table: str, older: str) -> str:
    """Return the join with the event that has the image as of the revision: the newest, or else the older one."""
    return f"""
    CROSS JOIN events ON events.project = {table}.project AND events.revision =
        CASE WHEN {table}.revision <= :at THEN {table}.revision ELSE ({older.format(table)}) END
    """


def linked_as_of(table: str) -> str:
    """Return the condition that an artifact was linked, and not unlinked, as of the revision."""
    return f"{table}.start_revision <= :at AND ({table}.unlinked = 0 OR {table}.revision > :at)"


def placed(sql: str, at: int) -> Part:
    """Return the part for a statement with positional parameters."""
    return sql.replace(":at", "?"), [at] * sql.count(":at")
