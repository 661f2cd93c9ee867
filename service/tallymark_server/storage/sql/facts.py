"""The facts that versions are found by: their tags, and their metadata by `metadata.KEY`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tallymark_server.domain.model import ModelVersion, Uri, Value
from tallymark_server.storage.index_keys import MAX_TEXT, fact_key
from tallymark_server.storage.sql.session import Session
from tallymark_server.storage.sql.tables import FACTS

TAGS = "tags"


async def insert_facts(session: Session, project: int, versions: Sequence[ModelVersion]) -> None:
    """Insert the facts of new versions."""
    rows = [row for version in versions if version.tags or version.metadata for row in _rows(project, version)]
    if rows:
        await session.insert(FACTS, rows)


async def replace_facts(session: Session, project: int, version: ModelVersion) -> None:
    """Write the facts of the version in place of those that it had."""
    await session.remove(FACTS, ("project", "model", "number"), [(project, version.model_id, version.number)])
    await insert_facts(session, project, [version])


def _rows(project: int, version: ModelVersion) -> Iterator[tuple[object, ...]]:
    for key, value in dict.fromkeys(_facts(version)):
        yield project, version.model_id, key, value, version.number


def _facts(version: ModelVersion) -> Iterator[tuple[str, str]]:
    for tag in version.tags:
        yield TAGS, fact_key(tag[:MAX_TEXT])
    for key, value in version.metadata.items():
        yield f"metadata.{key}", fact_key(looked_up(value))


def looked_up(value: Value) -> str | float | int:
    """Return the key of the index for a fact of that value; an empty text if it cannot be compared."""
    match value:
        case bool():
            return float(value)
        case int():
            return value
        case float() if math.isfinite(value):
            return value
        case str():
            return value[:MAX_TEXT]
        case Uri(text):
            return text[:MAX_TEXT]
        case _:
            return ""
