"""What the registry keeps, as rows of a table: the columns of each kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from tallymark.commands.documents import time_text
from tallymark.references import last_segment
from tallymark.resources import Event, ModelInfo, ModelVersion, Run


class Column(NamedTuple):
    """A title, how to read the cell from an item, and whether only `-o wide` shows it."""

    title: str
    read: Callable[[Any], object]
    wide: bool = False


def short_name(item: Any) -> str:
    """What to call the item by in another command."""
    match item:
        case ModelInfo():
            return item.name
        case ModelVersion():
            return f"{item.model}/{item.number}"
        case Run():
            return item.id
        case Event():
            return str(item.revision)
        case _:
            return str(next(iter(item.values())))


def cells(item: Any, *, wide: bool) -> dict[str, str]:
    """The cells of the item's row by their titles; a row that is no resource is a dict already."""
    if isinstance(item, dict):
        return {name.upper(): text(value) for name, value in item.items()}
    columns = COLUMNS[type(item)]
    return {column.title: text(column.read(item)) for column in columns if wide or not column.wide}


def text(value: object) -> str:
    """The value in one line that is safe to print: what steers a terminal is escaped, and nothing is `-`."""
    match value:
        case datetime():
            plain = time_text(value.replace(microsecond=0))
        case list() | tuple():
            plain = ",".join(map(str, value))
        case Mapping():
            plain = ",".join(f"{key}={compact(item)}" for key, item in sorted(value.items()))
        case float():
            plain = f"{value:.15g}"
        case None:
            plain = ""
        case _:
            plain = str(value)
    safe = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in plain)
    return safe or "-"


def compact(value: object) -> str:
    """A value of metadata, as JSON has it, but text without quotes."""
    match value:
        case list() | dict():
            return json.dumps(value, default=text, ensure_ascii=False, separators=(",", ":"))
        case bool():
            return str(value).lower()
        case _:
            return text(value)


def _change(event: Event) -> str:
    """What the event moved, from where to where."""
    match event.kind:
        case "stage_changed" if isinstance(event.resource, ModelVersion):
            return f"{event.previous_stage or 'none'} -> {event.resource.stage}"
        case "alias_set" if isinstance(event.resource, ModelVersion):
            return f"{event.alias}: {event.previous_number or 'new'} -> {event.resource.number}"
        case "alias_deleted":
            return f"{event.alias}: gone"
        case "model_renamed" | "version_renamed":
            return f"{event.previous_name} -> {getattr(event.resource, 'name', '')}"
        case _:
            return ""


def _made_by(run: Run) -> str:
    """The run's version as people write it."""
    if not run.model_version:
        return ""
    model, _, number = run.model_version.split("/")[3:]
    return f"{model}/{last_segment(number)}"


COLUMNS: dict[type, list[Column]] = {
    ModelInfo: [
        Column("MODEL", short_name),
        Column("LAST", lambda model: model.last_number),
        Column("TAGS", lambda model: model.tags),
        Column("UPDATED", lambda model: model.update_time),
        Column("DELETED", lambda model: model.delete_time),
        Column("CREATED", lambda model: model.create_time, wide=True),
        Column("CREATOR", lambda model: model.creator, wide=True),
        Column("LICENSE", lambda model: model.license, wide=True),
        Column("DESCRIPTION", lambda model: model.description, wide=True),
        Column("ETAG", lambda model: model.etag, wide=True),
    ],
    ModelVersion: [
        Column("VERSION", short_name),
        Column("NAME", lambda version: version.name),
        # A deleted version is always in the archive.
        Column("STAGE", lambda version: "deleted" if version.delete_time else version.stage),
        Column("ALIASES", lambda version: version.aliases),
        Column("RUN", lambda version: version.run),
        Column("CREATED", lambda version: version.create_time),
        Column("CREATOR", lambda version: version.creator),
        Column("STEP", lambda version: version.step, wide=True),
        Column("TAGS", lambda version: version.tags, wide=True),
        Column("METADATA", lambda version: version.metadata, wide=True),
        Column("UPDATED", lambda version: version.update_time, wide=True),
        Column("DELETED", lambda version: version.delete_time, wide=True),
        Column("DESCRIPTION", lambda version: version.description, wide=True),
        Column("ETAG", lambda version: version.etag, wide=True),
    ],
    Run: [
        Column("RUN", short_name),
        Column("PIPELINE", lambda run: run.pipeline),
        Column("STATE", lambda run: run.state),
        Column("VERSION", _made_by),
        Column("STARTED", lambda run: run.create_time),
        Column("ENDED", lambda run: run.end_time),
        Column("HOST", lambda run: run.host, wide=True),
        Column("CREATOR", lambda run: run.creator, wide=True),
        Column("ERROR", lambda run: run.error, wide=True),
    ],
    Event: [
        Column("REVISION", short_name),
        Column("TIME", lambda event: event.time),
        Column("KIND", lambda event: event.kind),
        Column("ABOUT", lambda event: short_name(event.resource)),
        Column("CHANGE", _change),
        Column("ACTOR", lambda event: event.actor),
        Column("REASON", lambda event: event.reason),
    ],
}
