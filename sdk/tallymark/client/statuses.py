"""Errors for the statuses of calls: by the reason that the service gives, else by the code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tallymark import errors


def leaves(branch: type[errors.TallymarkError] = errors.TallymarkError) -> Iterator[type[errors.TallymarkError]]:
    """Yield every class of error that has a reason."""
    for kind in branch.__subclasses__():
        if kind.reason:
            yield kind
        yield from leaves(kind)


_BRANCHES: dict[str, type[errors.TallymarkError]] = {
    "INVALID_ARGUMENT": errors.InvalidArgument,
    "NOT_FOUND": errors.NotFound,
    "ALREADY_EXISTS": errors.AlreadyExists,
    "FAILED_PRECONDITION": errors.Refused,
    "ABORTED": errors.Conflict,
    "OUT_OF_RANGE": errors.OutOfRange,
    "UNAVAILABLE": errors.Unavailable,
    "DEADLINE_EXCEEDED": errors.DeadlineExceeded,
    # A server that stops, or a connection that is closed, ends calls in this way: the caller did not cancel.
    "CANCELLED": errors.Unavailable,
    "RESOURCE_EXHAUSTED": errors.ResourceExhausted,
    "UNAUTHENTICATED": errors.Unauthenticated,
    "PERMISSION_DENIED": errors.Forbidden,
    "UNIMPLEMENTED": errors.Unimplemented,
    "DATA_LOSS": errors.DataLoss,
    "INTERNAL": errors.Internal,
}
_LEAVES = {kind.reason: kind for kind in leaves()}


def error_of(
    code: str, message: str, reason: str = "", metadata: Mapping[str, str] | None = None
) -> errors.TallymarkError:
    """Return the error for a status: by its reason, else by its code."""
    kind = _LEAVES.get(reason) or _BRANCHES.get(code, errors.TallymarkError)
    if code == "RESOURCE_EXHAUSTED" and not reason:
        # Not of the service, which gives a reason, but of gRPC: a message is too large, however often it is sent.
        kind = errors.TallymarkError
    return kind(message, code=code, metadata=metadata)
