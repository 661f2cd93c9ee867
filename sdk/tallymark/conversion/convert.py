"""Convert one value: limit its size, redact secrets, and collect what is left out or only described."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Any

from tallymark.conversion.converters import secrecy_and_converter
from tallymark.conversion.redaction import REDACTED, Arguments, is_folder, looks_random, redacted_text, remember_secret
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

# The limit of the service for the nesting of lists and mappings.
MAX_DEPTH = 16
# All values together may have this many times the items of one value.
MAX_TOTAL_FACTOR = 8
# Text is redacted before it is cut, with this many more characters, so that a secret at the cut is recognised.
EXTRA_FOR_REDACTION = 4_096


class Conversion:
    """One conversion. `losses` are what was left out or changed; `weight` is an upper bound of the size as JSON."""

    def __init__(self, limits: Limits, *, redacts: bool) -> None:
        self.limits = limits
        self.losses: list[Loss] = []
        self.weight = 0
        self._redacts = redacts
        self._items_left = limits.items
        self._items_total = 0
        self._open_containers: set[int] = set()

    def value(self, value: Any, place: Place = Place()) -> Value | LeftOut:  # noqa: B008 - it is immutable
        """Return the value as it is recorded. Never raises."""
        self.weight += 24
        kind = type(value)
        if kind is float or kind is bool or value is None:
            return value  # type: ignore[no-any-return]  # narrowed by `type(value)` - which mypy does not follow
        try:
            return self._value(kind, value, place)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a value may raise anything, such as a panic of a Rust library
            return self.left_out(place, f"reading it raised {type_name(type(error))}", kind)

    def _value(self, kind: type, value: Any, place: Place) -> Value | LeftOut:
        secrecy, converter = secrecy_and_converter(kind)
        if self._redacts and secrecy is not Secrecy.NONE:
            if secrecy is Secrecy.ALL:
                return REDACTED
            place = place._replace(is_secret=True)
        if converter is None:
            return self.opaque(place, type_name(kind), f"{described_type(kind)} has no form that can be recorded")
        return converter(self, value, place)

    def left_out(self, place: Place, problem: str, kind: type | None = None) -> Value | LeftOut:
        """Add a loss, and return a placeholder for the value."""
        self.losses.append(Loss(place.path, problem))
        return type_name(kind) if self.limits.describes and kind is not None else LEFT_OUT

    def opaque(self, place: Place, description: str, problem: str) -> Value | LeftOut:
        """Return a description for a value without a recordable form: enough for a parameter, a loss in metadata."""
        if self.limits.describes:
            return self.text(description, place)
        self.losses.append(Loss(place.path, problem))
        return LEFT_OUT

    def described(self, place: Place, description: str, problem: str) -> Value | LeftOut:
        """Return a description for a value that is too large; in metadata this is a loss, in parameters it is not."""
        if self.limits is not PARAMETERS:
            self.losses.append(Loss(place.path, problem))
        return self.text(description, place)

    def text(self, value: str, place: Place) -> Value:
        """Return text that can be encoded, without secrets, and cut to the limit."""
        text, most = str.__str__(value), self.limits.text
        if self._redacts:
            if place.is_secret and text:
                remember_secret(text)
                return REDACTED
            limit = most + EXTRA_FOR_REDACTION
            text = redacted_text(text if len(text) <= limit else text[:limit])
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
        """Return a list of the first `count` values."""
        what = f"{type_name(kind)} ({count:,} items)"
        if count > self._items_left or place.depth >= MAX_DEPTH:
            return self._too_much(place, what)
        if id(values) in self._open_containers:
            return self.left_out(place, "it contains itself", kind)
        self._items_left -= count
        self._open_containers.add(id(values))
        try:
            found = self._items(list(islice(values, count)), kind, place)
        finally:
            self._open_containers.discard(id(values))
        return [item for item in found if not isinstance(item, LeftOut)]

    def _items(self, values: list[Any], kind: type, place: Place) -> list[Value | LeftOut]:
        """Convert the items. Treat a pair of a name and a value as an entry, a list with flags as a command line."""
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
                redacted = command.redacted(text)
                found.append(self.value(value if redacted == text else redacted, place.of(index)))
            else:
                found.append(self.value(value, place.of(index)))
        return found

    def entries(self, owner: object, pairs: Iterable[tuple[Any, Any]], kind: type, place: Place) -> Value | LeftOut:
        """Return a mapping of the pairs, which are the entries of `owner`."""
        if place.depth >= MAX_DEPTH:
            return self._too_much(place, type_name(kind))
        if id(owner) in self._open_containers:
            return self.left_out(place, "it contains itself", kind)
        self._open_containers.add(id(owner))
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
                    self._restore_limit(left)
        finally:
            self._open_containers.discard(id(owner))
        return found

    def _restore_limit(self, before: int) -> None:
        """Give each top-level entry the full limit of items, until all entries together exceed MAX_TOTAL_FACTOR."""
        self._items_total += before - self._items_left
        if self._items_total < MAX_TOTAL_FACTOR * self.limits.items:
            self._items_left = before

    def _entry(self, found: dict[str, Value], key: Any, value: Any, place: Place) -> None:
        name = key if type(key) is str and key.isascii() and len(key) <= MAX_KEY else self._key(key, place)
        if name is None:
            return
        original = name
        if self._redacts:
            name = redacted_text(name)
        self.weight += 6 * len(name)
        if name in found:
            self.losses.append(Loss((*place.path, name), "several keys are this text; the last one is kept"))
        converted = self._named(original, value, place.of(name))
        if not isinstance(converted, LeftOut):
            found[name] = converted

    def _named(self, name: str, value: Any, place: Place) -> Value | LeftOut:
        """Return the value with this name, redacted if the name marks a secret."""
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
            remember_secret(converted)
        return converted if secrecy is Secrecy.RANDOM and not isinstance(converted, str) else REDACTED

    def _key(self, key: Any, place: Place) -> str | None:
        """Return the key as text; None if it cannot be converted."""
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
