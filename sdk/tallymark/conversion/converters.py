"""The converters of types, as the table in `tallymark.conversion` describes them.

Types of other packages are recognised by package and name, so that no package is imported.
"""

from __future__ import annotations

import math
import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from os import PathLike, fsdecode, fspath
from typing import Any
from weakref import WeakKeyDictionary

from tallymark.conversion import arrays, fields
from tallymark.conversion.secrecy import Secrecy, secrecy_of_type
from tallymark.conversion.vocabulary import Converting, LeftOut, Place, type_name
from tallymark.types.enums import Uri
from tallymark.types.resources import Value

MAX_DIGITS = 4_000
MAX_HASHED = 64 * 2**20
# For sequences of other libraries, which may read each item from disk.
MAX_SEQUENCE = 1_000
_INT64 = 2**63

Converter = Callable[[Converting, Any, Place], Value | LeftOut]


def secrecy_and_converter(kind: type) -> tuple[Secrecy, Converter | None]:
    """Return the secrecy of the type's name, and the converter of its values, None if there is none."""
    found = _known.get(kind)
    if found is None:
        found = _known[kind] = (secrecy_of_type(kind), _converter_of(kind))
    return found


def _converter_of(kind: type) -> Converter | None:
    if kind in _EXACT:
        return _EXACT[kind]
    names = _names_of(kind)
    named = next((_BY_NAME[name] for name in names if name in _BY_NAME), None)
    if named is not None:
        return named
    if fields.has_fields(kind):
        return _fields
    based = next((converter for bases, converter in _BY_BASE if issubclass(kind, bases)), None)
    if based is not None:
        return based
    if arrays.is_array(kind):
        return arrays.convert
    return _sequence if issubclass(kind, Sequence) else None


def _names_of(kind: type) -> list[str]:
    """Return the names of the type and its bases, such as `pandas.Timestamp`, without modules inside the package."""
    return [f"{arrays.package_of(each)}.{type_name(each)}" for each in kind.__mro__]


def _int(conversion: Converting, value: int, place: Place) -> Value | LeftOut:
    number = int.__int__(value)
    if -_INT64 <= number < _INT64:
        return number
    if number.bit_length() > 3 * MAX_DIGITS:
        return conversion.left_out(place, f"an int of {number.bit_length():,} bits is too large", int)
    return conversion.text(str(number), place)


def _float(_: Converting, value: float, __: Place) -> Value:
    return float.__float__(value)


def _str(conversion: Converting, value: str, place: Place) -> Value:
    return conversion.text(value, place)


def _uri(conversion: Converting, value: str, place: Place) -> Value:
    return Uri(conversion.text(value, place))


def _datetime(conversion: Converting, value: datetime, place: Place) -> Value:
    # `astimezone` of subclasses, such as that of pandas, raises for times without a time zone.
    parts = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    moment = datetime(*parts, tzinfo=value.tzinfo, fold=value.fold)
    try:
        return moment.astimezone(UTC)
    except (OverflowError, ValueError, OSError):  # at the ends of the years 1 to 9999
        return conversion.text(moment.isoformat(), place)


def _iso(conversion: Converting, value: date | time, place: Place) -> Value:
    return conversion.text(value.isoformat(), place)


def _seconds(_: Converting, value: timedelta, __: Place) -> Value:
    return float(value.total_seconds())


def _enum(conversion: Converting, value: Enum, place: Place) -> Value | LeftOut:
    if issubclass(type(value), int | float | str) or value.name is None:
        return conversion.value(value.value, place)
    return conversion.text(value.name, place)


def _bytes(conversion: Converting, value: bytes | bytearray | memoryview, place: Place) -> Value | LeftOut:
    size = memoryview(value).nbytes
    if size > MAX_HASHED:
        return conversion.described(place, f"{type_name(type(value))} ({size:,} bytes)", "it is too large for a digest")
    import hashlib

    return conversion.text(f"sha256:{hashlib.sha256(value).hexdigest()} ({size:,} bytes)", place)


def _list(conversion: Converting, value: Any, place: Place) -> Value | LeftOut:
    return conversion.items(value, len(value), type(value), place)


def _range(conversion: Converting, value: range, place: Place) -> Value | LeftOut:
    if value.stop - value.start > 10**18 or len(value) > min(conversion.limits.items, 1_000):
        return conversion.text(repr(value), place)
    return _list(conversion, value, place)


def _set(conversion: Converting, value: set[Any], place: Place) -> Value | LeftOut:
    found = conversion.items(value, len(value), type(value), place)
    return sorted(found, key=_sort_key) if isinstance(found, list) else found


def _sort_key(item: Value) -> tuple[int, Any]:
    """Return a sort key: numbers before texts before the rest, which includes NaN."""
    if isinstance(item, int | float) and not math.isnan(item):
        return 0, item
    return (1, item) if isinstance(item, str) else (2, repr(item))


def _mapping(conversion: Converting, value: Mapping[Any, Any], place: Place) -> Value | LeftOut:
    pairs = dict.items(value) if isinstance(value, dict) else value.items()
    return conversion.entries(value, pairs, type(value), place)


def _fields(conversion: Converting, value: Any, place: Place) -> Value | LeftOut:
    return conversion.entries(value, _read(conversion, value, place), type(value), place)


def _read(conversion: Converting, value: Any, place: Place) -> Iterator[tuple[str, Any]]:
    """Yield the fields with their values; a field that cannot be read is left out."""
    for name in fields.names_of(value):
        try:
            found = getattr(value, name)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a property may raise anything
            conversion.left_out(place.of(name), f"reading it raised {type_name(type(error))}")
        else:
            yield name, found


def _sequence(conversion: Converting, value: Sequence[Any], place: Place) -> Value | LeftOut:
    count = len(value)
    if count > MAX_SEQUENCE:
        return conversion.described(place, f"{type_name(type(value))} ({count:,} items)", "it is only described")
    return conversion.items(value, count, type(value), place)


def _qualified(conversion: Converting, value: Any, place: Place) -> Value:
    name = getattr(value, "__qualname__", None) or value.__name__
    module = getattr(value, "__module__", None)
    return conversion.text(f"{module}.{name}" if module and module != "builtins" else str(name), place)


def _partial(conversion: Converting, value: Any, place: Place) -> Value | LeftOut:
    return conversion.value(value.func, place)


def _pattern(conversion: Converting, value: Any, place: Place) -> Value | LeftOut:
    return conversion.value(value.pattern, place)


def _path(conversion: Converting, value: PathLike[Any], place: Place) -> Value:
    return conversion.text(fsdecode(fspath(value)), place)


def _to_text(conversion: Converting, value: Any, place: Place) -> Value:
    return conversion.text(str(value), place)


def _decimal(conversion: Converting, value: Any, place: Place) -> Value:
    number = float(value)
    return number if not value.is_finite() or type(value)(repr(number)) == value else conversion.text(str(value), place)


def _missing(_: Converting, __: Any, ___: Place) -> Value:
    return None


def _namespace(conversion: Converting, value: Any, place: Place) -> Value | LeftOut:
    return conversion.entries(value, vars(value).items(), type(value), place)


_BY_NAME: dict[str, Converter] = {
    "pandas.NaTType": _missing,
    "pandas.NAType": _missing,
    "decimal.Decimal": _decimal,
    "functools.partial": _partial,
    "re.Pattern": _pattern,
    "argparse.Namespace": _namespace,
    "types.SimpleNamespace": _namespace,
    **dict.fromkeys(
        (
            *("builtins.complex", "fractions.Fraction", "uuid.UUID", "zoneinfo.ZoneInfo", "datetime.tzinfo"),
            *("ipaddress.IPv4Address", "ipaddress.IPv6Address", "ipaddress.IPv4Network", "ipaddress.IPv6Network"),
            *(
                "numpy.dtype",
                "pandas.Interval",
                "pandas.Period",
                "torch.dtype",
                "torch.device",
                "collections.UserString",
            ),
        ),
        _to_text,
    ),
}
# In this order: an IntEnum is an int, a pandas.Timestamp a datetime, and a datetime a date.
_BY_BASE: list[tuple[type | tuple[type, ...], Converter]] = [
    (Enum, _enum),
    (Uri, _uri),
    (str, _str),
    (int, _int),
    (float, _float),
    (datetime, _datetime),
    ((date, time), _iso),
    (timedelta, _seconds),
    ((bytes, bytearray, memoryview), _bytes),
    ((dict, Mapping), _mapping),
    ((set, frozenset), _set),
    ((list, tuple, deque), _list),
    (PathLike, _path),
    (type, _qualified),
]
_EXACT: dict[type, Converter] = {
    range: _range,
    type({}.keys()): _list,
    type({}.values()): _list,
    type({}.items()): _list,
    types.BuiltinFunctionType: _qualified,
    types.FunctionType: _qualified,
    types.MethodType: _qualified,
    types.ModuleType: _qualified,
}
# A cache, because finding the converter takes longer than a conversion.
_known: WeakKeyDictionary[type, tuple[Secrecy, Converter | None]] = WeakKeyDictionary()
