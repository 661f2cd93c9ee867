"""Who answers the calls of a delivery, and which answers end it for now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from tallymark.client.calls.call import Call
from tallymark.errors import (
    Forbidden,
    Internal,
    ModelNotFound,
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


class Anew:
    """Asks for a journal, whose requests have the same ids each time.

    What is refused, but may be taken later or under another name, is asked anew under other ids: the registry answers a
    request id once. `turn` says how often that was so, and is noted, so that the ids are the same after a crash.
    """

    def __init__(self, asker: Asker, turn: int, note: Callable[[int], None]) -> None:
        self._asker = asker
        self._turn = turn
        self._note = note

    def run_call(self, call: Call[Any]) -> Any:
        """Return the answer to a call; TallymarkError."""
        try:
            return self._asker.run_call(self._renewed(call))
        except (ModelNotFound, ProjectNotFound, RunNotFound) as error:
            if is_blocked(error) or error.metadata.get("renamed_to"):
                self._turn += 1
                self._note(self._turn)
            raise

    def _renewed(self, call: Call[Any]) -> Call[Any]:
        if not self._turn or not call.writes:
            return call
        request = type(call.request)()
        request.CopyFrom(call.request)
        request.request_id += f"~{self._turn:x}"
        return replace(call, request=request)


def is_blocked(error: TallymarkError) -> bool:
    """Return whether nothing can be delivered for now, whatever the record.

    A run that is not there may be in a journal that is delivered later.
    """
    return isinstance(error, Unavailable | Unauthenticated | Forbidden | ProjectNotFound | RunNotFound)


def is_refusal(error: TallymarkError) -> bool:
    """Return whether the service has refused the request, and remembers that by its request id."""
    return bool(error.code) and error.code != "UNKNOWN" and not isinstance(error, Unavailable | Internal)


def is_undecided(error: TallymarkError) -> bool:
    """Return whether the service has not decided on the record: nothing can be delivered, or it failed on this.

    Of a connection that is cut within a call, gRPC may say no more than UNKNOWN.
    """
    return is_blocked(error) or isinstance(error, Internal) or error.code == "UNKNOWN"
