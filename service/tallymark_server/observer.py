"""What the service shows of its work while it runs: the one interface that its parts know of metrics and traces.

`Observer` shows nothing. `app` gives the parts one that counts, measures or traces instead; what it does that with, no
part knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

Headers = Callable[[], Iterable[tuple[str, str | bytes]] | None]

# The codes of calls that end without an error, and of calls whose caller left.
OK, CANCELLED = "OK", "CANCELLED"
# What runs for longer than a call should, by the name that it is shown under.
VERIFICATION, EXPORT = "verification", "export"


class Position:
    """The revision that a watcher has been sent everything up to, None before its first message."""

    __slots__ = ("revision",)

    def __init__(self) -> None:
        self.revision: int | None = None


class CallObserver:
    """Observes the calls of one method."""

    __slots__ = ()

    def begin(self, headers: Headers) -> Any:
        """Note that a call has begun, whose request headers the function returns. Return what `end` needs."""

    def end(self, begun: Any, code: str) -> None:
        """Note that the call has ended with that status code, such as NOT_FOUND."""


class Observer:
    """Observes nothing. Its methods are called in the event loop, `commit` also in other threads."""

    __slots__ = ()

    def call(self, service: str, method: str, transport: str) -> CallObserver:
        """Return the observer of the calls of that method which come over `grpc` or `http`."""
        del service, method, transport
        return CallObserver()

    def queued(self) -> Any:
        """Note that a command has been queued. Return what `batch` needs of it."""

    def batch(self, queued: Sequence[Any]) -> AbstractContextManager[object]:
        """Observe, in the block, how these commands are decided and committed together."""
        del queued
        return nullcontext()

    def commit(self) -> AbstractContextManager[object]:
        """Observe, in the block, the commit of a transaction."""
        return nullcontext()

    def working(self, kind: str) -> AbstractContextManager[object]:
        """Observe, in the block, a VERIFICATION or an EXPORT."""
        del kind
        return nullcontext()

    def watching(self, project: str) -> AbstractContextManager[Position]:
        """Observe, in the block, a watcher of the project, which keeps the position up to date."""
        del project
        return nullcontext(Position())
