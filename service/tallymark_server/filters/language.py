"""The grammar of filters and orders, and the conversion of what is parsed."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken, VisitError

from tallymark_server.domain.errors import InvalidFilter
from tallymark_server.domain.metadata import whole
from tallymark_server.domain.model import Time
from tallymark_server.domain.query import (
    CHOICES,
    All,
    AnyOf,
    Comparator,
    Comparison,
    Condition,
    Fields,
    Kind,
    Negation,
    Order,
)

MAX_TERMS = 100
MAX_SORT_KEYS = 3
# The digits of integers that are kept exactly.
_LARGEST, _MAX_DIGITS = 2**63 - 1, 20

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
order: sort_key ("," sort_key)*
sort_key: field WORD?
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
    "COMMA": ",",
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
    return Lark(_GRAMMAR, start=["start", "order"], parser="lalr", maybe_placeholders=False)


def read(what: str, rule: str, text: str, fields: Fields) -> Any:
    """Parse the text by that rule. Raises InvalidFilter with position and expectation."""
    try:
        return _Reader(what, fields).transform(_parser().parse(text, start=rule))
    except VisitError as error:
        if isinstance(error.orig_exc, InvalidFilter):
            raise error.orig_exc from None
        raise
    except UnexpectedInput as error:
        raise InvalidFilter(what, text, _position(error, text), _expectation(error)) from None


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
    """Converts a syntax tree into conditions, and checks each field and value."""

    def __init__(self, what: str, fields: Fields) -> None:
        super().__init__()
        self._what = what
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
            raise self._refusal(first, f"at most {MAX_TERMS} comparisons")
        kind, comparator, key = self._kind(first, path), Comparator(str(sign)), ".".join(path[1:]) or None
        if kind is Kind.FACTS and key is None and comparator is Comparator.HAS:
            return Comparison(path[0], kind, _text(value), comparator, "*")
        self._check_key(first, path, kind)
        if comparator not in _ALLOWED[kind]:
            allowed = " ".join(known.value for known in _ALLOWED[kind])
            raise self._refusal(sign, f"{path[0]} takes {allowed}")
        read = _read(value, kind)
        if kind is Kind.FACTS and value.type == "WORD" and str(value) == "null":
            if comparator in _ORDERED:
                raise self._refusal(sign, "= or != before null")
            return Comparison(path[0], kind, key, comparator, None)
        if read is None:
            raise self._refusal(value, kind.value)
        choices = CHOICES.get(path[0])
        if choices is not None and not _is_possible(str(read), comparator, choices):
            raise self._refusal(value, f"one of {', '.join(choice or chr(39) * 2 for choice in choices)}")
        return Comparison(path[0], kind, key, comparator, read)

    def sort_key(self, children: list[Any]) -> Order:
        (first, path), *direction = children
        self._terms += 1
        if self._terms > MAX_SORT_KEYS:
            raise self._refusal(first, f"at most {MAX_SORT_KEYS} fields")
        kind, key = self._kind(first, path), ".".join(path[1:]) or None
        if kind is Kind.LIST:
            raise self._refusal(first, "a field with one value")
        self._check_key(first, path, kind)
        if direction and str(direction[0]) not in ("asc", "desc"):
            raise self._refusal(direction[0], "asc or desc or ,")
        return Order(path[0], kind, key, descending=bool(direction) and str(direction[0]) == "desc")

    def order(self, children: list[Order]) -> list[Order]:
        return children

    def _kind(self, first: Token, path: list[str]) -> Kind:
        kind = self._fields.get(path[0])
        if kind is None:
            facts = [name for name, held in self._fields.items() if held is Kind.FACTS]
            keys = "".join(f", or {name}.{path[0]} for the key {path[0]} of its {name}" for name in facts)
            raise self._refusal(first, f"one of the fields {', '.join(self._fields)}{keys}")
        return kind

    def _check_key(self, first: Token, path: list[str], kind: Kind) -> None:
        if (len(path) > 1) is not (kind is Kind.FACTS):
            raise self._refusal(first, f"{path[0]}: {kind.value}")

    def _refusal(self, token: Token, expected: str) -> InvalidFilter:
        return InvalidFilter(self._what, str(token), (token.start_pos or 0) + 1, expected)


def _read(token: Token, kind: Kind) -> str | float | bool | Time | None:
    """Return the value in the type of the field, None if it cannot be one."""
    text = _text(token)
    match kind:
        case Kind.TEXT | Kind.LIST:
            return text
        case Kind.NUMBER:
            return float(text) if token.type == "NUMBER" else None
        case Kind.FLAG:
            return text == "true" if text in ("true", "false") else None
        case Kind.TIME:
            return _time(text)
        case Kind.FACTS if token.type == "NUMBER":
            return _number(text)
        case Kind.FACTS if token.type == "WORD" and text in ("true", "false"):
            return text == "true"
        case Kind.FACTS:
            return text


def _number(text: str) -> float | int:
    """Return the number to compare a fact with, as exact as facts are stored."""
    exact = len(text) <= _MAX_DIGITS and text.removeprefix("-").isdigit() and abs(int(text)) <= _LARGEST
    return whole(int(text)) if exact else float(text)


def _is_possible(text: str, comparator: Comparator, choices: tuple[str, ...]) -> bool:
    """Return whether the comparison with the text can match one of the choices."""
    if "*" in text:
        return any(fnmatchcase(choice, re.sub(r"[?[]", "[\\g<0>]", text)) for choice in choices)
    return any(text in choice for choice in choices) if comparator is Comparator.HAS else text in choices


def _text(token: Token) -> str:
    if token.type != "STRING":
        return str(token)
    # A backslash makes the next character literal.
    return re.sub(r"\\(.)", r"\1", str(token)[1:-1], flags=re.DOTALL)


def _time(text: str) -> Time | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Time(round(moment.timestamp() * 1_000_000))
