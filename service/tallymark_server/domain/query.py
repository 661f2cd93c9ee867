"""Queries of lists: conditions on the fields of what is listed, and its order."""

from __future__ import annotations

import enum

from msgspec import Struct

from tallymark_server.domain.model import ArtifactRole, ArtifactType, RunState, Stage, Time


class Kind(enum.Enum):
    """The type of a field, which decides what it can be compared with."""

    TEXT = "text"
    NUMBER = "a number"
    FLAG = "true or false"
    TIME = 'a time in quotes, such as "2026-01-31T00:00:00Z"'
    LIST = "text that is in the list, by `:`"
    FACTS = "a fact by its key, such as metadata.auc"


class Comparator(enum.Enum):
    """An operator that compares a field with a value."""

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
    "run_state": Kind.TEXT,
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
    "metadata": Kind.FACTS,
    "last_number": Kind.NUMBER,
    "creator": Kind.TEXT,
    "create_time": Kind.TIME,
    "update_time": Kind.TIME,
}
RUN_FIELDS: Fields = {
    "run": Kind.TEXT,
    "pipeline": Kind.TEXT,
    "state": Kind.TEXT,
    "error": Kind.TEXT,
    "parameters": Kind.FACTS,
    "commit": Kind.TEXT,
    "host": Kind.TEXT,
    "user": Kind.TEXT,
    "url": Kind.TEXT,
    "command": Kind.TEXT,
    "creator": Kind.TEXT,
    "create_time": Kind.TIME,
    "start_time": Kind.TIME,
    "end_time": Kind.TIME,
}
ARTIFACT_FIELDS: Fields = {
    "artifact": Kind.TEXT,
    "ordinal": Kind.NUMBER,
    "type": Kind.TEXT,
    "uri": Kind.TEXT,
    "digest": Kind.TEXT,
    "size_bytes": Kind.NUMBER,
    "format": Kind.TEXT,
    "role": Kind.TEXT,
    "run": Kind.TEXT,
    "step": Kind.TEXT,
    "creator": Kind.TEXT,
    "create_time": Kind.TIME,
}


# Fields with a fixed set of values. A filter that compares them with any other value could never match.
CHOICES: dict[str, tuple[str, ...]] = {
    "stage": tuple(Stage),
    "state": tuple(RunState),
    # A version that was created outside a run has none.
    "run_state": (*RunState, ""),
    "type": tuple(ArtifactType),
    "role": tuple(ArtifactRole),
}


class Comparison(Struct, frozen=True):
    """A field, or a fact in it by its key, compared with a value. In text, `*` matches any characters.

    A fact may be compared with None, which is the value of a fact that is null.
    """

    field: str
    kind: Kind
    key: str | None
    comparator: Comparator
    value: str | float | int | bool | Time | None


class All(Struct, frozen=True):
    """True if all of these conditions are."""

    conditions: tuple[Condition, ...]


class AnyOf(Struct, frozen=True):
    """True if at least one of these conditions is."""

    conditions: tuple[Condition, ...]


class Negation(Struct, frozen=True):
    """True if this condition is false."""

    condition: Condition


Condition = Comparison | All | AnyOf | Negation


class Order(Struct, frozen=True):
    """A sort key of a list: a field, or a fact in it by its key. Items without that fact come last."""

    field: str
    kind: Kind
    key: str | None = None
    descending: bool = False


SortKey = str | int | float | None


class Query(Struct, frozen=True, kw_only=True):
    """The query of a page of a list: at most `limit` items that meet the condition, in that order.

    The last sort key is unique. `after` are the sort keys of the last item of the previous page, empty for the first
    page. The page reads at the revision `at`, None for the newest. Deleted items are included if `deleted`.
    """

    limit: int
    order: tuple[Order, ...]
    condition: Condition | None = None
    after: tuple[SortKey, ...] = ()
    at: int | None = None
    deleted: bool = False
