"""What the service cannot do, or cannot do now."""

from __future__ import annotations

from tallymark_server.domain.errors.branches import Internal, OutOfRange, Unavailable


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


class Stopping(Unavailable):
    """The server is stopping."""

    reason = "STOPPING"

    def __init__(self) -> None:
        super().__init__("the server is stopping; try again when it is back", retry_after_ms=1000)


class StorageUnavailable(Unavailable):
    """The storage does not take reads or writes now."""

    reason = "STORAGE_UNAVAILABLE"

    def __init__(self, problem: str) -> None:
        super().__init__(f"the registry's storage cannot be used now: {problem}; try again later", retry_after_ms=1000)


class Incident(Internal):
    """A defect of the server, logged there under the incident's id."""

    reason = "INCIDENT"

    def __init__(self, incident: str) -> None:
        super().__init__(
            f"the server made a mistake, and logged it as incident {incident}; tell its operator", incident=incident
        )
