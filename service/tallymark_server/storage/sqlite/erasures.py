"""Erasures: which events erased content of other events, and the digests of the content before."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator

from tallymark_server.domain.events import Kind
from tallymark_server.storage.codec import decode_erasure
from tallymark_server.storage.contract import Problem
from tallymark_server.storage.log.event_rows import COMMON
from tallymark_server.storage.log.seals import erasure_part
from tallymark_server.storage.sql.event_columns import none_of

# The erasures of an event of `events`, as JSON; null for none.
MARKS = """
CASE WHEN events.erased = 0 THEN NULL ELSE (
    SELECT json_group_array(json_array(erased_at, lower(hex(previous_digest)))) FROM {schema}.erasures AS erasures
    WHERE erasures.project = events.project AND erasures.revision = events.revision
) END
"""

# What each event erased, in its order, and the digest of the content that it left: the one that the next erasure found,
# or the present one.
_LEFT = """
SELECT erasures.erased_at, erasures.revision, coalesce(
    lead(erasures.previous_digest) OVER (PARTITION BY erasures.revision ORDER BY erasures.erased_at), events.digest
)
FROM {schema}.erasures AS erasures
LEFT JOIN {schema}.events AS events ON events.project = erasures.project AND events.revision = erasures.revision
WHERE erasures.project = ? ORDER BY erasures.erased_at, erasures.revision
"""
_ERASING = f"""
SELECT revision, image FROM {{schema}}.events WHERE project = ? AND kind = '{Kind.ERASED}'
    AND {none_of("kind", sorted(COMMON))}
"""
_COUNT = "SELECT count(DISTINCT revision) FROM {schema}.erasures WHERE project = ?"
_BY = "SELECT DISTINCT erased_at FROM {schema}.erasures WHERE project = ? ORDER BY erased_at"
# An export up to this revision would lack the event that erased some of what it has.
ERASED_SINCE = "SELECT max(erased_at) FROM erasures WHERE project = ? AND erased_at > ? AND revision <= ?"


def erased(connection: sqlite3.Connection, schema: str, project: int) -> tuple[int, list[int]]:
    """Return the number of events of the project whose content was erased, and the events that erased it."""
    ((count,),) = connection.execute(_COUNT.format(schema=schema), (project,))
    return count, [revision for (revision,) in connection.execute(_BY.format(schema=schema), (project,))]


def erasure_problems(connection: sqlite3.Connection, schema: str, project: int, name: str) -> Iterator[Problem]:
    """Yield every erasure that no event of the log records, or that left something else than the event says."""
    said: dict[int, tuple[int, str]] = {}
    for revision, image in connection.execute(_ERASING.format(schema=schema), (project,)):
        try:
            erasure = decode_erasure(image, None)
            said[revision] = (erasure.contents, erasure.digest)
        except (ValueError, TypeError, KeyError, AttributeError):
            said[revision] = (-1, "")
    left: dict[int, tuple[int, hashlib._Hash]] = {}
    for erased_at, revision, digest in connection.execute(_LEFT.format(schema=schema), (project,)):
        contents, over = left.get(erased_at, (0, hashlib.sha256()))
        over.update(erasure_part(revision, digest or b""))
        left[erased_at] = (contents + 1, over)
    found = {erased_at: (contents, over.hexdigest()) for erased_at, (contents, over) in left.items()}
    for revision in sorted(said.keys() | found.keys()):
        where = f"project {name}, revision {revision}"
        if revision not in said:
            yield Problem(where, "events name it as what erased their content, but it is no erasure")
        elif said[revision] != found.get(revision):
            yield Problem(where, "what it erased is not what it says that it erased")
