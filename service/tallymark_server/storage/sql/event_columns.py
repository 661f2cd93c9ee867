"""Columns and kinds of events, as text for statements."""

from __future__ import annotations

from collections.abc import Iterable

from tallymark_server.storage.sql.dialect import Dialect


def event_columns(sql: Dialect, *, model: str = "models.name") -> str:
    """Return what `event_of` reads of a row of `events`. `model` is the name of its model, null for none."""
    return columns_with(sql.whole("events"), model)


def columns_with(image: str, model: str = "models.name") -> str:
    """Return what `event_of` reads of a row of `events`, with the term for its image."""
    return f"""
    events.revision, events.kind, events.time, events.actor, events.reason, events.previous_stage, events.alias,
    events.previous_number, events.previous_name, events.number, {image}, {model},
    events.erased
    """


def listed(kinds: Iterable[str]) -> str:
    """Return kinds as text for a statement."""
    return ", ".join(f"'{kind}'" for kind in kinds)


def one_of(column: str, kinds: Iterable[str]) -> str:
    """Return the condition that the column is one of these, with the exact text of an index of these kinds.

    SQLite uses a partial index only for the text of its own condition.
    """
    joined = " OR ".join(f"{column} = '{kind}'" for kind in kinds)
    return f"({joined})"


def none_of(column: str, kinds: Iterable[str]) -> str:
    """Return the condition that the column is none of these, with the exact text of an index of the other kinds."""
    return " AND ".join(f"{column} <> '{kind}'" for kind in kinds)
