"""Images as JSON: what an event keeps of a resource. A field that has its default is left out.

What a projection knows better is left out too, and comes back as an argument: a model's last number and the name of the
model to which a version or a run belongs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from operator import attrgetter
from typing import Any

from tallymark_server.domain.model import Model, ModelCard, ModelVersion, Run, RunState, Stage, Time, Uri, Value

_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def encode(image: Model | ModelVersion | Run) -> str:
    """The image as JSON text."""
    raw = _plain(image)
    raw.pop("last_number", None)
    if isinstance(image, Model):
        if card := _plain(image.card):
            raw["card"] = card
        else:
            raw.pop("card", None)
    else:
        raw.pop("model", None)
    if metadata := raw.get("metadata"):
        raw["metadata"] = {key: _encode_value(value) for key, value in metadata.items()}
    return _encoder.encode(raw)


def decode_model(text: str, last_number: int) -> Model:
    """The model whose image the text is."""
    raw = json.loads(text)
    if card := raw.get("card"):
        raw["card"] = ModelCard(**{**card, "tags": tuple(card.get("tags", ()))})
    return Model(**raw, last_number=last_number)


def decode_version(text: str, model: str) -> ModelVersion:
    """The version whose image the text is."""
    raw = json.loads(text)
    for name in ("tags", "aliases"):
        if name in raw:
            raw[name] = tuple(raw[name])
    if "stage" in raw:
        raw["stage"] = Stage(raw["stage"])
    if metadata := raw.get("metadata"):
        raw["metadata"] = {key: _decode_value(value) for key, value in metadata.items()}
    return ModelVersion(**raw, model=model)


def decode_run(text: str, model: str | None) -> Run:
    """The run whose image the text is."""
    raw = json.loads(text)
    if "state" in raw:
        raw["state"] = RunState(raw["state"])
    return Run(**raw, model=model)


def _default(field: Field[Any]) -> object:
    return field.default_factory() if field.default_factory is not MISSING else field.default


# Of each kind: its fields' names, their defaults, and what gets all their values at once.
_FIELDS: dict[type, tuple[tuple[str, ...], tuple[object, ...], Callable[[object], tuple[object, ...]]]] = {
    kind: (
        tuple(field.name for field in fields(kind)),
        tuple(_default(field) for field in fields(kind)),
        attrgetter(*(field.name for field in fields(kind))),
    )
    for kind in (Model, ModelCard, ModelVersion, Run)
}


def _plain(image: Model | ModelCard | ModelVersion | Run) -> dict[str, Any]:
    names, defaults, values = _FIELDS[type(image)]
    return {
        name: value for name, value, default in zip(names, values(image), defaults, strict=True) if value != default
    }


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
