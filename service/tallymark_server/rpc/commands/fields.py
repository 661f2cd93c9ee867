"""Convert the fields that messages of all services have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tallymark.v1 import (
    model_pb2,
)
from tallymark_server.domain import commands as c
from tallymark_server.domain import metadata, naming, reference
from tallymark_server.domain.errors import InvalidField
from tallymark_server.domain.model import (
    ModelCard,
    Stage,
    Time,
    Uri,
    Value,
)
from tallymark_server.registry import NOW, ReadAt
from tallymark_server.rpc.bounds import MAX_DEPTH

# The years 1 to 9999, the range of google.protobuf.Timestamp.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
_PLAIN_VERSION = c.NewVersion()
_STAGES = {
    model_pb2.STAGE_NONE: Stage.NONE,
    model_pb2.STAGE_STAGING: Stage.STAGING,
    model_pb2.STAGE_PRODUCTION: Stage.PRODUCTION,
    model_pb2.STAGE_ARCHIVED: Stage.ARCHIVED,
}


class Attempt(TypedDict):
    """The fields that every command has about its request."""

    project: str
    actor: str
    request_id: str
    fingerprint: bytes
    validate_only: bool


def attempt(request: Any, project: str, actor: str) -> Attempt:
    """Return the fields that every command has about its request. Raises InvalidField."""
    return Attempt(
        project=project,
        actor=actor,
        request_id=naming.request_id(request.request_id),
        fingerprint=_fingerprint(request) if request.request_id else b"",
        validate_only=getattr(request, "validate_only", False),
    )


def stage(given: model_pb2.Stage.ValueType, field: str) -> Stage:
    """Return the stage. Raises InvalidField."""
    if given not in _STAGES:
        raise InvalidField(field, given, "name one of none, staging, production, archived")
    return _STAGES[given]


def card(model: model_pb2.Model) -> ModelCard:
    """Return the card of a model. Raises ValueTooLarge and others."""
    texts = {
        name: naming.prose(getattr(model, name), f"model.{name}")
        for name in ("description", "license", "audience", "use_cases", "limitations", "trade_offs", "ethics")
    }
    return ModelCard(**texts, tags=naming.tags(tuple(model.tags), "model.tags"), metadata=facts(model.metadata))


def new_version(version: model_pb2.ModelVersion) -> c.NewVersion:
    """Return the version to be created. Raises InvalidField and others."""
    if not version.ByteSize():
        return _PLAIN_VERSION
    name = naming.version_name(version.version_name, "model_version.version_name") if version.version_name else None
    return c.NewVersion(
        name=name,
        description=naming.prose(version.description, "model_version.description"),
        tags=naming.tags(tuple(version.tags), "model_version.tags"),
        metadata=facts(version.metadata),
    )


def config(config: model_pb2.ModelConfig) -> c.Config:
    """Return the config of a `Model(name, version)` in a program. Raises InvalidField and others."""
    return c.Config(
        model=naming.model_name(config.model, "config.model"),
        reference=reference.parse_selector(config.version, "config.version"),
        card=card(config.new_model),
        version=new_version(config.new_version),
    )


def paths(asked: Iterable[str], known: Mapping[str, str]) -> list[str]:
    """Return the domain's names of the paths of an update mask. Raises InvalidField."""
    paths = list(dict.fromkeys(asked))
    if not paths:
        raise InvalidField("update_mask", "empty", f"name the fields to change, of {', '.join(known)}")
    for path in paths:
        if path not in known:
            raise InvalidField("update_mask", path, f"the fields that can be changed are {', '.join(known)}")
    return paths


def facts(values: Mapping[str, model_pb2.MetadataValue], field: str = "metadata") -> dict[str, Value]:
    """Return typed facts by key. Raises InvalidField or ValueTooLarge."""
    if not values:
        return {}
    return metadata.checked({key: _value(f"{field}[{key!r}]", value) for key, value in values.items()}, field)


def micros(time: Timestamp, field: str) -> int:
    """Return the time as microseconds since 1970, UTC. Raises InvalidField."""
    if not (_FIRST_SECOND <= time.seconds <= _LAST_SECOND and 0 <= time.nanos < 1_000_000_000):
        raise InvalidField(field, time.seconds, "a time is of the years 1 to 9999")
    return time.seconds * 1_000_000 + time.nanos // 1000


def read_at(request: Any) -> ReadAt:
    """Return the revision or time at which the request reads. Raises InvalidField."""
    match request.WhichOneof("read_at"):
        case "read_revision":
            if request.read_revision < 1:
                raise InvalidField(
                    "read_revision", request.read_revision, "revisions go from 1; without it, now is read"
                )
            return ReadAt(revision=request.read_revision)
        case "read_time":
            return ReadAt(time=micros(request.read_time, "read_time"))
        case _:
            return NOW


def _fingerprint(request: Message) -> bytes:
    """Return a digest of the type and content of the request, independent of its encoding."""
    content = request.SerializeToString(deterministic=True)
    return hashlib.sha256(request.DESCRIPTOR.full_name.encode() + b"\0" + content).digest()[:16]


def _value(field: str, value: model_pb2.MetadataValue, depth: int = 0) -> Value:
    if depth > MAX_DEPTH:
        raise InvalidField(field, "nested", f"lists and maps lie in each other at most {MAX_DEPTH} deep")
    match value.WhichOneof("kind"):
        case "number":
            return value.number
        case "text":
            return value.text
        case "flag":
            return value.flag
        case "time":
            return Time(micros(value.time, field))
        case "uri":
            return Uri(value.uri)
        case "list":
            return tuple(_value(field, item, depth + 1) for item in value.list.values)
        case "null":
            return None
        case "integer":
            return metadata.whole(value.integer)
        case "map":
            return {name: _value(field, item, depth + 1) for name, item in value.map.values.items()}
        case None:
            kinds = "a number, text, flag, time, uri, list, map, null or integer"
            raise InvalidField(field, "empty", f"give it {kinds}")
