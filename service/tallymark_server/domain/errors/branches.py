"""The branches of the tree of errors, and how they quote values."""

from __future__ import annotations

from typing import ClassVar

# Quotes from a request must not let a status exceed 8 kB, which clients refuse. A status has the message up to three
# times, once with three characters for each byte that is not ASCII. No valid name is cut.
MESSAGE_BYTES = 700
VALUE_BYTES = 1020


class RegistryError(Exception):
    """A request that the registry does not fulfil."""

    reason: ClassVar[str]
    # True if the refusal is final: the same request under the same request_id gets it again.
    is_answer: ClassVar[bool] = True

    def __init__(self, message: str, **metadata: object) -> None:
        super().__init__(fitting(message, MESSAGE_BYTES))
        self.metadata = {key: fitting(value, VALUE_BYTES) for key, value in metadata.items()}


class InvalidArgument(RegistryError):
    """The request can never be fulfilled without a change."""


class NotFound(RegistryError):
    """What the request names does not exist."""


class AlreadyExists(RegistryError):
    """What the request would create exists already."""


class Refused(RegistryError):
    """The state of the registry does not allow the request."""


class Conflict(RegistryError):
    """Somebody else changed what the request was about to change; read again, then decide again."""


class OutOfRange(RegistryError):
    """The request reads a part of the log that does not exist."""


class Unavailable(RegistryError):
    """The request may be fulfilled later; it had no effect."""

    is_answer = False

    def __init__(self, message: str, *, retry_after_ms: int) -> None:
        super().__init__(message, retry_after_ms=retry_after_ms)
        self.retry_after_ms = retry_after_ms


class DeadlineExceeded(RegistryError):
    """The deadline of the request has passed; it may have had an effect."""


class Forbidden(RegistryError):
    """The caller may not do this."""


class Unimplemented(RegistryError):
    """The service does not do this, or not in this way."""


class DataLoss(RegistryError):
    """What the registry has recorded can no longer be read."""

    is_answer = False


class Internal(RegistryError):
    """A defect of the server."""

    is_answer = False


def shortened(value: object, limit: int = 80) -> str:
    """Return the value as text, cut to that many characters."""
    text = str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def fitting(value: object, limit: int) -> str:
    """Return the value as text, cut to that many bytes of UTF-8."""
    encoded = str(value).encode(errors="replace")
    return str(value) if len(encoded) <= limit else encoded[: limit - 3].decode(errors="ignore") + "…"


def shown(value: object) -> str:
    """Return the value for a message: quoted, cut, with invisible characters spelled out."""
    return ascii_controls(repr(shortened(value)))


def ascii_controls(text: str) -> str:
    """Return the text with every unprintable character spelled out."""
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode("ascii") for ch in text)
