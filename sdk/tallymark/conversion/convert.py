"""One conversion of a value: how much is recorded, what is left out or only described, and which secrets it hides."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Any

from tallymark.conversion.converters import known
from tallymark.conversion.redaction import REDACTED, Arguments, is_folder, looks_random, redacted_text, remember
from tallymark.conversion.secrecy import Secrecy, secrecy_of
from tallymark.conversion.vocabulary import (
    LEFT_OUT,
    MAX_KEY,
    PARAMETERS,
    LeftOut,
    Limits,
    Loss,
    Place,
    described_type,
    type_name,
)
from tallymark.types.resources import Value

# As deep as the service lets lists and mappings lie in each other.
MAX_DEPTH = 16
# Of all values together, as many items may be read as this many of them may have.
MOST_LIMITS = 8
# A secret that a cut would make unrecognisable is recognised first.
_BEYOND_CUT = 4_096


class Conversion:
    """One conversion. `losses` says what was left out or changed, `weight` is at least the size as JSON."""

    def __init__(self, limits: Limits, *, redacts: bool) -> None:
        self.limits = limits
        self.losses: list[Loss] = []
        self.weight = 0
        self._redacts = redacts
        self._items_left = limits.items
        self._in_all = 0
        self._within: set[int] = set()

    def value(self, value: Any, place: Place = Place()) -> Value | LeftOut:  # noqa: B008 - it is immutable
        """Return the value as it is recorded. Never raises."""
        self.weight += 24
        kind = type(value)
        if kind is float or kind is bool or value is None:
            return value  # type: ignore[no-any-return]  # compared by its type - which mypy does not follow
        try:
            return self._value(kind, value, place)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a value may raise anything, such as the panics of Rust's libraries
            return self.left_out(place, f"reading it raised {type_name(type(error))}", kind)

    def _value(self, kind: type, value: Any, place: Place) -> Value | LeftOut:
        secrecy, converter = known(kind)
        if self._redacts and secrecy is not Secrecy.NONE:
            if secrecy is Secrecy.ALL:
                return REDACTED
            place = place._replace(is_secret=True)
        if converter is None:
            return self.opaque(place, type_name(kind), f"{described_type(kind)} has no form that can be recorded")
        return converter(self, value, place)

    def left_out(self, place: Place, problem: str, kind: type | None = None) -> Value | LeftOut:
        """Count a loss, and return what stands in place of the value."""
        self.losses.append(Loss(place.path, problem))
        return type_name(kind) if self.limits.describes and kind is not None else LEFT_OUT

    def opaque(self, place: Place, description: str, problem: str) -> Value | LeftOut:
        """Return the description of what is data rather than a fact: enough of a parameter, a loss elsewhere."""
        if self.limits.describes:
            return self.text(description, place)
        self.losses.append(Loss(place.path, problem))
        return LEFT_OUT

    def described(self, place: Place, description: str, problem: str) -> Value | LeftOut:
        """Return the description of what is too large, which is a loss; of what may not be left out unseen, none."""
        if self.limits is not PARAMETERS:
            self.losses.append(Loss(place.path, problem))
        return self.text(description, place)

    def text(self, value: str, place: Place) -> Value:
        """Return text that can be sent, without secrets."""
        text, most = str.__str__(value), self.limits.text
        if self._redacts:
            if place.is_secret and text:
                remember(text)
                return REDACTED
            text = redacted_text(text if len(text) <= most + _BEYOND_CUT else text[: most + _BEYOND_CUT])
        if not text.isascii():
            text = self._encodable(text, place)
        if "\0" in text:
            self.losses.append(Loss(place.path, "its characters U+0000, which the registry does not take, are escaped"))
            text = text.replace("\0", "\\x00")
        if len(text) > most:
            self.losses.append(Loss(place.path, f"its text of {str.__len__(value):,} characters is cut after {most:,}"))
            text = f"{text[:most]}… ({str.__len__(value):,} characters)"
        self.weight += 6 * len(text)
        return text

    def _encodable(self, text: str, place: Place) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:
            self.losses.append(Loss(place.path, "its lone surrogates, which UTF-8 cannot encode, are escaped"))
            return text.encode(errors="backslashreplace").decode()
        return text

    def items(self, values: Iterable[Any], count: int, kind: type, place: Place) -> Value | LeftOut:
        """Return a list of the values, of which there are `count`."""
        what = f"{type_name(kind)} ({count:,} items)"
        if count > self._items_left or place.depth >= MAX_DEPTH:
            return self._too_much(place, what)
        if id(values) in self._within:
            return self.left_out(place, "it contains itself", kind)
        self._items_left -= count
        self._within.add(id(values))
        try:
            found = self._items(list(islice(values, count)), kind, place)
        finally:
            self._within.discard(id(values))
        return [item for item in found if not isinstance(item, LeftOut)]

    def _items(self, values: list[Any], kind: type, place: Place) -> list[Value | LeftOut]:
        """Convert the items. A pair of a name and a value is taken as an entry, and a list may be a command line."""
        if self._redacts and not place.is_secret and issubclass(kind, list | tuple | deque):
            is_pair = len(values) == 2 and (issubclass(kind, tuple) or isinstance(("", *place.path)[-1], int))
            if is_pair and type(values[0]) is str and not values[0].startswith("-"):
                name, value = values
                return [self.value(name, place.of(0)), self._named(name, value, place.of(1))]
            if any(type(value) is str and value.startswith("-") for value in values):
                return self._arguments(values, place)
        return [self.value(value, place.of(index)) for index, value in enumerate(values)]

    def _arguments(self, values: list[Any], place: Place) -> list[Value | LeftOut]:
        command = Arguments()
        found: list[Value | LeftOut] = []
        for index, value in enumerate(values):
            if issubclass(type(value), str) or type(value) is int:
                text = str.__str__(value) if type(value) is not int else str(value)
                shown = command.shown(text)
                found.append(self.value(value if shown == text else shown, place.of(index)))
            else:
                found.append(self.value(value, place.of(index)))
        return found

    def entries(self, owner: object, pairs: Iterable[tuple[Any, Any]], kind: type, place: Place) -> Value | LeftOut:
        """Return a mapping of the pairs, the entries of the owner."""
        if place.depth >= MAX_DEPTH:
            return self._too_much(place, type_name(kind))
        if id(owner) in self._within:
            return self.left_out(place, "it contains itself", kind)
        self._within.add(id(owner))
        found: dict[str, Value] = {}
        try:
            for key, value in pairs:
                self._items_left -= 1
                if self._items_left < 0:
                    self.losses.append(Loss(place.path, f"it is cut after {len(found):,} entries: it has too many"))
                    break
                left = self._items_left
                self._entry(found, key, value, place)
                if place.depth == 0:
                    self._neighbours_left(left)
        finally:
            self._within.discard(id(owner))
        return found

    def _neighbours_left(self, before: int) -> None:
        """Let a value that is too large cost itself, and not its neighbours, until all of it is far too large."""
        self._in_all += before - self._items_left
        if self._in_all < MOST_LIMITS * self.limits.items:
            self._items_left = before

    def _entry(self, found: dict[str, Value], key: Any, value: Any, place: Place) -> None:
        name = key if type(key) is str and key.isascii() and len(key) <= MAX_KEY else self._key(key, place)
        if name is None:
            return
        given = name
        if self._redacts:
            name = redacted_text(name)
        self.weight += 6 * len(name)
        if name in found:
            self.losses.append(Loss((*place.path, name), "several keys are this text; the last one is kept"))
        converted = self._named(given, value, place.of(name))
        if not isinstance(converted, LeftOut):
            found[name] = converted

    def _named(self, name: str, value: Any, place: Place) -> Value | LeftOut:
        """Return the value of that name, without secrets."""
        secrecy = secrecy_of(name) if self._redacts else Secrecy.NONE
        if secrecy is Secrecy.NONE:
            return self.value(value, place)
        if secrecy is Secrecy.TEXT:
            place = place._replace(is_secret=True)
        converted = self.value(value, place)
        if secrecy is Secrecy.TEXT or converted is None or isinstance(converted, bool | float | LeftOut):
            return converted
        if isinstance(converted, str):
            if is_folder(name, converted) or (secrecy is Secrecy.RANDOM and not looks_random(converted)):
                return converted
            remember(converted)
        return converted if secrecy is Secrecy.RANDOM and not isinstance(converted, str) else REDACTED

    def _key(self, key: Any, place: Place) -> str | None:
        """Return the key as text; None when it cannot be one."""
        if issubclass(type(key), datetime):
            return str(key.isoformat())
        alone = Conversion(Limits(MAX_KEY, 10, describes=False), redacts=False)
        parts = [alone.value(part) for part in (tuple.__iter__(key) if type(key) is tuple else (key,))]
        if not all(part is None or isinstance(part, str | int | float) for part in parts):
            self.losses.append(Loss(place.path, f"an entry is left out: its key is {described_type(type(key))}"))
            return None
        self.losses += [Loss(place.path, f"a key: {loss.problem}") for loss in alone.losses]
        return ", ".join(part if isinstance(part, str) else str(part) for part in parts)

    def _too_much(self, place: Place, what: str) -> Value | LeftOut:
        if place.depth >= MAX_DEPTH:
            return self.left_out(place, f"it lies more than {MAX_DEPTH} deep in lists and mappings")
        self.losses.append(Loss(place.path, f"{what} is too large, and only described"))
        return what
