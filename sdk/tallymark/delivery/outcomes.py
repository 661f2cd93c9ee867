"""Send the requests of a journal, and classify the errors of the registry."""

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


class CallRunner(Protocol):
    """An object that sends calls, such as a `Client`."""

    def run_call(self, call: Call[Any]) -> Any:
        """Return the response to a call. Raises TallymarkError."""


class RenewableRequests:
    """Send the requests of a journal, which have the same request ids after a crash.

    The registry stores its response to each request id, refusals included. A request that may succeed later, or under
    another name, is therefore sent again with other ids. `attempt` counts how often that happened; `save_attempt`
    stores it in the journal, so that the ids are the same after a crash.
    """

    def __init__(self, runner: CallRunner, attempt: int, save_attempt: Callable[[int], None]) -> None:
        self._runner = runner
        self._attempt = attempt
        self._save_attempt = save_attempt

    def run_call(self, call: Call[Any]) -> Any:
        """Return the response to a call. Raises TallymarkError."""
        try:
            return self._runner.run_call(self._renewed(call))
        except (ModelNotFound, ProjectNotFound, RunNotFound) as error:
            if is_blocked(error) or error.metadata.get("renamed_to"):
                self._attempt += 1
                self._save_attempt(self._attempt)
            raise

    def _renewed(self, call: Call[Any]) -> Call[Any]:
        if not self._attempt or not call.writes:
            return call
        request = type(call.request)()
        request.CopyFrom(call.request)
        request.request_id += f"~{self._attempt:x}"
        return replace(call, request=request)


def is_blocked(error: TallymarkError) -> bool:
    """Return whether the error blocks the whole journal for now, whatever the record.

    RunNotFound does, because the start of the run may be in a journal that is delivered later.
    """
    return isinstance(error, Unavailable | Unauthenticated | Forbidden | ProjectNotFound | RunNotFound)


def is_refusal(error: TallymarkError) -> bool:
    """Return whether the service has refused the request, and has stored the refusal under its request id."""
    return bool(error.code) and error.code != "UNKNOWN" and not isinstance(error, Unavailable | Internal)


def is_undecided(error: TallymarkError) -> bool:
    """Return whether the service has neither accepted nor refused the record: the journal is blocked, or it failed.

    For a connection that is cut during a call, gRPC may report only UNKNOWN.
    """
    return is_blocked(error) or isinstance(error, Internal) or error.code == "UNKNOWN"
