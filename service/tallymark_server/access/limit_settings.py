"""The tables `[limits]` and `[quotas]` of the file of settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tallymark_server.access.limits import NO_LIMITS, NO_QUOTA, Limits, LimitSettings, Quota

_UNITS = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"(\d{1,6})\s?(kB|MB|GB|TB)?")
_MAX = 10**15

Numbers = TypeVar("Numbers", Limits, Quota)


class InvalidLimitError(Exception):
    """A limit or a quota cannot be read. The message says why, and what to write."""


def parse_limits(limits: Any, quotas: Any) -> LimitSettings:
    """Return the limits and quotas of the two tables, each None if there is none. Raises InvalidLimitError."""
    base, callers = _with_names("limits", limits, "callers", NO_LIMITS)
    quota, projects = _with_names("quotas", quotas, "projects", NO_QUOTA)
    return LimitSettings(base, callers, quota, projects)


def _with_names(table: str, found: Any, names: str, empty: Numbers) -> tuple[Numbers, dict[str, Numbers]]:
    """Return what a table sets for all, and for those in the table of names, who have the rest from all."""
    values = dict(_table(table, {} if found is None else found))
    named = _table(f"{table}.{names}", values.pop(names, {}))
    base = _read(table, values, empty)
    return base, {name: _read(f"{table}.{names}.{name}", each, base) for name, each in named.items()}


def _table(where: str, found: Any) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise InvalidLimitError(f"{where} is no table; write [{where}], and a line for each limit below it")
    return found


def _read(where: str, found: Any, base: Numbers) -> Numbers:
    values: dict[str, Any] = {}
    for key, value in _table(where, found).items():
        field = key.replace("-", "_")
        if field not in base._fields:
            known = ", ".join(name.replace("_", "-") for name in base._fields)
            raise InvalidLimitError(f"[{where}] sets {key}, which is no limit; those are {known}")
        values[field] = _reader(field)(f"{key} in [{where}]", value)
    return base._replace(**values)


def _reader(field: str) -> Callable[[str, Any], float]:
    return {"bytes_per_day": _size, "rate": _number}.get(field, _whole)


def _whole(where: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MAX:
        raise InvalidLimitError(f"{where} is {value!r}; write a whole number, or 0 for no limit")
    return value


def _number(where: str, value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= _MAX:
        raise InvalidLimitError(f"{where} is {value!r}; write a number, or 0 for no limit")
    return float(value)


def _size(where: str, value: Any) -> int:
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found:
        return int(found[1]) * _UNITS[found[2] or ""]
    if isinstance(value, str):
        raise InvalidLimitError(f"{where} is {value!r}; write a number of bytes, or such as 500 MB or 2 GB")
    return _whole(where, value)
