"""Serve the version that a reference means, and the next one as soon as it means another.

    from tallymark.serving import follow

    with follow("churn@production", on_change=load) as served:
        version, model = served.current

`on_change` is called with the version that the reference means now, and again whenever it means another: a stage, an
alias, a name, or the latest. What it gives becomes `current` only once it is there: until then, and when it fails, what
was served before stays. Nothing is asked again and again: the registry tells what changes. `afollow` does the same for
asyncio.

follower   the threads that watch the log and load what the reference means now
last_good  the file that keeps the version served last
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Generic, Self, TypeVar, overload

from tallymark.arguments import described, text
from tallymark.errors import InvalidArgument, Refused
from tallymark.serving.follower import Followed, Follower, Served
from tallymark.serving.last_good import LastGood
from tallymark.settings import adjusted
from tallymark.types.references import version_name
from tallymark.types.resources import ModelVersion

__all__ = ["AsyncFollowing", "Following", "Served", "afollow", "follow"]

T = TypeVar("T")


def follow(
    reference: str,
    on_change: Callable[[ModelVersion], T],
    *,
    last_good: str | os.PathLike[str] | None = None,
    retry: float = 1.0,
    url: str | None = None,
    project: str | None = None,
) -> Following[T]:
    """Follow what the reference means, by a thread in the background, within a `with` block.

    Entering the block calls `on_change` here, and raises what it raises, or why there is no version to call it with.
    Later calls come from one thread, never two at once. An `on_change` that fails is tried again with the next change,
    and after `retry` seconds, then twice as long, up to a minute.

    `last_good` is a file that keeps the version served last. When the registry cannot be reached, or names no version,
    or `on_change` fails for the one that it names, the block begins with the version in the file.

    A process made by fork does not follow; let it enter a block of its own.
    """
    if inspect.iscoroutinefunction(on_change):
        raise InvalidArgument("on_change is a coroutine function; use afollow")
    return Following(_followed(reference, on_change, last_good, retry, url, project))


@overload
def afollow(
    reference: str,
    on_change: Callable[[ModelVersion], Awaitable[T]],
    *,
    last_good: str | os.PathLike[str] | None = None,
    retry: float = 1.0,
    url: str | None = None,
    project: str | None = None,
) -> AsyncFollowing[T]: ...
@overload
def afollow(
    reference: str,
    on_change: Callable[[ModelVersion], T],
    *,
    last_good: str | os.PathLike[str] | None = None,
    retry: float = 1.0,
    url: str | None = None,
    project: str | None = None,
) -> AsyncFollowing[T]: ...
def afollow(
    reference: str,
    on_change: Callable[[ModelVersion], Any],
    *,
    last_good: str | os.PathLike[str] | None = None,
    retry: float = 1.0,
    url: str | None = None,
    project: str | None = None,
) -> AsyncFollowing[Any]:
    """As `follow`, within an `async with` block, without holding up the event loop.

    A coroutine function is awaited in the loop; a plain function is called in a thread.
    """
    return AsyncFollowing(_followed(reference, on_change, last_good, retry, url, project))


def _followed(
    reference: str,
    on_change: Callable[[ModelVersion], T],
    last_good: str | os.PathLike[str] | None,
    retry: object,
    url: str | None,
    project: str | None,
) -> Followed[T]:
    if not callable(on_change):
        raise InvalidArgument(f"follow(on_change=...) takes a function of a ModelVersion, not {described(on_change)}")
    if not isinstance(retry, int | float) or not retry > 0:
        raise InvalidArgument(f"follow(retry=...) takes a number of seconds above 0, not {retry!r}")
    settings = adjusted(url=url, project=project)
    name = version_name(settings.project, text(reference, "follow(reference=...)"))
    return Followed(name, on_change, settings.url, LastGood(last_good, name) if last_good else None, retry)


class Following(Generic[T]):
    """A reference that is followed within a `with` block. Safe to read from any thread."""

    def __init__(self, followed: Followed[T]) -> None:
        self._followed = followed
        self._follower: Follower[T] | None = None

    def __enter__(self) -> Self:
        _check_closed(self._follower, self._followed)
        self._follower = Follower(self._followed)
        self._follower.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"follow({self._followed.reference!r})"

    @property
    def current(self) -> Served[T]:
        """The version that is served, and what `on_change` made of it; both change together."""
        return _current(self._follower, self._followed)

    @property
    def error(self) -> BaseException | None:
        """What keeps `current` from being what the reference means; None when nothing is known to."""
        return self._follower.error if self._follower else None

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait, at most that many seconds, until a change makes the predicate true; whether it is true."""
        return _entered(self._follower, self._followed).wait_for(predicate, timeout)

    def close(self) -> None:
        """Follow no longer, as the end of the block does. `current` stays; an `on_change` that runs is dropped."""
        if self._follower is not None:
            self._follower.close()


class AsyncFollowing(Generic[T]):
    """A reference that is followed within an `async with` block."""

    def __init__(self, followed: Followed[Any]) -> None:
        self._followed = followed
        self._follower: Follower[T] | None = None
        self._awaited: Future[T] | None = None

    async def __aenter__(self) -> Self:
        _check_closed(self._follower, self._followed)
        loop = asyncio.get_running_loop()
        follower: Follower[T]

        def on_change(version: ModelVersion) -> T:
            made = self._followed.on_change(version)
            if not inspect.isawaitable(made):
                value: T = made
                return value
            self._awaited = asyncio.run_coroutine_threadsafe(_result(made), loop)
            if follower.stopped:
                self._awaited.cancel()
            return self._awaited.result()

        follower = self._follower = Follower(self._followed._replace(on_change=on_change))
        try:
            await asyncio.to_thread(follower.open)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"afollow({self._followed.reference!r})"

    @property
    def current(self) -> Served[T]:
        """The version that is served, and what `on_change` made of it; both change together."""
        return _current(self._follower, self._followed)

    @property
    def error(self) -> BaseException | None:
        """What keeps `current` from being what the reference means; None when nothing is known to."""
        return self._follower.error if self._follower else None

    async def wait_for(self, predicate: Callable[[], bool], timeout: float) -> bool:  # noqa: ASYNC109 - as in Following
        """Wait, at most that many seconds, until a change makes the predicate true; whether it is true."""
        follower = _entered(self._follower, self._followed)
        return await asyncio.to_thread(follower.wait_for, predicate, timeout)

    async def close(self) -> None:
        """Follow no longer, as the end of the block does. `current` stays; an `on_change` that runs is cancelled."""
        if self._follower is None:
            return
        self._follower.stop()
        if self._awaited is not None:
            self._awaited.cancel()
        await asyncio.to_thread(self._follower.close)


async def _result(made: Awaitable[T]) -> T:
    return await made


def _check_closed(follower: Follower[Any] | None, followed: Followed[Any]) -> None:
    if follower is not None and not follower.stopped:
        raise Refused(f"{followed.reference} is followed by this object already; make another")


def _entered(follower: Follower[T] | None, followed: Followed[T]) -> Follower[T]:
    if follower is None:
        raise Refused(f"{followed.reference} is followed within a `with` block only; enter it first")
    return follower


def _current(follower: Follower[T] | None, followed: Followed[T]) -> Served[T]:
    current = _entered(follower, followed).current
    if current is None:
        raise Refused(f"no version of {followed.reference} is served yet")
    return current
