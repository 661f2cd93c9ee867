"""Conversion of metadata, times and durations to the contract's messages and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import NULL_VALUE
from google.protobuf.timestamp_pb2 import Timestamp

from tallymark.conversion.recordable import Recorded, metadata_or_raise
from tallymark.types.enums import Uri
from tallymark.types.resources import Value
from tallymark.v1 import model_pb2

# A double holds every whole number up to this one.
_LARGEST_WHOLE = 2**53


def time_to(moment: datetime | None) -> Timestamp | None:
    """Return the time as a message; a naive one is in local time."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment.astimezone(UTC))
    return message


def duration_to(duration: timedelta | None) -> Duration | None:
    """Return the duration as a message."""
    if duration is None:
        return None
    message = Duration()
    message.FromTimedelta(duration)
    return message


def metadata_to(metadata: Mapping[str, object]) -> dict[str, model_pb2.MetadataValue]:
    """Return metadata as messages, converted by `tallymark.conversion`. Raises InvalidField."""
    converted = metadata if isinstance(metadata, Recorded) else metadata_or_raise(metadata)
    return {key: _value_to(value) for key, value in converted.items()}


def _value_to(value: Value) -> model_pb2.MetadataValue:
    match value:
        case None:
            return model_pb2.MetadataValue(null=NULL_VALUE)
        case bool():
            return model_pb2.MetadataValue(flag=value)
        case int() if abs(value) > _LARGEST_WHOLE:
            return model_pb2.MetadataValue(integer=value)
        case int() | float():
            return model_pb2.MetadataValue(number=value)
        case Uri():
            return model_pb2.MetadataValue(uri=value)
        case str():
            return model_pb2.MetadataValue(text=value)
        case datetime():
            return model_pb2.MetadataValue(time=time_to(value))
        case list():
            return model_pb2.MetadataValue(list=model_pb2.MetadataList(values=map(_value_to, value)))
        case dict():
            items = {key: _value_to(item) for key, item in value.items()}
            return model_pb2.MetadataValue(map=model_pb2.MetadataMap(values=items))


def values_of(messages: Mapping[str, model_pb2.MetadataValue]) -> dict[str, Value]:
    """Return the metadata in the messages, by key."""
    return {key: _value_of(value) for key, value in sorted(messages.items())}


def _value_of(message: model_pb2.MetadataValue) -> Value:
    match message.WhichOneof("kind"):
        case "number":
            return _number_of(message.number)
        case "integer":
            return message.integer
        case "null":
            return None
        case "flag":
            return message.flag
        case "time":
            return time_of(message.time)
        case "uri":
            return Uri(message.uri)
        case "list":
            return [_value_of(item) for item in message.list.values]
        case "map":
            return {key: _value_of(item) for key, item in message.map.values.items()}
        case _:
            return message.text


def _number_of(value: float) -> float:
    """Return a whole number as an int, which Python accepts as an index, and also as a float."""
    whole = value.is_integer() and abs(value) <= _LARGEST_WHOLE and (value or math.copysign(1, value) > 0)
    return int(value) if whole else value


def time_of(message: Timestamp) -> datetime:
    """Return the time in the message, UTC."""
    return message.ToDatetime(tzinfo=UTC)
