"""The branches of the tree of errors."""

from __future__ import annotations

from typing import ClassVar

# What is quoted from a request must not make a status that clients refuse as too large; no valid name is cut.
MESSAGE_LIMIT = 1000
VALUE_LIMIT = 300


class RegistryError(Exception):
    """A request that the registry does not fulfil."""

    reason: ClassVar[str]

    def __init__(self, message: str, **metadata: object) -> None:
        super().__init__(shortened(message, MESSAGE_LIMIT))
        self.metadata = {key: shortened(value, VALUE_LIMIT) for key, value in metadata.items()}


class InvalidArgument(RegistryError):
    """The request can never be fulfilled as it stands."""


class NotFound(RegistryError):
    """What the request names is not there."""


class AlreadyExists(RegistryError):
    """What the request would create is there already."""


class Refused(RegistryError):
    """The state of the registry does not allow the request."""


class Conflict(RegistryError):
    """Somebody else changed what the request was about to change; read again, then decide again."""


class OutOfRange(RegistryError):
    """The request asks for a part of the log that is not there."""


class Unavailable(RegistryError):
    """The request may be fulfilled later; it had no effect."""

    def __init__(self, message: str, *, retry_after_ms: int) -> None:
        super().__init__(message, retry_after_ms=retry_after_ms)
        self.retry_after_ms = retry_after_ms


class Internal(RegistryError):
    """A defect of the server."""


def shortened(value: object, limit: int = 80) -> str:
    """The value as text, of at most so many characters."""
    text = str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def shown(value: object) -> str:
    """The value as a person should see it in a message: quoted, cut, with invisible characters spelled out."""
    return ascii_controls(repr(shortened(value)))


def ascii_controls(text: str) -> str:
    """The text with every character that does not print spelled out."""
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode("ascii") for ch in text)
