"""Arguments, in the words of whoever gave them: what is no text, no list of texts, no mapping is told as such.

Light enough to be loaded with `import tallymark`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TypeVar

from tallymark.errors import InvalidArgument

T = TypeVar("T")

# What the contract calls a field, where the SDK's argument is called otherwise.
_WORDS = {
    "config.model": "name",
    "config.version": "version",
    "model_id": "name",
    "model_version.version_name": "name",
    "model_versions": "versions",
    "new_model_id": "new_name",
    "run_id": "run",
}
_PARTS = ("model_version.", "model.", "run.")


def described(value: object) -> str:
    """What the value is, for a sentence: `None`, `an int`, `a Decimal`."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def text(value: object, what: str) -> str:
    """The value, if it is text; InvalidArgument. `what` says where it was given, such as `Model(name=...)`."""
    if not isinstance(value, str):
        raise InvalidArgument(f"{what} takes text, not {described(value)}")
    return encodable(value, what)


def encodable(value: str, what: str) -> str:
    """The text, if it can be sent; InvalidArgument."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        found = f"{value[error.start]!r} at position {error.start}"
        raise InvalidArgument(f"{what} has a lone surrogate, {found}, which UTF-8 cannot encode") from None
    return value


def number(value: object, what: str) -> int:
    """The value, if it is a whole number from 0; InvalidArgument."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidArgument(f"{what} takes a whole number, not {described(value)}")
    index = int(value)
    if not 0 <= index < 2**63:
        raise InvalidArgument(f"{what} takes a number from 0, not {index}")
    return index


def real(value: object, what: str) -> float:
    """The value, if it is a number, or a tensor of one; InvalidArgument."""
    if not isinstance(value, bool | str) and hasattr(value, "__float__"):
        with suppress(TypeError, ValueError, OverflowError):
            return float(value)
    too_large = isinstance(value, int) and not isinstance(value, bool)
    raise InvalidArgument(f"{what} takes a number, not {'one so large' if too_large else described(value)}")


def texts(value: object, what: str) -> tuple[str, ...]:
    """The value, if it is a list of texts; InvalidArgument."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InvalidArgument(f"{what} takes a list of texts, such as ['a', 'b'], not {described(value)}")
    return tuple(text(item, what) for item in value)


def mapping(value: object, what: str, example: str = "{'auc': 0.9}") -> Mapping[str, object]:
    """The value, if it is a mapping; InvalidArgument."""
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"{what} takes a mapping, such as {example}, not {described(value)}")
    return value


def text_mapping(value: object, what: str) -> dict[str, str]:
    """The value, if it is a mapping of texts to texts; InvalidArgument."""
    given = mapping(value, what, "{'kind': 'nightly'}")
    return {text(key, what): text(item, what) for key, item in given.items()}


def listed(value: object, kind: type[T], what: str) -> list[T]:
    """The value, if it is a list of that kind of thing; InvalidArgument."""
    if isinstance(value, str | bytes | Mapping | kind) or not isinstance(value, Iterable):
        raise InvalidArgument(f"{what} takes a list of {kind.__name__}, not {described(value)}")
    items = list(value)
    for item in items:
        if not isinstance(item, kind):
            raise InvalidArgument(f"{what} takes a list of {kind.__name__}, not one with {described(item)}")
    return items


def in_words_of_arguments(message: str, field: str) -> str:
    """The service's message about a field, with the name of the argument in place of the field's."""
    word = _WORDS.get(field)
    if word is None:
        part = next((part for part in _PARTS if field.startswith(part)), "")
        word = field.removeprefix(part)
    return word + message.removeprefix(field) if field and message.startswith(field) else message
