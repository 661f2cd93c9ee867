"""How a notebook shows something: as a small table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from html import escape

MAX_VALUES = 50
MAX_TEXT = 200


def table(title: str, rows: Mapping[str, object], metadata: Mapping[str, object] | None = None) -> str:
    """HTML: the rows that say something, then metadata by key; all of it escaped."""
    told = [_row(escape(name), value) for name, value in rows.items() if value not in (None, "")]
    values = sorted((metadata or {}).items())
    told += [_row(f"<code>{escape(key)}</code>", value) for key, value in values[:MAX_VALUES]]
    if len(values) > MAX_VALUES:
        told.append(_row("…", f"{len(values) - MAX_VALUES} more"))
    return f"<table><thead><tr><th colspan=2>{escape(title)}</th></tr></thead><tbody>{''.join(told)}</tbody></table>"


def _row(heading: str, value: object) -> str:
    return f"<tr><th>{heading}</th><td>{escape(_text(value))}</td></tr>"


def _text(value: object) -> str:
    text = f"{value:%Y-%m-%d %H:%M:%S} UTC" if isinstance(value, datetime) else str(value)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def by(creator: str, time: datetime) -> str:
    """When it was made, and by whom."""
    return f"{_text(time)} by {creator}"
