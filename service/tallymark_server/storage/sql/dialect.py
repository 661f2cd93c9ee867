"""The words in which the SQL of engines differs.

Statements are written once, as functions of a dialect. They say in which order their tables are searched: from the keys
that are wanted to their rows, and from these to their events, each by an index. A planner must not choose another way,
since it knows nothing of the tables yet, or only what they held when they were small.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Type(StrEnum):
    """The type of a key."""

    TEXT = "text"
    INTEGER = "bigint"


class Dialect(Protocol):
    """Terms of statements, as an engine writes them. Their arguments are SQL, but for names of fields and indexes."""

    def keys(self, name: str, /, **columns: Type) -> str:
        """Return the table `name` of the keys in the parameter of that name, for use after FROM.

        The parameter is what `statement.parameter` returns for values, if there is one column, or for tuples. Rows are
        in the order of the keys, also when others are joined to them.
        """
        ...

    def join(self, table: str, on: str, *, index: str = "", left: bool = False, many: bool = False) -> str:
        """Return the join with the row of the table, which may have an alias, that meets the condition.

        The tables before it are read first, and this one is searched for each of their rows: by the index, or, if none
        is named, by the only one whose columns the condition has. With `left`, rows without another are kept. At most
        one row is joined, unless `many`.
        """
        ...

    def indexed(self, table: str, index: str) -> str:
        """Return the table, which may have an alias, for use after FROM, if it is searched by that index."""
        ...

    def whole(self, event: str) -> str:
        """Return the image of the event, or a text that `codec` refuses if the event is not what was recorded.

        `event` is the table or the alias that has it. Null for none.
        """
        ...

    def whole_image(self) -> str:
        """Return the image of the row of `events`, checked by its digest alone: half the cost of `whole`."""
        ...

    def text(self, image: str, field: str) -> str:
        """Return a text of an image, null if it has none. The field may be a path such as `card.license`."""
        ...

    def integer(self, image: str, field: str) -> str:
        """Return a whole number of an image, null if it has none."""
        ...

    def text_is(self, image: str, field: str, value: str) -> str:
        """Return the condition that a text of an image is the value, for an index of that text."""
        ...

    def without(self, image: str, *fields: str) -> str:
        """Return the image without these fields."""
        ...

    def object_of(self, key: str, value: str) -> str:
        """Return the aggregate of rows to one JSON object, as text; {} for none."""
        ...

    def greatest(self, one: str, other: str) -> str:
        """Return the greater of two numbers."""
        ...

    def log(self, table: str) -> str:
        """Return a table of the log that is verified: it may be in another place than the tables of the session."""
        ...

    def hexadecimal(self, value: str) -> str:
        """Return bytes as text, in lower case."""
        ...

    def pairs_of(self, one: str, other: str) -> str:
        """Return the aggregate of rows to one JSON list of pairs, as text; [] for none."""
        ...

    def same(self, one: str, other: str) -> str:
        """Return the condition that two values are equal, or both null."""
        ...

    def flag(self, image: str, field: str) -> str:
        """Return a flag of an image as 0 or 1, null if it has none."""
        ...

    def items(self, image: str, field: str) -> str:
        """Return the table `item` of the texts in a list of an image, with the column `value`, for use after FROM."""
        ...

    def facts(self, image: str, field: str) -> str:
        """Return the table `fact` of the facts in a field of an image, such as `metadata`, for use after FROM.

        Its columns are `key`, and of the value: `is_null`; `flag`, 0 or 1; `text`, a text or a URI; and `number`. The
        columns that do not fit the type of the value are null.
        """
        ...

    def fact_sort(self, image: str, field: str, key: str) -> str:
        """Return the term to sort by a fact: numbers, flags as 0 and 1, and times before texts and URIs.

        Null if there is no such fact, or none of these types. Of a text it has the first `MAX_TEXT` characters.
        """
        ...

    def fact_index_key(self, value: str | float) -> str:
        """Return the key in the index of facts for a value that `fact_sort` gave."""
        ...

    def compare(self, number: str, sign: str, value: str) -> str:
        """Return the comparison of a fact's number with a parameter, exact even if one is a float."""
        ...

    def contains(self, text: str, part: str) -> str:
        """Return the condition that the text has the part in it."""
        ...

    def matches(self, text: str, pattern: str, *, negated: bool = False) -> str:
        """Return the condition that the text matches what `pattern` returned."""
        ...

    def pattern(self, wildcard: str) -> str:
        """Return the pattern, as a value, of a text in which `*` matches any characters."""
        ...
