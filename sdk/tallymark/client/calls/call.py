"""What every call is made of."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from tallymark.arguments import described
from tallymark.errors import InvalidArgument
from tallymark.types.resources import (
    Event,
)

T = TypeVar("T")
PAGE_SIZE = 500


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """What to send to which method of which service, and how to read the answer."""

    service: type
    method: str
    request: Any
    read: Callable[[Any], T]
    writes: bool = False
    # The seconds that it may take if no timeout is set; None for those of any other read or write.
    patience: float | None = None

    @property
    def waits(self) -> bool:
        """Whether it waits for a service that is not there yet: not if it may take so long that nobody would notice."""
        return self.patience is None


class Page(NamedTuple, Generic[T]):
    """Some of a list, and the token that asks for the rest, empty at the end."""

    items: list[T]
    next_page_token: str


class Cursor(NamedTuple):
    """Where in which log a watch has come to; a revision of None is now."""

    revision: int | None = None
    log_id: str = ""


class WatchFilter(NamedTuple):
    """Of which events a watch shall tell: about which model, of which kinds, of moves into or out of which stages."""

    model: str = ""
    kinds: Sequence[str] = ()
    stages: Sequence[str] = ()


class WatchMessage(NamedTuple):
    """Events that a watch tells, and where it has come to."""

    events: list[Event]
    cursor: Cursor


class ExportChunk(NamedTuple):
    """Some bytes of an export, the revision that they have come to, and the one with which it ends."""

    lines: bytes
    revision: int
    last_revision: int


class NewVersion(NamedTuple):
    """A version to be created in a batch. Without a name it is called by its number."""

    name: str = ""
    description: str = ""
    tags: Sequence[str] = ()
    metadata: Mapping[str, object] = {}


def new_request_id() -> str:
    """A request id: time-ordered, which the server stores fastest, and unique."""
    return f"{time.time_ns() // 1_000_000:012x}-{secrets.token_hex(10)}"


def trial(call: Call[T], validate_only: bool) -> Call[T]:
    """The call, or a trial of it that changes nothing."""
    call.request.validate_only = validate_only
    return call


class ListOptions(NamedTuple):
    """What is asked of a list: which things, in which order, with deleted ones or without, as of when."""

    where: str = ""
    order_by: str = ""
    show_deleted: bool = False
    at: int | datetime | None = None


def page(reply: Any, items: Any, read: Callable[[Any], T]) -> Page[T]:
    """The page that a reply tells."""
    return Page([read(item) for item in items], reply.next_page_token)


def as_of(at: int | datetime | None) -> dict[str, Any]:
    """The fields of a request that say as of when to read: after a revision, at a time, or now; InvalidArgument."""
    match at:
        case None:
            return {}
        case bool():
            raise InvalidArgument("at takes a revision or a datetime, not a bool")
        case int():
            return {"read_revision": at}
        case datetime():
            moment = Timestamp()
            moment.FromDatetime(at.astimezone(UTC))
            return {"read_time": moment}
        case _:
            raise InvalidArgument(f"at takes a revision or a datetime, not {described(at)}")
