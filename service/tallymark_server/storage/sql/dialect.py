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

        The parameter is what `statement.parameter` returns for values, if there is one column, or for tuples.
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

    def lists(self, image: str, field: str, value: str) -> str:
        """Return the condition that a list of texts in an image has the value."""
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

    def one_of(self, column: str, values: str) -> str:
        """Return the condition that a text is one of those in a parameter, as `statement.parameter` returns them."""
        ...
