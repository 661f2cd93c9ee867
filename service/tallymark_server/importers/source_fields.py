"""Read fields that another program has written. A field of another type raises CorruptError."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tallymark_server.importers.source_model import CorruptError

# 9999-12-31, the last day of a time here, in milliseconds.
_LAST_MILLISECOND = 253_402_300_799_999
# How databases of MLflow store an infinity, since not all of them can represent one.
_LARGEST = 1.7976931348623157e308


def text(raw: Mapping[str, Any], *names: str) -> str:
    """Return the first of these fields that exists, as text, or empty. Raises CorruptError."""
    for name in names:
        value = raw.get(name)
        if value is None:
            continue
        if isinstance(value, str):
            return encodable(value, name)
        if isinstance(value, bool | int | float):
            return str(value)
        raise CorruptError(f"its {name} is no text: {shown(value)}")
    return ""


def encodable(value: str, name: str) -> str:
    """Return the text if it can be encoded. Raises CorruptError."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise CorruptError(f"its {name} is no text that can be written: {shown(value)}") from None
    return value


def whole(raw: Mapping[str, Any], name: str) -> int:
    """Return a field that must be an integer. Raises CorruptError."""
    value = raw.get(name)
    if isinstance(value, str):
        value = value.strip()
        if value.removeprefix("-").isascii() and value.removeprefix("-").isdigit() and len(value) < 20:
            return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value != int(value):
        raise CorruptError(f"its {name} is no whole number: {shown(value)}")
    return int(value)


def micros(raw: Mapping[str, Any], *names: str) -> int | None:
    """Return the first of these times that exists, in microseconds since 1970, or None. Raises CorruptError.

    MLflow stores milliseconds.
    """
    for name in names:
        if raw.get(name) is None:
            continue
        value = whole(raw, name)
        if not 0 <= value <= _LAST_MILLISECOND:
            raise CorruptError(f"its {name} is no time: {shown(value)}")
        return value * 1000
    return None


def number(value: Any, name: str) -> float:
    """Return the value of a metric, which JSON and databases spell if it is not finite. Raises CorruptError."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise CorruptError(f"its {name} is no number: {shown(value)}") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CorruptError(f"its {name} is no number: {shown(value)}")
    return math.copysign(math.inf, value) if abs(value) >= _LARGEST else float(value)


def texts(pairs: Iterable[Mapping[str, Any]], key: str = "key", value: str = "value") -> dict[str, str]:
    """Return the texts of rows of keys and values. Raises CorruptError."""
    return {text(pair, key): text(pair, value) for pair in pairs}


def shown(value: object) -> str:
    """Return the value for a message: short, and on one line."""
    return ascii(value)[:120]
