"""Whether values of a class may be saved at all, as far as an annotation says so before there is a value."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import types
import uuid
from collections.abc import Mapping
from pathlib import PurePath
from typing import Union, get_args, get_origin

from tallymark.artifacts.formats import FORMATS

# Classes that become text, bytes or JSON, with all that inherit from them.
_PLAIN = (
    *(type(None), bool, int, float, str, bytes, list, tuple, dict, set, frozenset, Mapping),
    *(enum.Enum, dt.date, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID, PurePath),
)
# A class that others inherit from thousands of times is not looked through.
MAX_SUBCLASSES = 1000


def may_be_saved(hint: object) -> bool:
    """Return False if no value that the annotation allows is in a format that is known, True if one may be.

    What is no class, and a class that decides by itself what its instances are, such as a protocol, allow anything.
    """
    if get_origin(hint) in (Union, types.UnionType):
        return any(map(may_be_saved, get_args(hint)))
    kind = get_origin(hint) or hint
    if not isinstance(kind, type) or kind is object or type(kind).__instancecheck__ is not type.__instancecheck__:
        return True
    waiting, seen = [kind], 0
    while waiting:
        each = waiting.pop()
        seen += 1
        if seen > MAX_SUBCLASSES or _is_known(each):
            return True
        # A value of the class may be one of a class that inherits from it.
        waiting.extend(type.__subclasses__(each))
    return False


def described_class(hint: object) -> str:
    """Return what the annotation allows, for a message."""
    return hint.__qualname__ if isinstance(hint, type) else str(hint)


def _is_known(kind: type) -> bool:
    return (
        issubclass(kind, _PLAIN)
        or dataclasses.is_dataclass(kind)
        # A number of numpy, and what pandas has for a missing value.
        or (kind.__module__ == "numpy" and hasattr(kind, "dtype"))
        or kind.__name__ in {"NAType", "NaTType"}
        or any(each.classes(kind) for each in FORMATS)
    )
