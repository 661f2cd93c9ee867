"""The format JSON: numbers, texts, lists and mappings, and values that can be converted to these."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from tallymark.arguments import described
from tallymark.errors import InvalidArgument

# A larger array should be saved in a format for arrays.
MAX_ITEMS = 100_000


def is_plain(value: Any) -> bool:
    """Return whether the value can be written as JSON."""
    try:
        plain(value)
    except InvalidArgument:
        return False
    return True


def write_json(value: Any, path: Path) -> None:
    """Write the value as JSON. Raises InvalidArgument with the part that cannot be converted."""
    path.write_text(json.dumps(plain(value), ensure_ascii=False), encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a value from a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def plain(value: Any, where: str = "the value") -> Any:
    """Convert the value to numbers, texts, lists and mappings. Raises InvalidArgument.

    Numbers and arrays of numpy become numbers and lists, times and dates ISO 8601, dataclasses mappings, enums their
    values, paths, UUIDs and decimals text.
    """
    if type(value).__name__ in {"NAType", "NaTType"} and type(value).__module__.startswith("pandas"):
        return None
    match value:
        case None | bool():
            return value
        case enum.Enum():
            return plain(value.value, where)
        case int() | float() | str():
            # Convert subclasses, such as numpy.float64, to the plain type.
            return next(kind(value) for kind in (int, float, str) if isinstance(value, kind))
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return value.total_seconds()
        case decimal.Decimal() | uuid.UUID() | PurePath():
            return str(value)
        case _:
            return _composed(value, where)


def _composed(value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name), f"{where}.{field.name}")
            for field in dataclasses.fields(value)
        }
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict(), where)
    if isinstance(value, Mapping):
        return {_key(key, where): plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{place}]") for place, item in enumerate(value)]
    if isinstance(value, set | frozenset):
        return sorted((plain(item, where) for item in value), key=lambda item: (str(type(item)), str(item)))
    if _is_array(value):
        if value.size > MAX_ITEMS:
            raise InvalidArgument(f"{where} is an array of {value.size} items, too many for JSON; save it by itself")
        if value.dtype.kind == "M":
            return value.astype(str).tolist()
        return plain(value.tolist(), where)
    raise InvalidArgument(f"{where} is {described(value)}, which JSON does not hold")


def _key(key: Any, where: str) -> str:
    if isinstance(key, bool) or not isinstance(key, str | int | enum.Enum):
        raise InvalidArgument(f"{where} has the key {key!r}; keys of JSON are text")
    return str(key.value if isinstance(key, enum.Enum) else key)


def _is_array(value: Any) -> bool:
    return type(value).__module__ == "numpy" and hasattr(value, "dtype") and value.dtype.kind in "biufMSU"
