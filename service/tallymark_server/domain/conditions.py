"""What a list may be asked to hold: conditions on the fields of what it lists."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from tallymark_server.domain.model import Time


class Kind(enum.Enum):
    """What a field holds, and so what it can be compared with."""

    TEXT = "text"
    NUMBER = "a number"
    FLAG = "true or false"
    TIME = 'a time in quotes, such as "2026-01-31T00:00:00Z"'
    LIST = "text that is in the list, by `:`"
    FACTS = "a fact by its key, such as metadata.auc"


class Comparator(enum.Enum):
    """How a field is compared."""

    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    HAS = ":"


Fields = dict[str, Kind]

VERSION_FIELDS: Fields = {
    "number": Kind.NUMBER,
    "version_name": Kind.TEXT,
    "stage": Kind.TEXT,
    "aliases": Kind.LIST,
    "description": Kind.TEXT,
    "tags": Kind.LIST,
    "metadata": Kind.FACTS,
    "run": Kind.TEXT,
    "step": Kind.TEXT,
    "automatic": Kind.FLAG,
    "creator": Kind.TEXT,
    "create_time": Kind.TIME,
    "update_time": Kind.TIME,
}
MODEL_FIELDS: Fields = {
    "name": Kind.TEXT,
    "description": Kind.TEXT,
    "license": Kind.TEXT,
    "audience": Kind.TEXT,
    "use_cases": Kind.TEXT,
    "limitations": Kind.TEXT,
    "trade_offs": Kind.TEXT,
    "ethics": Kind.TEXT,
    "tags": Kind.LIST,
    "last_number": Kind.NUMBER,
    "creator": Kind.TEXT,
    "create_time": Kind.TIME,
    "update_time": Kind.TIME,
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field, or a fact of it by its key, compared with a value. In text, `*` stands for any characters."""

    field: str
    kind: Kind
    key: str | None
    comparator: Comparator
    value: str | float | bool | Time


@dataclass(frozen=True, slots=True)
class All:
    """All of these."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of these."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """Not this."""

    condition: Condition


Condition = Comparison | All | AnyOf | Negation
