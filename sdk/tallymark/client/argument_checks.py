"""Methods that take what their signatures say, and tell in one sentence when they are given anything else."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import NoneType, UnionType
from typing import Any, SupportsIndex, TypeVar, Union, get_args, get_origin, get_type_hints

from tallymark import arguments
from tallymark.errors import InvalidArgument

T = TypeVar("T")
Check = Callable[[Any, str], Any]
# The widest that the contract takes: numbers of versions, and everything else.
INT32, INT64 = 2**31, 2**63


def checked(kind: type[T]) -> type[T]:
    """The class, whose public methods raise InvalidArgument for an argument that is not what its annotation says."""
    for name, method in list(vars(kind).items()):
        if inspect.isfunction(method) and not name.startswith("_"):
            setattr(kind, name, _checking(method))
    return kind


def _checking(method: Callable[..., Any]) -> Callable[..., Any]:
    parameters = inspect.signature(method).parameters.values()
    by_place = [each.name for each in parameters if each.kind is not inspect.Parameter.KEYWORD_ONLY]
    # Annotations name types that may be defined further down, so they are read at the first call.
    checks = functools.cache(lambda: _checks_of(method))

    def settled(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        def value_of(name: str, value: Any) -> Any:
            check = checks().get(name)
            return value if check is None else check(value, f"{method.__name__}({name}=...)")

        # More arguments than there are places are refused by the method itself.
        given = [value_of(name, value) for name, value in zip(by_place, args, strict=False)]
        return [*given, *args[len(by_place) :]], {name: value_of(name, value) for name, value in kwargs.items()}

    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            given, named = settled(args, kwargs)
            return await method(*given, **named)

        return awaited

    @functools.wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        given, named = settled(args, kwargs)
        return method(*given, **named)

    return called


def _checks_of(annotated: Callable[..., Any]) -> dict[str, Check]:
    hints = {name: hint for name, hint in get_type_hints(annotated).items() if name != "return"}
    checks = {name: _check_of(hint, INT32 if name.endswith("number") else INT64) for name, hint in hints.items()}
    return {name: check for name, check in checks.items() if check is not None}


def _check_of(hint: Any, bound: int) -> Check | None:
    """What tells whether a value is what the annotation says; None when nothing needs to be told."""
    origin, members = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        others = [member for member in members if member is not NoneType]
        check = _check_of(others[0], bound) if len(others) == 1 else None
        return check and (lambda value, what: None if value is None else check(value, what))
    if origin is Mapping:
        return arguments.mapping
    if origin is Callable:
        return _function
    if origin is Sequence:
        return arguments.texts if members == (str,) else _list_of(members[0])
    return functools.partial(_integer, bound) if hint is int else _CHECKS.get(hint) or _one_of(hint)


def _list_of(kind: Any) -> Check | None:
    """The check of a list of instances, whose fields are checked, too, if they are named tuples."""
    item = _one_of(kind)
    if item is None:
        return (lambda value, what: arguments.list_of(value, kind, what)) if isinstance(kind, type) else None
    return lambda value, what: [item(each, what) for each in arguments.list_of(value, kind, what)]


def _one_of(kind: Any) -> Check | None:
    """The check of a named tuple, each of whose fields is checked, too."""
    if not hasattr(kind, "_fields"):
        return None
    checks = _checks_of(kind)

    def check(value: Any, what: str) -> Any:
        if not isinstance(value, kind):
            raise InvalidArgument(f"{what} takes a {kind.__name__}, not {arguments.described(value)}")
        fields = {name: check(getattr(value, name), f"{kind.__name__}({name}=...)") for name, check in checks.items()}
        return value._replace(**fields)

    return check


def _function(value: Any, what: str) -> Any:
    if not callable(value):
        raise InvalidArgument(f"{what} takes a function, not {arguments.described(value)}")
    return value


def _flag(value: Any, what: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidArgument(f"{what} takes True or False, not {arguments.described(value)}")
    return value


def _integer(bound: int, value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise InvalidArgument(f"{what} takes a whole number, not {arguments.described(value)}")
    number = value.__index__()
    if not -bound <= number < bound:
        raise InvalidArgument(f"{what} takes a number below {bound}, not {number}")
    return number


def _moment(value: Any, what: str) -> datetime:
    if not isinstance(value, datetime):
        raise InvalidArgument(f"{what} takes a datetime, not {arguments.described(value)}")
    return value


def _duration(value: Any, what: str) -> timedelta:
    if not isinstance(value, timedelta):
        raise InvalidArgument(f"{what} takes a timedelta, not {arguments.described(value)}")
    return value


_CHECKS: dict[Any, Check] = {
    str: arguments.text,
    bool: _flag,
    float: arguments.real,
    datetime: _moment,
    timedelta: _duration,
}
