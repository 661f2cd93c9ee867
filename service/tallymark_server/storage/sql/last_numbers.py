"""The highest number of a model's versions as of a revision."""

from __future__ import annotations

from tallymark_server.domain.reference import MAX_NUMBER
from tallymark_server.storage.sql.dialect import Dialect
from tallymark_server.storage.sql.statement import Statement


def last_number_as_of(sql: Dialect, at: str = ":at") -> str:
    """Return the term for the highest number by then of a row of `models`.

    It is a binary search, since numbers are assigned in the order of revisions.
    """
    made = f"""(
        SELECT revision FROM {sql.indexed("events", "events_of_versions")}
        WHERE project = models.project AND model = models.id AND number = lowest + step AND kind = 'version_created'
        ORDER BY revision LIMIT 1
    )"""
    return f"({search_last(f'{made} <= {at}', MAX_NUMBER)})"


def search_last(found: str, most: int) -> str:
    """Return the SELECT of the last of the numbers 1 to `most` that meets a condition, as all before it do; 0 for none.

    The condition is about `lowest + step`.
    """
    first_step = 1 << (most.bit_length() - 1)
    return f"""
    WITH RECURSIVE search(lowest, step) AS (
        SELECT CAST(0 AS BIGINT), CAST({first_step} AS BIGINT)
        UNION ALL
        SELECT CASE WHEN {found} THEN lowest + step ELSE lowest END, step / 2 FROM search WHERE step > 0
    )
    SELECT lowest FROM search WHERE step = 0
    """


@Statement
def last_number_of_model(sql: Dialect) -> str:
    return f"SELECT {last_number_as_of(sql)} FROM models WHERE models.project = :project AND models.id = :model"
