"""Columns and kinds of events, as they stand in statements."""

from __future__ import annotations

from collections.abc import Iterable

from tallymark_server.storage.sqlite.event_integrity import WHOLE

# What `event_of` reads.
_EVENT = """
    events.revision, events.kind, events.time, events.actor, events.reason, events.previous_stage, events.alias,
    events.previous_number, events.previous_name, events.number, {}, models.name,
    events.erased
"""
EVENT = _EVENT.format(WHOLE)
# To prove the event, and to report what is wrong with it.
RAW_EVENT = _EVENT.format("events.image")


def listed(kinds: Iterable[str]) -> str:
    """Kinds as they stand in a statement."""
    return ", ".join(f"'{kind}'" for kind in kinds)


def one_of(column: str, kinds: Iterable[str]) -> str:
    """That the column is one of these, as it stands in an index of some kinds, which is used only then."""
    joined = " OR ".join(f"{column} = '{kind}'" for kind in kinds)
    return f"({joined})"


def none_of(column: str, kinds: Iterable[str]) -> str:
    """That the column is none of these, as it stands in an index of the other kinds, which is used only then."""
    return " AND ".join(f"{column} <> '{kind}'" for kind in kinds)
