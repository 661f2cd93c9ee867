"""`Call`, and what all calls share."""

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
    """A call of the service: the request, the method that takes it, and the function that reads the answer."""

    service: type
    method: str
    request: Any
    read: Callable[[Any], T]
    writes: bool = False
    # The seconds that it may take if no timeout is set; None for the default of reads or writes.
    default_timeout: float | None = None

    @property
    def waits_for_ready(self) -> bool:
        """Whether it waits for the service to be reachable. Long calls do not, so that they fail soon without one."""
        return self.default_timeout is None


class Page(NamedTuple, Generic[T]):
    """A page of a list, and the token of the next page, empty for the last."""

    items: list[T]
    next_page_token: str


class Cursor(NamedTuple):
    """The position of a watch: a revision, None for the present one, and the log that has it."""

    revision: int | None = None
    log_id: str = ""


class WatchFilter(NamedTuple):
    """The events that a watch returns: those about a model, of some kinds, of moves into or out of some stages."""

    model: str = ""
    kinds: Sequence[str] = ()
    stages: Sequence[str] = ()


class WatchMessage(NamedTuple):
    """A message of a watch: events, and the position after them."""

    events: list[Event]
    cursor: Cursor


class ExportChunk(NamedTuple):
    """A piece of an export: bytes, the revision that they reach, and the last revision of the export."""

    lines: bytes
    revision: int
    last_revision: int


class NewVersion(NamedTuple):
    """A version to create in a batch. Without a name it is called by its number."""

    name: str = ""
    description: str = ""
    tags: Sequence[str] = ()
    metadata: Mapping[str, object] = {}


def new_request_id() -> str:
    """Return a unique request id. It begins with the time, since the service stores ordered ids fastest."""
    return f"{time.time_ns() // 1_000_000:012x}-{secrets.token_hex(10)}"


def with_validate_only(call: Call[T], validate_only: bool) -> Call[T]:
    """Return the call with its field `validate_only` set."""
    call.request.validate_only = validate_only
    return call


class ListOptions(NamedTuple):
    """The options of a list: a filter, an order, whether to include deleted items, and as of when to read."""

    where: str = ""
    order_by: str = ""
    show_deleted: bool = False
    at: int | datetime | None = None


def page(reply: Any, items: Any, read: Callable[[Any], T]) -> Page[T]:
    """Return the page in a reply."""
    return Page([read(item) for item in items], reply.next_page_token)


def as_of(at: int | datetime | None) -> dict[str, Any]:
    """Return the fields of a request that say as of when to read. Raises InvalidArgument."""
    match at:
        case None:
            return {}
        case bool():
            raise InvalidArgument("at takes a revision or a datetime, not a bool")
        case int():
            return {"read_revision": at}
        case datetime():
            read_time = Timestamp()
            read_time.FromDatetime(at.astimezone(UTC))
            return {"read_time": read_time}
        case _:
            raise InvalidArgument(f"at takes a revision or a datetime, not {described(at)}")
