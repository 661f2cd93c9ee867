"""Checks of arguments by the annotations of the methods that take them."""

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
# The bounds of integers in the contract: of the numbers of versions, and of all others.
INT32 = 2**31
INT64 = 2**63


def checked(kind: type[T]) -> type[T]:
    """Decorate a class: its public methods raise InvalidArgument for arguments that contradict their annotations."""
    for name, method in list(vars(kind).items()):
        if inspect.isfunction(method) and not name.startswith("_"):
            setattr(kind, name, _with_checks(method))
    return kind


def _with_checks(method: Callable[..., Any]) -> Callable[..., Any]:
    parameters = inspect.signature(method).parameters.values()
    positional = [each.name for each in parameters if each.kind is not inspect.Parameter.KEYWORD_ONLY]
    # Annotations may name types that are defined further down, so they are read at the first call.
    checks = functools.cache(lambda: _checks_of(method))

    def check_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        def checked_value(name: str, value: Any) -> Any:
            check = checks().get(name)
            return value if check is None else check(value, f"{method.__name__}({name}=...)")

        # Python raises a TypeError for more arguments than there are parameters.
        given = [checked_value(name, value) for name, value in zip(positional, args, strict=False)]
        return [*given, *args[len(positional) :]], {name: checked_value(name, value) for name, value in kwargs.items()}

    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def async_wrapper(*args: Any, **kwargs: Any) -> Any:
            given, named = check_arguments(args, kwargs)
            return await method(*given, **named)

        return async_wrapper

    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        given, named = check_arguments(args, kwargs)
        return method(*given, **named)

    return wrapper


def _checks_of(annotated: Callable[..., Any]) -> dict[str, Check]:
    hints = {name: hint for name, hint in get_type_hints(annotated).items() if name != "return"}
    checks = {name: _check_of(hint, INT32 if name.endswith("number") else INT64) for name, hint in hints.items()}
    return {name: check for name, check in checks.items() if check is not None}


def _check_of(hint: Any, bound: int) -> Check | None:
    """Return the check of values with this annotation, None if there is nothing to check."""
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
    return functools.partial(_integer, bound) if hint is int else _CHECKS.get(hint) or _named_tuple(hint)


def _list_of(kind: Any) -> Check | None:
    """Return the check of a list of this type, which checks the fields of named tuples, too."""
    item = _named_tuple(kind)
    if item is None:
        return (lambda value, what: arguments.list_of(value, kind, what)) if isinstance(kind, type) else None
    return lambda value, what: [item(each, what) for each in arguments.list_of(value, kind, what)]


def _named_tuple(kind: Any) -> Check | None:
    """Return the check of a named tuple and its fields, None if the type is none."""
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


def _datetime(value: Any, what: str) -> datetime:
    if not isinstance(value, datetime):
        raise InvalidArgument(f"{what} takes a datetime, not {arguments.described(value)}")
    return value


def _timedelta(value: Any, what: str) -> timedelta:
    if not isinstance(value, timedelta):
        raise InvalidArgument(f"{what} takes a timedelta, not {arguments.described(value)}")
    return value


_CHECKS: dict[Any, Check] = {
    str: arguments.text,
    bool: _flag,
    float: arguments.real,
    datetime: _datetime,
    timedelta: _timedelta,
}
