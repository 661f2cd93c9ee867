"""What a conversion and the converters of types speak of: limits, places, losses, and the conversion that goes on."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any, NamedTuple, Protocol

from tallymark.types.resources import Value

Path = tuple[str | int, ...]
MAX_KEY = 1_000


class Limits(NamedTuple):
    """How much of a value is recorded. With `describes`, what has no form of its own is recorded as what it is."""

    text: int
    items: int
    describes: bool


# All metadata of a version may have 65,535 bytes of JSON; what is longer cannot be kept anyway.
METADATA = Limits(text=60_000, items=32_768, describes=False)
PARAMETERS = Limits(text=1_000, items=5_000, describes=True)
# For calls that raise: what is too large is refused by the service, and what is far too large not even sent.
WHOLE = Limits(text=2**40, items=65_536, describes=False)


class Loss(NamedTuple):
    """What was left out or changed, by its path, such as ("cv", "fit_time", 3), and why."""

    path: Path
    problem: str


class LeftOut(Enum):
    """In place of a value that is not recorded."""

    LEFT_OUT = "left out"


LEFT_OUT = LeftOut.LEFT_OUT


class Place(NamedTuple):
    """Where a value stands. With `is_secret` in something that says secret, where only numbers are shown."""

    path: Path = ()
    depth: int = 0
    is_secret: bool = False

    def of(self, part: str | int, *, is_secret: bool = False) -> Place:
        """Return the place of an item or an entry."""
        return Place((*self.path, part), self.depth + 1, self.is_secret or is_secret)


class Converting(Protocol):
    """The conversion that goes on, as far as the converter of a type uses it."""

    limits: Limits

    def value(self, value: Any, place: Place) -> Value | LeftOut:
        """Return a part of the value as it is recorded. Never raises."""

    def text(self, value: str, place: Place) -> Value:
        """Return text that can be sent, without secrets."""

    def items(self, values: Iterable[Any], count: int, kind: type, place: Place) -> Value | LeftOut:
        """Return a list of the values, of which there are `count`."""

    def entries(self, owner: object, pairs: Iterable[tuple[Any, Any]], kind: type, place: Place) -> Value | LeftOut:
        """Return a mapping of the pairs, the entries of the owner."""

    def left_out(self, place: Place, problem: str, kind: type | None = None) -> Value | LeftOut:
        """Count a loss, and return what stands in place of the value."""

    def opaque(self, place: Place, description: str, problem: str) -> Value | LeftOut:
        """Return the description of what is data rather than a fact: enough of a parameter, a loss elsewhere."""

    def described(self, place: Place, description: str, problem: str) -> Value | LeftOut:
        """Return the description of what is too large, which is a loss; of what may not be left out unseen, none."""


def type_name(kind: type) -> str:
    """Return the name of a class, whatever the class does to hide it."""
    name = type.__dict__["__name__"].__get__(kind)
    return str(name)[:200].encode(errors="backslashreplace").decode()


def described_type(kind: type) -> str:
    name = type_name(kind)
    return f"{'an' if name[:1].lower() in tuple('aeiou') else 'a'} {name}"
