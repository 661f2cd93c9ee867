"""Images as JSON: the state of a resource in an event. A field that has its default is left out.

What a projection knows better is left out too, and comes back as an argument: a model's last number and the name of the
resource's model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import msgspec
from msgspec.structs import replace

from tallymark_server.domain.errors import DataDamaged
from tallymark_server.domain.model import (
    Artifact,
    ArtifactRole,
    ArtifactType,
    Erasure,
    MetricChange,
    Model,
    ModelCard,
    ModelVersion,
    Point,
    Project,
    RecordingProblem,
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

P = ParamSpec("P")
T = TypeVar("T")
# The text that is read in place of a damaged image begins with this, and ends with the revision.
DAMAGED = "damaged "
_encoder = msgspec.json.Encoder()


def _of_whole(decode: Callable[P, T]) -> Callable[P, T]:
    """Raise DataDamaged for an image that cannot be decoded, such as that of another kind of resource."""

    @wraps(decode)
    def decoded(*given: P.args, **named: P.kwargs) -> T:
        try:
            return decode(*given, **named)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataDamaged(f"an event cannot be read: {error!r}") from None

    return decoded


def encode(image: Resource) -> str:
    """Return the image as JSON text."""
    match image:
        case ModelVersion():
            kept: Any = replace(image, model="")
            if image.metadata:
                kept = replace(kept, metadata=_plain(image.metadata))
        case Model():
            kept = replace(image, last_number=0, holders=None)
            if image.card.metadata:
                kept = replace(kept, card=replace(image.card, metadata=_plain(image.card.metadata)))
        case Erasure():
            kept = replace(image, model=None)
        case Run() | RunStep():
            kept = replace(image, model=None, parameters=_plain(image.parameters))
        case MetricChange():
            points = [[point.key, point.step, _encode_value(point.value), point.time] for point in image.points]
            kept = replace(image, model="", points=points)
        case Artifact() | VersionUse():
            kept = replace(image, model="")
        case Project():
            kept = image
    return _encoder.encode(kept).decode()


@_of_whole
def decode_model(text: str, last_number: int) -> Model:
    """Return the model whose image the text is."""
    raw = _decode(text)
    raw["card"] = ModelCard(**_typed(raw.get("card", {})))
    return Model(**raw, last_number=last_number)


@_of_whole
def decode_version(text: str, model: str) -> ModelVersion:
    """Return the version whose image the text is."""
    return ModelVersion(**_typed(_decode(text), stage=Stage, run_state=RunState), model=model)


@_of_whole
def decode_run(text: str, model: str | None) -> Run:
    """Return the run whose image the text is."""
    raw = _typed(_decode(text), state=RunState)
    problems = tuple(RecordingProblem(**problem) for problem in raw.pop("recording_problems", ()))
    return Run(**raw, recording_problems=problems, model=model)


@_of_whole
def decode_step(text: str, model: str | None) -> RunStep:
    """Return the step whose image the text is."""
    return RunStep(**_typed(_decode(text), state=RunState), model=model)


@_of_whole
def decode_artifact(text: str, model: str) -> Artifact:
    """Return the artifact whose image the text is."""
    return Artifact(**_typed(_decode(text), type=ArtifactType, role=ArtifactRole), model=model)


@_of_whole
def decode_use(text: str, model: str) -> VersionUse:
    """Return the use whose image the text is."""
    return VersionUse(**_decode(text), model=model)


@_of_whole
def decode_erasure(text: str, model: str | None) -> Erasure:
    """Return the erasure whose image the text is."""
    raw = _decode(text)
    return Erasure(**{**raw, "paths": tuple(raw["paths"])}, model=model)


@_of_whole
def decode_project(text: str) -> Project:
    """Return the project whose image the text is."""
    return Project(**_decode(text))


@_of_whole
def decode_metric_change(text: str, model: str) -> MetricChange:
    """Return the points whose image the text is."""
    raw = _decode(text)
    points = tuple(Point(key, step, _number(value), time) for key, step, value, time in raw.pop("points", ()))
    return MetricChange(**_typed(raw), points=points, model=model)


def _decode(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        if text.startswith(DAMAGED):
            revision = int(text.removeprefix(DAMAGED))
            raise DataDamaged(f"revision {revision:,} is not what was recorded", revision) from None
        raise ValueError(str(error)) from None


def _plain(facts: Mapping[str, Value]) -> dict[str, object]:
    return {key: _encode_value(value) for key, value in facts.items()}


def _typed(raw: dict[str, Any], **enums: type[StrEnum]) -> dict[str, Any]:
    """Return the fields of an image with the types that JSON does not have."""
    for name in ("tags", "aliases", "deleted_keys"):
        if name in raw:
            raw[name] = tuple(raw[name])
    for name, kind in enums.items():
        if name in raw:
            raw[name] = kind(raw[name])
    for name in ("metadata", "parameters"):
        if name in raw:
            raw[name] = {key: _decode_value(value) for key, value in raw[name].items()}
    return raw


def _encode_value(value: Value) -> object:
    match value:
        case bool() | str() | None:
            return value
        case int():
            # As text: readers in other languages would read a number as a double, and round it.
            return {"integer": str(value)}
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
        case bool() | str() | float() | None:
            return raw
        case int():
            return float(raw)
        case list():
            return tuple(_decode_value(item) for item in raw)
        case {"number": text}:
            return float(text)
        case {"integer": text}:
            return int(text)
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
