"""Images as JSON: what an event keeps of a resource. A field that has its default is left out.

What a projection knows better is left out too, and comes back as an argument: a model's last number and the name of the
model to which the resource belongs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from enum import StrEnum
from operator import attrgetter
from typing import Any

from tallymark_server.domain.model import (
    Artifact,
    ArtifactRole,
    ArtifactType,
    MetricChange,
    Model,
    ModelCard,
    ModelVersion,
    Point,
    Resource,
    Run,
    RunState,
    RunStep,
    Stage,
    Time,
    Uri,
    Value,
    VersionUse,
)

_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def encode(image: Resource) -> str:
    """The image as JSON text."""
    raw = _plain(image)
    raw.pop("last_number", None)
    match image:
        case Model():
            raw.pop("card", None)
            if card := _plain(image.card):
                raw["card"] = _with_facts(card, _encode_value)
        case MetricChange():
            raw["points"] = [[point.key, point.step, _encode_value(point.value), point.time] for point in image.points]
            raw.pop("model")
        case _:
            raw.pop("model", None)
    return _encoder.encode(_with_facts(raw, _encode_value))


def decode_model(text: str, last_number: int) -> Model:
    """The model whose image the text is."""
    raw = json.loads(text)
    if card := raw.get("card"):
        raw["card"] = ModelCard(**_typed(card))
    return Model(**raw, last_number=last_number)


def decode_version(text: str, model: str) -> ModelVersion:
    """The version whose image the text is."""
    return ModelVersion(**_typed(json.loads(text), stage=Stage), model=model)


def decode_run(text: str, model: str | None) -> Run:
    """The run whose image the text is."""
    return Run(**_typed(json.loads(text), state=RunState), model=model)


def decode_step(text: str, model: str | None) -> RunStep:
    """The step whose image the text is."""
    return RunStep(**_typed(json.loads(text), state=RunState), model=model)


def decode_artifact(text: str, model: str) -> Artifact:
    """The artifact whose image the text is."""
    return Artifact(**_typed(json.loads(text), type=ArtifactType, role=ArtifactRole), model=model)


def decode_use(text: str, model: str) -> VersionUse:
    """The use whose image the text is."""
    return VersionUse(**json.loads(text), model=model)


def decode_metric_change(text: str, model: str) -> MetricChange:
    """The points whose image the text is."""
    raw = json.loads(text)
    points = tuple(Point(key, step, _number(value), time) for key, step, value, time in raw.pop("points"))
    return MetricChange(**_typed(raw), points=points, model=model)


def _default(field: Field[Any]) -> object:
    return field.default_factory() if field.default_factory is not MISSING else field.default


# Of each kind: its fields' names, their defaults, and what gets all their values at once.
_FIELDS: dict[type, tuple[tuple[str, ...], tuple[object, ...], Callable[[object], tuple[object, ...]]]] = {
    kind: (
        tuple(field.name for field in fields(kind)),
        tuple(_default(field) for field in fields(kind)),
        attrgetter(*(field.name for field in fields(kind))),
    )
    for kind in (Model, ModelCard, ModelVersion, Run, RunStep, Artifact, MetricChange, VersionUse)
}


def _plain(image: Resource | ModelCard) -> dict[str, Any]:
    names, defaults, values = _FIELDS[type(image)]
    return {
        name: value for name, value, default in zip(names, values(image), defaults, strict=True) if value != default
    }


def _with_facts(raw: dict[str, Any], convert: Callable[[Any], object]) -> dict[str, Any]:
    for name in ("metadata", "parameters"):
        if facts := raw.get(name):
            raw[name] = {key: convert(value) for key, value in facts.items()}
    return raw


def _typed(raw: dict[str, Any], **enums: type[StrEnum]) -> dict[str, Any]:
    """The fields of an image with the types that JSON does not know."""
    for name in ("tags", "aliases", "deleted_keys"):
        if name in raw:
            raw[name] = tuple(raw[name])
    for name, kind in enums.items():
        if name in raw:
            raw[name] = kind(raw[name])
    return _with_facts(raw, _decode_value)


def _encode_value(value: Value) -> object:
    match value:
        case bool() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"number": str(value)}
        case Time(micros):
            return {"time": micros}
        case Uri(text):
            return {"uri": text}
        case tuple():
            return [_encode_value(item) for item in value]
        case Mapping():
            return {"map": {key: _encode_value(item) for key, item in value.items()}}


def _decode_value(raw: Any) -> Value:
    match raw:
        case bool() | str() | float():
            return raw
        case int():
            return float(raw)
        case list():
            return tuple(_decode_value(item) for item in raw)
        case {"number": text}:
            return float(text)
        case {"time": micros}:
            return Time(micros)
        case {"uri": text}:
            return Uri(text)
        case {"map": items}:
            return {key: _decode_value(item) for key, item in items.items()}
        case _:
            raise ValueError(f"not a metadata value: {raw!r}")


def _number(raw: Any) -> float:
    return float(raw["number"]) if isinstance(raw, dict) else float(raw)
