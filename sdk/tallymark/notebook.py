"""How what the registry keeps looks in a notebook: a small table, of what is known already."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallymark.resources import ModelInfo, ModelVersion, Run

MAX_VALUES = 50
MAX_TEXT = 200


def model_table(model: ModelInfo) -> str:
    """The model as HTML."""
    rows = {
        "description": model.description,
        "license": model.license,
        "audience": model.audience,
        "use cases": model.use_cases,
        "limitations": model.limitations,
        "trade-offs": model.trade_offs,
        "ethics": model.ethics,
        "tags": ", ".join(model.tags),
        "last number": model.last_number,
        "created": _by(model.creator, model.create_time),
        "deleted": model.delete_time,
    }
    return _table(model.name, rows)


def version_table(version: ModelVersion) -> str:
    """The version as HTML."""
    rows = {
        "name": version.name,
        "stage": version.stage.value,
        "aliases": ", ".join(version.aliases),
        "description": version.description,
        "tags": ", ".join(version.tags),
        "run": version.run,
        "step": version.step,
        "created": _by(version.creator, version.create_time),
        "deleted": version.delete_time,
    }
    return _table(f"{version.model} No.{version.number}", rows, version.metadata)


def run_table(run: Run) -> str:
    """The run as HTML."""
    rows = {
        "pipeline": run.pipeline,
        "state": run.state.value,
        "error": run.error,
        "model version": run.model_version,
        "host": run.host,
        "started": _by(run.creator, run.create_time),
        "ended": run.end_time,
    }
    return _table(f"run {run.id}", rows)


def _table(title: str, rows: Mapping[str, object], metadata: Mapping[str, object] | None = None) -> str:
    """Rows that say something, then metadata by key; all of it escaped."""
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


def _by(creator: str, time: datetime) -> str:
    return f"{_text(time)} by {creator}"
