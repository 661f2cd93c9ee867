"""Two observers as one: metrics and traces, which do not know each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tallymark_server.observer import CallObserver, Headers, Observer, Position


class Observers(Observer):
    """Two observers; the second observes within the first, which has the positions of watchers."""

    __slots__ = ("_first", "_second")

    def __init__(self, first: Observer, second: Observer) -> None:
        self._first, self._second = first, second

    def call(self, service: str, method: str, transport: str) -> CallObserver:
        """Return the observers of the method's calls."""
        return _Calls(self._first.call(service, method, transport), self._second.call(service, method, transport))

    def queued(self) -> tuple[Any, Any]:
        """Return what both need."""
        return self._first.queued(), self._second.queued()

    @contextmanager
    def batch(self, queued: Sequence[tuple[Any, Any]]) -> Iterator[None]:
        """Observe the batch."""
        with self._first.batch([each for each, _ in queued]), self._second.batch([each for _, each in queued]):
            yield

    @contextmanager
    def commit(self) -> Iterator[None]:
        """Observe the commit."""
        with self._first.commit(), self._second.commit():
            yield

    @contextmanager
    def working(self, kind: str) -> Iterator[None]:
        """Observe the work."""
        with self._first.working(kind), self._second.working(kind):
            yield

    @contextmanager
    def watching(self, project: str) -> Iterator[Position]:
        """Observe the watcher."""
        with self._first.watching(project) as position, self._second.watching(project):
            yield position


class _Calls(CallObserver):
    __slots__ = ("_first", "_second")

    def __init__(self, first: CallObserver, second: CallObserver) -> None:
        self._first, self._second = first, second

    def begin(self, headers: Headers) -> tuple[Any, Any]:
        return self._first.begin(headers), self._second.begin(headers)

    def end(self, begun: tuple[Any, Any], code: str) -> None:
        first, second = begun
        self._second.end(second, code)
        self._first.end(first, code)
