"""Checks of arguments: each returns the value, or raises an InvalidArgument that names the argument.

`what` is how the argument is named, such as `Model(name=...)`. `import tallymark` loads this module, so it imports
little.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TypeVar

from tallymark.errors import InvalidArgument

T = TypeVar("T")

# The SDK's names of arguments, by the contract's names of fields, where they differ.
_ARGUMENT_NAMES = {
    "config.model": "name",
    "config.version": "version",
    "model_id": "name",
    "model_version.version_name": "name",
    "model_versions": "versions",
    "new_model_id": "new_name",
    "run_id": "run",
}
_FIELD_PREFIXES = ("model_version.", "model.", "run.")


def described(value: object) -> str:
    """Return the value's type for a sentence: `None`, `an int`, `a Decimal`."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def text(value: object, what: str) -> str:
    """Return the value if it is text. Raises InvalidArgument."""
    if not isinstance(value, str):
        raise InvalidArgument(f"{what} takes text, not {described(value)}")
    return encodable(value, what)


def encodable(value: str, what: str) -> str:
    """Return the text if UTF-8 can encode it. Raises InvalidArgument."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        surrogate = f"{value[error.start]!r} at position {error.start}"
        raise InvalidArgument(f"{what} has a lone surrogate, {surrogate}, which UTF-8 cannot encode") from None
    return value


def number(value: object, what: str) -> int:
    """Return the value as an int if it is a whole number from 0. Raises InvalidArgument."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidArgument(f"{what} takes a whole number, not {described(value)}")
    index = int(value)
    if not 0 <= index < 2**63:
        raise InvalidArgument(f"{what} takes a number from 0, not {index}")
    return index


def real(value: object, what: str) -> float:
    """Return the value as a float if it is a number, or a tensor with one number. Raises InvalidArgument."""
    if not isinstance(value, bool | str) and hasattr(value, "__float__"):
        with suppress(TypeError, ValueError, OverflowError):
            return float(value)
    too_large = isinstance(value, int) and not isinstance(value, bool)
    raise InvalidArgument(f"{what} takes a number, not {'one so large' if too_large else described(value)}")


def texts(value: object, what: str) -> tuple[str, ...]:
    """Return the values as a tuple if they are a list of texts. Raises InvalidArgument."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InvalidArgument(f"{what} takes a list of texts, such as ['a', 'b'], not {described(value)}")
    return tuple(text(item, what) for item in value)


def mapping(value: object, what: str, example: str = "{'auc': 0.9}") -> Mapping[str, object]:
    """Return the value if it is a mapping. Raises InvalidArgument."""
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"{what} takes a mapping, such as {example}, not {described(value)}")
    return value


def text_mapping(value: object, what: str) -> dict[str, str]:
    """Return the value as a dict if it is a mapping of texts to texts. Raises InvalidArgument."""
    given = mapping(value, what, "{'kind': 'nightly'}")
    return {text(key, what): text(item, what) for key, item in given.items()}


def list_of(value: object, kind: type[T], what: str) -> list[T]:
    """Return the value as a list if it has only items of this type. Raises InvalidArgument."""
    if isinstance(value, str | bytes | Mapping | kind) or not isinstance(value, Iterable):
        raise InvalidArgument(f"{what} takes a list of {kind.__name__}, not {described(value)}")
    items = list(value)
    for item in items:
        if not isinstance(item, kind):
            raise InvalidArgument(f"{what} takes a list of {kind.__name__}, not one with {described(item)}")
    return items


def with_argument_name(message: str, field: str) -> str:
    """Return the service's message about a field, with the name of the argument in place of the field's."""
    argument = _ARGUMENT_NAMES.get(field)
    if argument is None:
        prefix = next((prefix for prefix in _FIELD_PREFIXES if field.startswith(prefix)), "")
        argument = field.removeprefix(prefix)
    return argument + message.removeprefix(field) if field and message.startswith(field) else message
