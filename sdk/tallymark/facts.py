"""Metadata values, times and durations to and from messages of the contract."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import NULL_VALUE
from google.protobuf.timestamp_pb2 import Timestamp

from tallymark.arguments import described, encodable
from tallymark.errors import InvalidField
from tallymark.resources import Value
from tallymark.v1 import model_pb2
from tallymark.values import Uri

# From here on not every whole number is a double.
_LARGEST_WHOLE = 2**53


def time_to(moment: datetime | None) -> Timestamp | None:
    """The time as a message; a naive one is in local time."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment.astimezone(UTC))
    return message


def duration_to(duration: timedelta | None) -> Duration | None:
    """The duration as a message."""
    if duration is None:
        return None
    message = Duration()
    message.FromTimedelta(duration)
    return message


def metadata_to(metadata: Mapping[str, object]) -> dict[str, model_pb2.MetadataValue]:
    """Metadata as messages; InvalidField for a value of a type that the registry does not keep."""
    if not all(isinstance(key, str) for key in metadata):
        raise InvalidField("metadata keys are text")
    return {encodable(key, "a metadata key"): _value_to(key, value) for key, value in metadata.items()}


def _value_to(key: str, value: Any) -> model_pb2.MetadataValue:
    match value:
        case None:
            return model_pb2.MetadataValue(null=NULL_VALUE)
        case bool():
            return model_pb2.MetadataValue(flag=value)
        case int():
            return _whole_to(key, value)
        case float():
            return model_pb2.MetadataValue(number=value)
        case Uri():
            return model_pb2.MetadataValue(uri=encodable(value, f"metadata[{key!r}]"))
        case str():
            return model_pb2.MetadataValue(text=encodable(value, f"metadata[{key!r}]"))
        case datetime():
            moment = Timestamp()
            moment.FromDatetime(value.astimezone(UTC))
            return model_pb2.MetadataValue(time=moment)
        case list() | tuple():
            items = [_value_to(key, item) for item in value]
            return model_pb2.MetadataValue(list=model_pb2.MetadataList(values=items))
        case Mapping():
            return model_pb2.MetadataValue(map=model_pb2.MetadataMap(values=metadata_to(value)))
        case _ if callable(getattr(value, "item", None)) and getattr(value, "ndim", 0) == 0:
            return _value_to(key, value.item())  # a scalar of numpy, or of a library like it
        case _:
            raise InvalidField(
                f"metadata[{key!r}] is {described(value)}; the registry keeps numbers, text, booleans, None, datetimes,"
                " Uri, and lists and mappings of these"
            )


def _whole_to(key: str, value: int) -> model_pb2.MetadataValue:
    """A whole number as a double if that keeps it exactly, else as 64 bits, else as its digits."""
    if abs(value) <= _LARGEST_WHOLE:
        return model_pb2.MetadataValue(number=value)
    if -(2**63) <= value < 2**63:
        return model_pb2.MetadataValue(integer=value)
    try:
        return model_pb2.MetadataValue(text=format(value, "d"))
    except ValueError:
        raise InvalidField(f"metadata[{key!r}] has more digits than Python writes as text") from None


def facts_of(messages: Mapping[str, model_pb2.MetadataValue]) -> dict[str, Value]:
    """Return the metadata that the messages say, by key."""
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
    """A whole number as an int, which Python also takes where it counts; where a float is asked for an int serves."""
    whole = value.is_integer() and abs(value) <= _LARGEST_WHOLE and (value or math.copysign(1, value) > 0)
    return int(value) if whole else value


def time_of(message: Timestamp) -> datetime:
    """Return the time that the message says, UTC."""
    return message.ToDatetime(tzinfo=UTC)
