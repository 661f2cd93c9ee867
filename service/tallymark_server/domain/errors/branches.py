"""The branches of the tree of errors."""

from __future__ import annotations

from typing import ClassVar

# What is quoted from a request must not make a status of 8 kB, which clients refuse. A status holds the message up to
# three times, once with three characters for each byte that is not ASCII. No valid name is cut.
MESSAGE_BYTES = 700
VALUE_BYTES = 1020


class RegistryError(Exception):
    """A request that the registry does not fulfil."""

    reason: ClassVar[str]
    # Whether the answer stands: the same request under the same request_id is answered with it again.
    is_answer: ClassVar[bool] = True

    def __init__(self, message: str, **metadata: object) -> None:
        super().__init__(fitting(message, MESSAGE_BYTES))
        self.metadata = {key: fitting(value, VALUE_BYTES) for key, value in metadata.items()}


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

    is_answer = False

    def __init__(self, message: str, *, retry_after_ms: int) -> None:
        super().__init__(message, retry_after_ms=retry_after_ms)
        self.retry_after_ms = retry_after_ms


class DeadlineExceeded(RegistryError):
    """The time that the request had has passed; it may have had an effect."""


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
    """The value as text, of at most so many characters."""
    text = str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def fitting(value: object, limit: int) -> str:
    """The value as text, of at most so many bytes in UTF-8."""
    encoded = str(value).encode(errors="replace")
    return str(value) if len(encoded) <= limit else encoded[: limit - 3].decode(errors="ignore") + "…"


def shown(value: object) -> str:
    """The value as a person should see it in a message: quoted, cut, with invisible characters spelled out."""
    return ascii_controls(repr(shortened(value)))


def ascii_controls(text: str) -> str:
    """The text with every character that does not print spelled out."""
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode("ascii") for ch in text)
