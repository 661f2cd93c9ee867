"""The rules for the metadata of a version."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tallymark_server.domain import naming
from tallymark_server.domain.errors import ValueTooLarge
from tallymark_server.domain.model import Time, Uri, Value

MAX_METADATA = 65_535
MAX_POINTS = 1000


def checked(metadata: dict[str, Value], field: str = "metadata") -> dict[str, Value]:
    """Return the metadata. Raises an error if a key is invalid, or if the whole is too large."""
    if metadata:
        for key in metadata:
            naming.plain_label(key, f"{field} key")
        limit_size(metadata, field)
    return metadata


def merged(old: Mapping[str, Value], new: Mapping[str, Value]) -> dict[str, Value]:
    """Return the old metadata updated with the new. Raises ValueTooLarge if the whole is too large."""
    both = {**old, **new}
    limit_size(both, "metadata")
    return both


def same(one: Value, other: Value) -> bool:
    """Return whether the values are the same, in their types too: to Python, True equals 1.0, and NaN not even NaN."""
    if type(one) is not type(other):
        return False
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
        case tuple(), tuple():
            return len(one) == len(other) and all(map(same, one, other))
        case float(), float():
            return repr(one) == repr(other)
        case _:
            return one == other


def whole(number: int) -> float | int:
    """Return the number as a float if that is exact, else unchanged, so that equal numbers are stored alike."""
    try:
        return float(number) if float(number) == number else number
    except OverflowError:
        return number


def limit_size(metadata: Mapping[str, Value], field: str) -> None:
    """Raise ValueTooLarge beyond 65,535 bytes of JSON, and InvalidField if a text has U+0000."""
    text = _as_json(metadata)
    if (size := len(text.encode())) > MAX_METADATA:
        raise ValueTooLarge(field, MAX_METADATA, "bytes of JSON", size)
    if r"\u0000" in text:
        # A backslash of the text itself looks the same in JSON.
        for value in metadata.values():
            _check_texts(value, field)


def json_size(metadata: Mapping[str, Value]) -> int:
    """Return the size of the metadata in bytes of JSON."""
    return len(_as_json(metadata).encode())


def _as_json(metadata: Mapping[str, Value]) -> str:
    return json.dumps(metadata, default=_plain, ensure_ascii=False, separators=(",", ":"))


def _check_texts(value: Value, field: str) -> None:
    match value:
        case str():
            naming.without_null(value, field)
        case Uri():
            naming.without_null(value.text, field)
        case dict():
            for key, inner in value.items():
                naming.without_null(key, field)
                _check_texts(inner, field)
        case tuple():
            for inner in value:
                _check_texts(inner, field)
        case _:
            pass


def _plain(value: Time | Uri) -> object:
    return value.micros if isinstance(value, Time) else value.text
