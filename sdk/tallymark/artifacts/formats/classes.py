"""Check whether values of an annotated class can be saved, before there is a value."""

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

# Classes that are saved as text, bytes or JSON, including their subclasses.
_PLAIN = (
    *(type(None), bool, int, float, str, bytes, list, tuple, dict, set, frozenset, Mapping),
    *(enum.Enum, dt.date, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID, PurePath),
)
# Beyond this number of subclasses, the search is not worth its time.
MAX_SUBCLASSES = 1000


def may_be_saved(hint: object) -> bool:
    """Return False if no format supports any value that the annotation allows, else True.

    Annotations that are not classes, and classes with their own `__instancecheck__` (protocols), allow any value.
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
        # A value may be an instance of a subclass.
        waiting.extend(type.__subclasses__(each))
    return False


def described_class(hint: object) -> str:
    """Return the name of the annotated class, for a message."""
    return hint.__qualname__ if isinstance(hint, type) else str(hint)


def _is_known(kind: type) -> bool:
    return (
        issubclass(kind, _PLAIN)
        or dataclasses.is_dataclass(kind)
        # Scalars of numpy, and missing values of pandas.
        or (kind.__module__ == "numpy" and hasattr(kind, "dtype"))
        or kind.__name__ in {"NAType", "NaTType"}
        or any(each.classes(kind) for each in FORMATS)
    )
