"""Erasures: which events erased content of other events, and the digests of the content before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from tallymark_server.domain.events import Kind
from tallymark_server.storage.codec import decode_erasure
from tallymark_server.storage.contract import Problem
from tallymark_server.storage.log.event_rows import COMMON
from tallymark_server.storage.log.seals import erasure_part
from tallymark_server.storage.sql.dialect import Dialect
from tallymark_server.storage.sql.event_columns import none_of
from tallymark_server.storage.sql.session import ReadSession, Row
from tallymark_server.storage.sql.statement import Statement


def marks(sql: Dialect) -> str:
    """Return the term for the erasures of a row of `events`, as JSON: see `seals.parse_marks`. Null for none."""
    return f"""
    CASE WHEN events.erased = 0 THEN NULL ELSE (
        SELECT {sql.pairs_of("erased_at", sql.hexadecimal("previous_digest"))} FROM {sql.log("erasures")} AS erasures
        WHERE erasures.project = events.project AND erasures.revision = events.revision
    ) END
    """


@Statement
def erased_contents(sql: Dialect) -> str:
    """What each event erased, in its order, and the digest of the content that it left.

    That is the digest that the next erasure found, or the present one.
    """
    return f"""
    SELECT erasures.erased_at, erasures.revision, coalesce(
        lead(erasures.previous_digest) OVER (PARTITION BY erasures.revision ORDER BY erasures.erased_at), events.digest
    )
    FROM {sql.log("erasures")} AS erasures
    LEFT JOIN {sql.log("events")} AS events
        ON events.project = erasures.project AND events.revision = erasures.revision
    WHERE erasures.project = :project ORDER BY erasures.erased_at, erasures.revision
    """


@Statement
def erasing_events(sql: Dialect) -> str:
    return f"""
    SELECT revision, image FROM {sql.log("events")} WHERE project = :project AND kind = '{Kind.ERASED}'
        AND {none_of("kind", sorted(COMMON))}
    """


@Statement
def count_of_erased(sql: Dialect) -> str:
    return f"SELECT count(DISTINCT revision) FROM {sql.log('erasures')} WHERE project = :project"


@Statement
def revisions_that_erased(sql: Dialect) -> str:
    return f"SELECT DISTINCT erased_at FROM {sql.log('erasures')} WHERE project = :project ORDER BY erased_at"


@Statement
def erased_since(_: Dialect) -> str:
    """The last event after a revision that erased content up to it: an export up to this revision would lack it."""
    return """
    SELECT max(erased_at) FROM erasures WHERE project = :project AND erased_at > :at AND revision <= :at
    """


async def erased(session: ReadSession, project: int) -> tuple[int, list[int]]:
    """Return the number of events of the project whose content was erased, and the events that erased it."""
    ((count,),), by = await session.fetch(count_of_erased(project=project), revisions_that_erased(project=project))
    return count, [revision for (revision,) in by]


async def erasure_problems(session: ReadSession, project: int, name: str) -> list[Problem]:
    """Return every erasure that no event of the log records, or that left something else than the event says."""
    erasing, contents = await session.fetch(erasing_events(project=project), erased_contents(project=project))
    return list(_problems(erasing, contents, name))


def _problems(erasing: Iterable[Row], contents: Iterable[Row], name: str) -> Iterator[Problem]:
    said: dict[int, tuple[int, str]] = {}
    for revision, image in erasing:
        try:
            erasure = decode_erasure(image, None)
            said[revision] = (erasure.contents, erasure.digest)
        except (ValueError, TypeError, KeyError, AttributeError):
            said[revision] = (-1, "")
    left: dict[int, tuple[int, hashlib._Hash]] = {}
    for erased_at, revision, digest in contents:
        count, over = left.get(erased_at, (0, hashlib.sha256()))
        over.update(erasure_part(revision, digest or b""))
        left[erased_at] = (count + 1, over)
    found = {erased_at: (count, over.hexdigest()) for erased_at, (count, over) in left.items()}
    for revision in sorted(said.keys() | found.keys()):
        where = f"project {name}, revision {revision}"
        if revision not in said:
            yield Problem(where, "events name it as what erased their content, but it is no erasure")
        elif said[revision] != found.get(revision):
            yield Problem(where, "what it erased is not what it says that it erased")
