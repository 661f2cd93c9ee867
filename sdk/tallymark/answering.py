"""Who answers the calls of a delivery, and which answers end it for now."""

from __future__ import annotations

from typing import Any, Protocol

from tallymark.calls.parts import Call
from tallymark.errors import (
    Forbidden,
    Internal,
    ProjectNotFound,
    RunNotFound,
    TallymarkError,
    Unauthenticated,
    Unavailable,
)


class Asker(Protocol):
    """Whatever sends calls and returns their answers."""

    def run_call(self, call: Call[Any]) -> Any:
        """Return the answer to a call; TallymarkError."""


def is_blocked(error: TallymarkError) -> bool:
    """Return whether nothing can be delivered for now, whatever the record.

    A run that is not there may be in a journal that is delivered later.
    """
    return isinstance(error, Unavailable | Unauthenticated | Forbidden | ProjectNotFound | RunNotFound)


def is_undecided(error: TallymarkError) -> bool:
    """Return whether the service has not decided on the record: nothing can be delivered, or it failed on this.

    Of a connection that is cut within a call, gRPC may say no more than UNKNOWN.
    """
    return is_blocked(error) or isinstance(error, Internal) or error.code == "UNKNOWN"
