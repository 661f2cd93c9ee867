"""HTML tables, as which notebooks show resources."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from html import escape

MAX_VALUES = 50
MAX_TEXT = 200


def table(title: str, rows: Mapping[str, object], metadata: Mapping[str, object] | None = None) -> str:
    """Return a table in HTML: the rows that are not empty, then metadata by key, all escaped."""
    body = [_row(escape(name), value) for name, value in rows.items() if value not in (None, "")]
    values = sorted((metadata or {}).items())
    body += [_row(f"<code>{escape(key)}</code>", value) for key, value in values[:MAX_VALUES]]
    if len(values) > MAX_VALUES:
        body.append(_row("…", f"{len(values) - MAX_VALUES} more"))
    return f"<table><thead><tr><th colspan=2>{escape(title)}</th></tr></thead><tbody>{''.join(body)}</tbody></table>"


def _row(heading: str, value: object) -> str:
    return f"<tr><th>{heading}</th><td>{escape(_text(value))}</td></tr>"


def _text(value: object) -> str:
    text = f"{value:%Y-%m-%d %H:%M:%S} UTC" if isinstance(value, datetime) else str(value)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def time_and_creator(creator: str, time: datetime) -> str:
    """Return a text such as `2026-01-31 12:00:00 UTC by ana@laptop`."""
    return f"{_text(time)} by {creator}"
