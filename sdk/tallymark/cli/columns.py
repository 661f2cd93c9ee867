"""The columns of each kind of resource, and the text of their cells."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import click

from tallymark.cli.documents import time_text
from tallymark.cli.terminal import printable
from tallymark.cli.times import age, duration
from tallymark.types.artifact_info import ArtifactInfo
from tallymark.types.enums import RunState
from tallymark.types.references import last_segment
from tallymark.types.resources import (
    Erasure,
    Event,
    MetricChange,
    MetricPoint,
    ModelInfo,
    ModelVersion,
    Project,
    Run,
    RunStep,
    VersionUse,
)


class Column(NamedTuple):
    """A column: its title, the function that reads its cell, and whether only `-o wide` or `--columns` shows it."""

    title: str
    read: Callable[[Any], object]
    wide: bool = False
    extra: bool = False


def short_name(item: Any) -> str:
    """Return the name of the item for other commands."""
    match item:
        case ModelInfo():
            return item.name
        case ModelVersion():
            return f"{item.model}/{item.number}"
        case Project():
            return item.name
        case Run() | RunStep():
            return item.id
        case ArtifactInfo():
            return f"{item.name}@{item.ordinal}"
        case MetricPoint():
            return item.key
        case Event():
            return str(item.revision)
        case _:
            return str(next(iter(item.values())))


def row(item: Any, *, wide: bool = False, chosen: tuple[str, ...] = ()) -> dict[str, object]:
    """Return the item's cells by the titles of their columns: those chosen, or those of its kind.

    Raises click.UsageError if there is no such column.
    """
    if chosen:
        return dict(_chosen(item, name) for name in chosen)
    if isinstance(item, dict):
        return {name.upper(): value for name, value in item.items()}
    columns = COLUMNS[type(item)]
    return {column.title: column.read(item) for column in columns if not column.extra and (wide or not column.wide)}


def _chosen(item: Any, name: str) -> tuple[str, object]:
    """Return the title and the cell of a column by its name: a title, a field, or a key such as `metadata.auc`."""
    field, _, key = name.partition(".")
    values = getattr(item, field, None)
    if key and isinstance(values, Mapping):
        return name, values.get(key)
    plain = name.lower().replace("-", "_")
    if isinstance(item, dict):
        known: dict[str, object] = {each.lower(): value for each, value in item.items()}
        if plain in known:
            return plain.upper(), known[plain]
        raise _no_column(name, known)
    columns = {column.title.lower(): column for column in COLUMNS[type(item)]}
    if plain in columns:
        return columns[plain].title, columns[plain].read(item)
    if plain in fields(type(item)):
        return plain.upper(), getattr(item, plain)
    raise _no_column(name, {*columns, *fields(type(item))}, has_metadata=hasattr(item, "metadata"))


def fields(kind: type) -> list[str]:
    """Return the names of the fields of a kind of item."""
    named: tuple[str, ...] = getattr(kind, "_fields", ())
    return [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else list(named)


def _no_column(name: str, known: Iterable[str], *, has_metadata: bool = False) -> click.UsageError:
    hint = f", or metadata.{name} for the key {name} of the metadata" if has_metadata else ""
    return click.UsageError(f"no column {name!r}: choose from {', '.join(sorted(known))}{hint}")


def in_utc(moment: datetime) -> str:
    """Return the time in UTC as RFC 3339, to the second."""
    return time_text(moment.astimezone(UTC).replace(microsecond=0))


def text(value: object, format_time: Callable[[datetime], str] = in_utc, *, empty: str = "-") -> str:
    """Return the value in one line, with control characters escaped; `empty` for an empty value."""
    match value:
        case datetime():
            plain = format_time(value)
        case timedelta():
            plain = duration(value)
        case list() | tuple():
            plain = ",".join(map(str, value))
        case Mapping():
            plain = ",".join(f"{key}={compact(item)}" for key, item in sorted(value.items()))
        case bool():
            plain = str(value).lower()
        case float():
            plain = f"{value:.15g}"
        case None:
            plain = ""
        case _:
            plain = str(value)
    return printable(plain) or empty


def compact(value: object) -> str:
    """Return a value of metadata as JSON, but text without quotes."""
    match value:
        case list() | dict():
            return json.dumps(value, default=text, ensure_ascii=False, separators=(",", ":"))
        case bool():
            return str(value).lower()
        case _:
            return text(value)


def _change(event: Event) -> str:
    """Return what the event changed, such as `none -> production`."""
    match event.kind:
        case "stage_changed" if isinstance(event.resource, ModelVersion):
            return f"{event.previous_stage or 'none'} -> {event.resource.stage}"
        case "alias_set" if isinstance(event.resource, ModelVersion):
            return f"{event.alias}: {event.previous_number or 'new'} -> {event.resource.number}"
        case "alias_deleted":
            return f"{event.alias}: gone"
        case "artifact_linked" | "artifact_unlinked" if isinstance(event.resource, ArtifactInfo):
            return f"{short_name(event.resource)}{'' if event.kind == 'artifact_linked' else ': gone'}"
        case "metrics_logged" if isinstance(event.resource, MetricChange):
            return f"{len(event.resource.points)} points"
        case "version_used" if isinstance(event.resource, VersionUse):
            return f"by {last_segment(event.resource.run)}"
        case "step_started" | "step_finished" if isinstance(event.resource, RunStep):
            return f"{event.resource.name}: {event.resource.state}"
        case "version_run_state_changed" if isinstance(event.resource, ModelVersion):
            return f"run {event.resource.run_state}"
        case "run_finished" if isinstance(event.resource, Run):
            return str(event.resource.state)
        case "recording_problems_reported" if isinstance(event.resource, Run):
            return f"{problems(event.resource)} in all"
        case "erased" if isinstance(event.resource, Erasure):
            count = event.resource.content_count
            return f"{', '.join(event.resource.paths)} in {count} event{'' if count == 1 else 's'}"
        case "model_renamed" | "version_renamed":
            return f"{event.previous_name} -> {getattr(event.resource, 'name', '')}"
        case _:
            return ""


def _about(event: Event) -> str:
    """Return what the event is about; for artifacts, metrics and uses of a version, the version."""
    match event.resource:
        case Erasure():
            return event.resource.name
        case MetricChange() | VersionUse():
            return reference_to(event.resource.model_version)
        case ArtifactInfo():
            return f"{event.resource.model}/{event.resource.number}"
        case RunStep():
            return event.resource.run
        case _:
            return short_name(event.resource)


def reference_to(version: str | None) -> str:
    """Return the reference, such as `churn/41`, to the version with this resource name."""
    if not version:
        return ""
    model, _, number = version.split("/")[3:]
    return f"{model}/{last_segment(number)}"


def _age(item: Any) -> str:
    return age(item.create_time)


def _duration(item: Run | RunStep) -> timedelta | None:
    """Return the duration of a run or a step, until now if it is running; None for a lost run."""
    if item.end_time is None and item.state is not RunState.RUNNING:
        return None
    return (item.end_time or datetime.now(UTC)) - started(item)


def started(item: Run | RunStep) -> datetime:
    """Return when the program started a run or a step, or else when the service recorded the start."""
    return item.start_time or item.create_time


def problems(run: Run) -> int | None:
    """Return the number of records of a run that were left out, lost or changed; None for none."""
    return sum(problem.count for problem in run.recording_problems) or None


COLUMNS: dict[type, list[Column]] = {
    Project: [
        Column("PROJECT", short_name),
        Column("CREATED", lambda project: project.create_time),
        Column("CREATOR", lambda project: project.creator),
        Column("LOG_ID", lambda project: project.log_id, wide=True),
    ],
    ModelInfo: [
        Column("MODEL", short_name),
        Column("LATEST", lambda model: "deleted" if model.delete_time else model.latest_number or None),
        Column("PRODUCTION", lambda model: model.production_number or None),
        Column("STAGING", lambda model: model.staging_number or None),
        Column("ALIASES", lambda model: [f"{alias}={number}" for alias, number in sorted(model.aliases.items())]),
        Column("TAGS", lambda model: model.tags),
        Column("UPDATED", lambda model: model.update_time),
        Column("LAST", lambda model: model.last_number, wide=True),
        Column("DELETED", lambda model: model.delete_time, wide=True),
        Column("CREATED", lambda model: model.create_time, wide=True),
        Column("CREATOR", lambda model: model.creator, wide=True),
        Column("LICENSE", lambda model: model.license, wide=True),
        Column("DESCRIPTION", lambda model: model.description, wide=True),
        Column("ETAG", lambda model: model.etag, wide=True),
        Column("AGE", _age, extra=True),
    ],
    ModelVersion: [
        Column("VERSION", short_name),
        Column("NAME", lambda version: version.name),
        # A deleted version is always in the archive.
        Column("STAGE", lambda version: "deleted" if version.delete_time else version.stage),
        Column("ALIASES", lambda version: version.aliases),
        Column("RUN_STATE", lambda version: version.run_state),
        Column("RUN", lambda version: version.run),
        Column("CREATED", lambda version: version.create_time),
        Column("CREATOR", lambda version: version.creator, wide=True),
        Column("STEP", lambda version: version.step, wide=True),
        Column("TAGS", lambda version: version.tags, wide=True),
        Column("METADATA", lambda version: version.metadata, wide=True),
        Column("UPDATED", lambda version: version.update_time, wide=True),
        Column("DELETED", lambda version: version.delete_time, wide=True),
        Column("DESCRIPTION", lambda version: version.description, wide=True),
        Column("ETAG", lambda version: version.etag, wide=True),
        Column("AGE", _age, extra=True),
    ],
    Run: [
        Column("RUN", short_name),
        Column("PIPELINE", lambda run: run.pipeline),
        Column("STATE", lambda run: run.state),
        Column("VERSION", lambda run: reference_to(run.model_version)),
        Column("STARTED", started),
        Column("DURATION", _duration),
        Column("PROBLEMS", problems),
        Column("ENDED", lambda run: run.end_time, wide=True),
        Column("HOST", lambda run: run.host, wide=True),
        Column("CREATOR", lambda run: run.creator, wide=True),
        Column("USER", lambda run: run.user, wide=True),
        Column("COMMIT", lambda run: run.commit, wide=True),
        Column("COMMAND", lambda run: run.command, wide=True),
        Column("URL", lambda run: run.url, wide=True),
        Column("PARAMETERS", lambda run: run.parameters, wide=True),
        Column("ERROR", lambda run: run.error, wide=True),
        Column("AGE", _age, extra=True),
    ],
    RunStep: [
        Column("STEP", lambda step: step.name),
        Column("STATE", lambda step: step.state),
        Column("VERSION", lambda step: reference_to(step.model_version)),
        Column("STARTED", started),
        Column("DURATION", _duration),
        Column("ERROR", lambda step: step.error),
        Column("ENDED", lambda step: step.end_time, wide=True),
        Column("ID", short_name, wide=True),
        Column("PARAMETERS", lambda step: step.parameters, wide=True),
    ],
    ArtifactInfo: [
        Column("ARTIFACT", short_name),
        Column("TYPE", lambda artifact: artifact.type),
        Column("ROLE", lambda artifact: artifact.role),
        Column("FORMAT", lambda artifact: artifact.format),
        Column("BYTES", lambda artifact: artifact.size or None),
        Column("URI", lambda artifact: artifact.uri),
        Column("DIGEST", lambda artifact: artifact.digest, wide=True),
        Column("RUN", lambda artifact: artifact.run, wide=True),
        Column("STEP", lambda artifact: artifact.step, wide=True),
        Column("LINKED", lambda artifact: artifact.create_time, wide=True),
        Column("CREATOR", lambda artifact: artifact.creator, wide=True),
    ],
    MetricPoint: [
        Column("METRIC", short_name),
        Column("STEP", lambda point: point.step),
        Column("VALUE", lambda point: point.value),
        Column("TIME", lambda point: point.time),
    ],
    Event: [
        Column("REVISION", short_name),
        Column("TIME", lambda event: event.time),
        Column("KIND", lambda event: event.kind),
        Column("ABOUT", _about),
        Column("CHANGE", _change),
        Column("ACTOR", lambda event: event.actor),
        Column("REASON", lambda event: event.reason),
    ],
}
