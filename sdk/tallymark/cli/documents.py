"""Resources as JSON: that of the contract's messages, which other gRPC tools print, too.

As in protobuf's JSON mapping, integers of 64 bits, such as revisions, are strings. Fields that are not set are left out
only if the contract distinguishes unset from empty.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tallymark.types.artifact_info import ArtifactInfo
from tallymark.types.enums import ArtifactRole, ArtifactType, RunState, Stage, Uri
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


def document(item: Any) -> dict[str, Any]:
    """Return the item as a JSON object."""
    match item:
        case Project():
            return {"name": item.resource_name} | _fields(item, {"name"})
        case ModelInfo():
            return {"name": item.resource_name} | _fields(item, {"project", "name"})
        case ModelVersion():
            run = f"projects/{item.project}/runs/{item.run}" if item.run else ""
            state = f"RUN_STATE_{item.run_state.name if item.run_state else 'UNSPECIFIED'}"
            named = {"name": item.resource_name, "number": item.number, "versionName": item.name, "run": run}
            return named | {"runState": state} | _fields(item, {"project", "model", "name", "run", "run_state"})
        case Run():
            named = {"name": item.resource_name, "modelVersion": item.model_version or ""}
            return named | _fields(item, {"project", "id", "model_version"})
        case RunStep():
            named = {"name": item.resource_name, "displayName": item.name, "modelVersion": item.model_version or ""}
            return named | _fields(item, {"project", "run", "id", "name", "model_version"})
        case ArtifactInfo():
            run = f"projects/{item.project}/runs/{item.run}" if item.run else ""
            named = {"name": item.resource_name, "sizeBytes": str(item.size), "run": run}
            return named | _fields(item, {"project", "model", "number", "name", "size", "run"})
        case MetricPoint():
            time = {} if item.time is None else {"time": time_text(item.time)}
            return {"key": item.key, "step": str(item.step), "value": _finite(item.value)} | time
        case MetricChange():
            points = [document(point) for point in item.points]
            return {"modelVersion": item.model_version, "points": points, "deletedKeys": list(item.deleted_keys)}
        case Event():
            which = _EVENT_FIELDS[type(item.resource)]
            stage = item.previous_stage
            return _fields(item, {"kind", "resource", "previous_stage"}) | {
                "kind": f"EVENT_KIND_{item.kind.upper()}",
                which: document(item.resource),
                "previousStage": f"STAGE_{stage.name if stage else 'UNSPECIFIED'}",
            }
        case VersionUse() | Erasure():
            return _fields(item, set())
        case _:
            return dict(item)


def time_text(moment: datetime) -> str:
    """Return a time as in protobuf's JSON mapping, with no, three or six digits after the second."""
    digits = "microseconds" if moment.microsecond % 1000 else "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=digits).replace("+00:00", "Z")


def _fields(item: Any, without: set[str]) -> dict[str, Any]:
    values = {field.name: getattr(item, field.name) for field in dataclasses.fields(item) if field.name not in without}
    return {_camel(name): _value(name, value) for name, value in values.items() if value is not None}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _value(name: str, value: Any) -> Any:
    match value:
        case Stage():
            return f"STAGE_{value.name}"
        case RunState():
            return f"RUN_STATE_{value.name}"
        case ArtifactType():
            return f"ARTIFACT_TYPE_{value.name}"
        case ArtifactRole():
            return f"ARTIFACT_ROLE_{value.name}"
        case datetime():
            return time_text(value)
        case int() if name.endswith(("revision", "content_count")):
            return str(value)
        case tuple() if name == "recording_problems":
            return [{"subject": each.subject, "problem": each.problem, "count": str(each.count)} for each in value]
        case tuple():
            return list(value)
        case timedelta():
            return f"{value.days * 86_400 + value.seconds}{f'.{value.microseconds:06}' if value.microseconds else ''}s"
        case Mapping() if name == "aliases":
            return dict(sorted(value.items()))
        case Mapping() if name == "series":
            return {key: str(step) for key, step in sorted(value.items())}
        case Mapping():
            # Messages keep no order of keys. Sort them, so that outputs can be compared.
            return {key: _metadata(item) for key, item in sorted(value.items())}
        case _:
            return value


def _metadata(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {"null": None}
        case bool():
            return {"flag": value}
        case int() if float(value) != value:
            return {"integer": str(value)}
        case int() | float():
            return {"number": _finite(value)}
        case datetime():
            return {"time": time_text(value)}
        case Uri():
            return {"uri": str(value)}
        case list():
            return {"list": {"values": [_metadata(item) for item in value]}}
        case Mapping():
            return {"map": {"values": {key: _metadata(item) for key, item in value.items()}}}
        case _:
            return {"text": value}


def as_plain(value: Any) -> Any:
    """Return a value of metadata as plain JSON, without the contract's names of types."""
    match value:
        case datetime():
            return time_text(value)
        case list() | tuple():
            return [as_plain(item) for item in value]
        case Mapping():
            return {key: as_plain(item) for key, item in value.items()}
        case float():
            return _finite(value)
        case _:
            return value


def _finite(value: float) -> float | str:
    return value if math.isfinite(value) else _NOT_FINITE[str(value)]


_EVENT_FIELDS: dict[type, str] = {
    Project: "project",
    ModelInfo: "model",
    ModelVersion: "modelVersion",
    Run: "run",
    RunStep: "runStep",
    ArtifactInfo: "artifact",
    MetricChange: "metricChange",
    VersionUse: "versionUse",
    Erasure: "erasure",
}
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
