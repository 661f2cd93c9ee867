"""Errors of the service: what it cannot do, or cannot do now."""

from __future__ import annotations

from tallymark_server.domain.errors.branches import (
    DataLoss,
    DeadlineExceeded,
    Forbidden,
    Internal,
    OutOfRange,
    Unavailable,
    Unimplemented,
    shortened,
    shown,
)

# How many receipts without events a project keeps at most.
MAX_REMEMBERED_ANSWERS = 1_000_000


class RevisionInFuture(OutOfRange):
    """The revision has not happened yet."""

    reason = "REVISION_IN_FUTURE"

    def __init__(self, revision: int, oldest: int, newest: int) -> None:
        super().__init__(
            f"revision {revision} has not happened yet; the log goes from {oldest} to {newest}",
            revision=revision,
            oldest=oldest,
            newest=newest,
        )


class Overloaded(Unavailable):
    """More writes, proofs or exports are waiting than the server takes on."""

    reason = "OVERLOADED"

    def __init__(self, waiting: int, what: str = "writes are waiting") -> None:
        super().__init__(f"{waiting:,} {what} already; try again in a moment", retry_after_ms=200)

    @classmethod
    def of_answers(cls) -> Overloaded:
        """Return the refusal of a request without effect, when no more receipts without events can be kept."""
        return cls(MAX_REMEMBERED_ANSWERS, "answers without effect are remembered for the request_ids of ten minutes")


class Stopping(Unavailable):
    """The server is stopping."""

    reason = "STOPPING"

    def __init__(self) -> None:
        super().__init__("the server is stopping; try again when it is back", retry_after_ms=1000)


class StorageUnavailable(Unavailable):
    """The storage cannot read or write now."""

    reason = "STORAGE_UNAVAILABLE"

    def __init__(self, problem: str) -> None:
        super().__init__(f"the registry's storage cannot be used now: {problem}; try again later", retry_after_ms=1000)


class CallTimedOut(DeadlineExceeded):
    """The deadline of the caller, or the time that a request may take to arrive, has passed."""

    reason = "CALL_TIMED_OUT"

    def __init__(self, timeout_ms: int, what: str = "the call took longer") -> None:
        super().__init__(
            f"{what} than {timeout_ms:,} ms; give it more time, and repeat a change with the same request_id",
            timeout_ms=timeout_ms,
        )


class ForeignOrigin(Forbidden):
    """A page of another site calls, or the request names a host that the server is not known by."""

    reason = "FOREIGN_ORIGIN"

    def __init__(self, field: str, value: str, rule: str) -> None:
        super().__init__(f"{field} is {shown(value)}: {rule}", field=field, value=shortened(value))


class UnsupportedCall(Unimplemented):
    """The method does not exist over HTTP, or is called in another way."""

    reason = "UNSUPPORTED_CALL"

    def __init__(self, field: str, value: str, rule: str) -> None:
        super().__init__(f"{field} is {shown(value)}: {rule}", field=field, value=shortened(value))


class ClockJumped(Unavailable):
    """The machine's clock has jumped ahead, so events cannot get its time."""

    reason = "CLOCK_JUMPED"

    def __init__(self, minutes: int) -> None:
        super().__init__(
            f"the clock of the service's machine has jumped {minutes:,} minutes ahead, and nothing is recorded with"
            " such a time; its operator sets the clock, or restarts the service if the clock is right",
            retry_after_ms=10_000,
        )
        self.metadata["minutes"] = str(minutes)


class DataDamaged(DataLoss):
    """What the request needs is damaged on the disk."""

    reason = "DATA_DAMAGED"

    def __init__(self, what: str, revision: int = 0) -> None:
        super().__init__(
            f"the registry's file is damaged: {what}; its operator runs `tallymark verify` and restores a backup",
            revision=revision,
        )


class Incident(Internal):
    """A defect of the server, logged there under the incident's id."""

    reason = "INCIDENT"

    def __init__(self, incident: str) -> None:
        super().__init__(
            f"the server made a mistake, and logged it as incident {incident}; tell its operator", incident=incident
        )
