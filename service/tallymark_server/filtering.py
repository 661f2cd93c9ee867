"""Reads filters, in the language of https://aip.dev/160, into conditions.

stage = "production" AND metadata.auc > 0.9
tags:growth OR tags:retention            OR binds tighter than AND
NOT create_time < "2026-01-01T00:00:00Z"
version_name = "rc-*" (creator:ana)      two terms side by side must both hold
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken, VisitError

from tallymark_server.domain.conditions import All, AnyOf, Comparator, Comparison, Condition, Fields, Kind, Negation
from tallymark_server.domain.errors import InvalidFilter, ValueTooLarge
from tallymark_server.domain.model import Time

MAX_FILTER = 8192
MAX_TERMS = 100
MAX_PARENTHESES = 50

_GRAMMAR = r"""
start: expression?
expression: sequence ("AND" sequence)*
sequence: factor+
factor: term ("OR" term)*
?term: ("NOT" | "-") simple -> negation
    | simple
?simple: comparison | "(" expression ")"
comparison: field COMPARATOR value
field: (WORD | STRING) ("." (WORD | STRING))*
value: STRING | NUMBER | WORD
COMPARATOR: "<=" | ">=" | "!=" | "<" | ">" | "=" | ":"
NUMBER.2: /-?\d+(\.\d+)?([eE][+-]?\d+)?(?![\w*-])/
STRING: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/
WORD.1: /(?!(AND|OR|NOT)\b)[^\s()<>=!:"',.-][^\s()<>=!:"',.]*/
%ignore /\s+/
"""
_EXPECTED = {
    "COMPARATOR": "one of = != < <= > >= :",
    "LPAR": "(",
    "RPAR": ")",
    "WORD": "a word",
    "STRING": "text in quotes",
    "NUMBER": "a number",
    "AND": "AND",
    "OR": "OR",
    "NOT": "NOT",
    "MINUS": "-",
    "DOT": ".",
    "$END": "the end",
}
_ORDERED = (Comparator.LESS, Comparator.AT_MOST, Comparator.MORE, Comparator.AT_LEAST)
_EQUAL = (Comparator.EQUAL, Comparator.UNEQUAL)
_ALLOWED = {
    Kind.TEXT: (*_EQUAL, *_ORDERED, Comparator.HAS),
    Kind.NUMBER: (*_EQUAL, *_ORDERED),
    Kind.FLAG: _EQUAL,
    Kind.TIME: (*_EQUAL, *_ORDERED),
    Kind.LIST: (Comparator.HAS,),
    Kind.FACTS: (*_EQUAL, *_ORDERED, Comparator.HAS),
}


@lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", maybe_placeholders=False)


def parse(text: str, fields: Fields) -> Condition | None:
    """The condition that the filter means, None for an empty one; InvalidFilter with position and expectation."""
    if len(text) > MAX_FILTER:
        raise ValueTooLarge("filter", MAX_FILTER, "characters", len(text))
    if not text.strip():
        return None
    if text.count("(") > MAX_PARENTHESES:
        raise InvalidFilter(text, text.rindex("(") + 1, f"at most {MAX_PARENTHESES} parentheses")
    try:
        tree = _parser().parse(text)
        condition: Condition = _Reader(fields).transform(tree)
    except VisitError as error:
        if isinstance(error.orig_exc, InvalidFilter):
            raise error.orig_exc from None
        raise
    except UnexpectedInput as error:
        raise InvalidFilter(text, _position(error, text), _expectation(error)) from None
    return condition


def _position(error: UnexpectedInput, text: str) -> int:
    found: int | None = getattr(error, "pos_in_stream", None)
    at_end = isinstance(error, UnexpectedEOF) or _is_end(error)
    return len(text) + 1 if at_end or found is None else found + 1


def _is_end(error: UnexpectedInput) -> bool:
    return isinstance(error, UnexpectedToken) and error.token.type == "$END"


def _expectation(error: UnexpectedInput) -> str:
    if isinstance(error, UnexpectedToken):
        names = error.accepts or error.expected
    else:
        names = error.allowed if isinstance(error, UnexpectedCharacters) else set()
    return " or ".join(dict.fromkeys(_EXPECTED.get(name, name) for name in sorted(names or ()))) or "a condition"


class _Reader(Transformer[Token, Any]):
    """Turns what was parsed into conditions, checking each field and value."""

    def __init__(self, fields: Fields) -> None:
        super().__init__()
        self._fields = fields
        self._terms = 0

    def start(self, children: list[Condition]) -> Condition:
        return children[0]

    def expression(self, children: list[Condition]) -> Condition:
        return children[0] if len(children) == 1 else All(tuple(children))

    sequence = expression

    def factor(self, children: list[Condition]) -> Condition:
        return children[0] if len(children) == 1 else AnyOf(tuple(children))

    def negation(self, children: list[Condition]) -> Condition:
        return Negation(children[-1])

    def field(self, children: list[Token]) -> tuple[Token, list[str]]:
        return children[0], [_text(child) for child in children]

    def value(self, children: list[Token]) -> Token:
        return children[0]

    def comparison(self, children: list[Any]) -> Comparison:
        (first, path), sign, value = children
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise InvalidFilter("", _column(first), f"at most {MAX_TERMS} comparisons")
        kind = self._fields.get(path[0])
        if kind is None:
            raise InvalidFilter(path[0], _column(first), f"one of the fields {', '.join(self._fields)}")
        comparator = Comparator(str(sign))
        key = ".".join(path[1:]) or None
        if kind is Kind.FACTS and key is None and comparator is Comparator.HAS:
            return Comparison(path[0], kind, _text(value), comparator, "*")
        if (key is None) is (kind is Kind.FACTS):
            raise InvalidFilter(str(first), _column(first), f"{path[0]}: {kind.value}")
        if comparator not in _ALLOWED[kind]:
            allowed = " ".join(known.value for known in _ALLOWED[kind])
            raise InvalidFilter(str(sign), _column(sign), f"{path[0]} takes {allowed}")
        return Comparison(path[0], kind, key, comparator, _read(value, kind))


def _read(token: Token, kind: Kind) -> str | float | bool | Time:
    text = _text(token)
    match kind:
        case Kind.TEXT | Kind.LIST:
            return text
        case Kind.NUMBER if token.type == "NUMBER":
            return float(text)
        case Kind.FLAG if text in ("true", "false"):
            return text == "true"
        case Kind.TIME if (time := _time(text)) is not None:
            return time
        case Kind.FACTS if token.type == "NUMBER":
            return float(text)
        case Kind.FACTS if token.type == "WORD" and text in ("true", "false"):
            return text == "true"
        case Kind.FACTS:
            return text
        case _:
            raise InvalidFilter(text, _column(token), kind.value)


def _text(token: Token) -> str:
    if token.type != "STRING":
        return str(token)
    # A backslash lets the next character stand for itself.
    return re.sub(r"\\(.)", r"\1", str(token)[1:-1], flags=re.DOTALL)


def _time(text: str) -> Time | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Time(round(moment.timestamp() * 1_000_000))


def _column(token: Token) -> int:
    return (token.start_pos or 0) + 1
