"""Statements that only read, written once for all engines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import cast

import msgspec
from msgspec import Struct

from tallymark_server.storage.sql.dialect import Dialect

_encode = msgspec.json.Encoder().encode


class Select(Struct, frozen=True):
    """A statement with its parameters, which it has as `:name`. Their values are integers, texts, bytes or None."""

    text: Callable[[Dialect], str]
    parameters: Mapping[str, object]

    @classmethod
    def of(cls, text: str, parameters: Mapping[str, object]) -> Select:
        """Return a statement that is written in the words of the dialect already, since it is not always the same."""
        return cls(lambda _: text, parameters)


class Statement:
    """A SELECT that is always the same: a function that writes it in the words of a dialect.

    Calling it with the parameters returns the `Select` to fetch.
    """

    __slots__ = ("text",)

    def __init__(self, write: Callable[[Dialect], str]) -> None:
        self.text = cast("Callable[[Dialect], str]", cache(write))  # of typeshed it takes anything

    def __call__(self, **parameters: object) -> Select:
        return Select(self.text, parameters)


def parameter(values: Iterable[object]) -> str:
    """Return keys as the parameter that `Dialect.keys` reads: values, or tuples of values for several columns."""
    return _encode(list(values)).decode()
