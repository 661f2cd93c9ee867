"""The types that a conversion and the converters share: limits, places, losses, and the interface of a conversion."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any, NamedTuple, Protocol

from tallymark.types.resources import Value

Path = tuple[str | int, ...]
MAX_KEY = 1_000


class Limits(NamedTuple):
    """How much of a value is recorded. With `describes`, a value without a recordable form is recorded by its class."""

    text: int
    items: int
    describes: bool


# The service limits all metadata of a version to 65,535 bytes of JSON, so longer texts cannot be stored anyway.
METADATA = Limits(text=60_000, items=32_768, describes=False)
PARAMETERS = Limits(text=1_000, items=5_000, describes=True)
# For calls that raise: the service refuses values that are too large; these limits only bound the work before that.
UNCUT = Limits(text=2**40, items=65_536, describes=False)


class Loss(NamedTuple):
    """A value that was left out or changed: its path, such as ("cv", "fit_time", 3), and the problem."""

    path: Path
    problem: str


class LeftOut(Enum):
    """The placeholder of a value that is not recorded."""

    LEFT_OUT = "left out"


LEFT_OUT = LeftOut.LEFT_OUT


class Place(NamedTuple):
    """The position of a value. With `is_secret`, a name above it marks a secret, so its texts are redacted."""

    path: Path = ()
    depth: int = 0
    is_secret: bool = False

    def of(self, part: str | int, *, is_secret: bool = False) -> Place:
        """Return the place of an item or an entry."""
        return Place((*self.path, part), self.depth + 1, self.is_secret or is_secret)


class Converting(Protocol):
    """The interface of a `Conversion` for the converters of types."""

    limits: Limits

    def value(self, value: Any, place: Place) -> Value | LeftOut:
        """Return a part of the value as it is recorded. Never raises."""

    def text(self, value: str, place: Place) -> Value:
        """Return text that can be encoded, without secrets, and cut to the limit."""

    def items(self, values: Iterable[Any], count: int, kind: type, place: Place) -> Value | LeftOut:
        """Return a list of the first `count` values."""

    def entries(self, owner: object, pairs: Iterable[tuple[Any, Any]], kind: type, place: Place) -> Value | LeftOut:
        """Return a mapping of the pairs, which are the entries of `owner`."""

    def left_out(self, place: Place, problem: str, kind: type | None = None) -> Value | LeftOut:
        """Add a loss, and return a placeholder for the value."""

    def opaque(self, place: Place, description: str, problem: str) -> Value | LeftOut:
        """Return a description for a value without a recordable form: enough for a parameter, a loss in metadata."""

    def described(self, place: Place, description: str, problem: str) -> Value | LeftOut:
        """Return a description for a value that is too large; in metadata this is a loss, in parameters it is not."""


def type_name(kind: type) -> str:
    """Return the name of a class, bypassing anything that the class overrides."""
    name = type.__dict__["__name__"].__get__(kind)
    return str(name)[:200].encode(errors="backslashreplace").decode()


def described_type(kind: type) -> str:
    name = type_name(kind)
    return f"{'an' if name[:1].lower() in tuple('aeiou') else 'a'} {name}"
