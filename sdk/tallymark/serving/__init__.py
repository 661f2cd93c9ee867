"""Serve the version that a reference points to, and switch to the next one when that changes.

    from tallymark.serving import follow

    with follow("churn@production", on_change=load) as served:
        version, model = served.current

A reference is a stage, an alias, a version name or `latest`. `on_change` is called with the version that it points to,
and again whenever it points to another one. When `on_change` returns, its result becomes `current`; until then, and if
it raises, the version before stays in service. The registry streams changes, so nothing is polled. `afollow` does the
same for asyncio.

follower   the threads that watch the log and load the version
last_good  the file that stores the version that was served last
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
from tallymark.serving.follower import Follower, FollowOptions, Served
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
    """Follow a reference in a background thread, within a `with` block.

    Entering the block calls `on_change` in the calling thread, and raises the exception of that call, or the reason why
    there is no version. Later calls run in one background thread, one at a time. If `on_change` raises, it is called
    again at the next change, and after `retry` seconds, with exponential backoff up to a minute.

    A process that is created by fork does not follow; it needs a block of its own.

    Args:
        reference: The reference, such as `churn@production`, `churn@latest`, `churn@ALIAS` or `churn/NAME`.
        on_change: Load the version; its result is served as `current.value`.
        last_good: A file that stores the version that was served last. The block starts with that version if the
            registry is unavailable, the reference points to no version, or `on_change` raises.
        retry: The delay in seconds before the first retry.
        url: The registry, as HOST:PORT; by default the one in the settings.
        project: The project; by default the one in the settings.

    Returns:
        An object to be used as a context manager, with the attributes `current` and `error`.

    Raises:
        InvalidArgument: An argument has the wrong type, or `on_change` is a coroutine function.
    """
    if inspect.iscoroutinefunction(on_change):
        raise InvalidArgument("on_change is a coroutine function; use afollow")
    return Following(_options(reference, on_change, last_good, retry, url, project))


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
    """Follow a reference as `follow` does, within an `async with` block, without blocking the event loop.

    Args:
        reference: The reference, as for `follow`.
        on_change: Load the version. A coroutine function runs in the event loop, a plain function in a thread.
        last_good: A file that stores the version that was served last, as for `follow`.
        retry: The delay in seconds before the first retry.
        url: The registry, as HOST:PORT; by default the one in the settings.
        project: The project; by default the one in the settings.

    Returns:
        An object to be used as an asynchronous context manager, with the attributes `current` and `error`.

    Raises:
        InvalidArgument: An argument has the wrong type.
    """
    return AsyncFollowing(_options(reference, on_change, last_good, retry, url, project))


def _options(
    reference: str,
    on_change: Callable[[ModelVersion], T],
    last_good: str | os.PathLike[str] | None,
    retry: object,
    url: str | None,
    project: str | None,
) -> FollowOptions[T]:
    if not callable(on_change):
        raise InvalidArgument(f"follow(on_change=...) takes a function of a ModelVersion, not {described(on_change)}")
    if not isinstance(retry, int | float) or not retry > 0:
        raise InvalidArgument(f"follow(retry=...) takes a number of seconds above 0, not {retry!r}")
    settings = adjusted(url=url, project=project)
    name = version_name(settings.project, text(reference, "follow(reference=...)"))
    return FollowOptions(name, on_change, settings.url, LastGood(last_good, name) if last_good else None, retry)


class Following(Generic[T]):
    """A reference that is followed within a `with` block. Thread-safe."""

    def __init__(self, options: FollowOptions[T]) -> None:
        self._options = options
        self._follower: Follower[T] | None = None

    def __enter__(self) -> Self:
        _check_not_open(self._follower, self._options)
        self._follower = Follower(self._options)
        self._follower.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"follow({self._options.reference!r})"

    @property
    def current(self) -> Served[T]:
        """The version that is served, and what `on_change` made of it; both change together."""
        return _current(self._follower, self._options)

    @property
    def error(self) -> BaseException | None:
        """What keeps `current` from being what the reference means; None when nothing is known to."""
        return self._follower.error if self._follower else None

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until a change makes the predicate true.

        Args:
            predicate: Called after each change of `current` or `error`.
            timeout: How many seconds to wait at most, None for no limit.

        Returns:
            Whether the predicate is true.

        Raises:
            Refused: The block is not entered.
        """
        return _require_entered(self._follower, self._options).wait_for(predicate, timeout)

    def close(self) -> None:
        """Stop to follow, as the end of the block does. `current` stays; the result of a running call is dropped."""
        if self._follower is not None:
            self._follower.close()


class AsyncFollowing(Generic[T]):
    """A reference that is followed within an `async with` block."""

    def __init__(self, options: FollowOptions[Any]) -> None:
        self._options = options
        self._follower: Follower[T] | None = None
        self._awaited: Future[T] | None = None

    async def __aenter__(self) -> Self:
        _check_not_open(self._follower, self._options)
        loop = asyncio.get_running_loop()
        follower: Follower[T]

        def on_change(version: ModelVersion) -> T:
            result = self._options.on_change(version)
            if not inspect.isawaitable(result):
                value: T = result
                return value
            self._awaited = asyncio.run_coroutine_threadsafe(_await(result), loop)
            if follower.stopped:
                self._awaited.cancel()
            return self._awaited.result()

        follower = self._follower = Follower(self._options._replace(on_change=on_change))
        try:
            await asyncio.to_thread(follower.open)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"afollow({self._options.reference!r})"

    @property
    def current(self) -> Served[T]:
        """The version that is served, and what `on_change` made of it; both change together."""
        return _current(self._follower, self._options)

    @property
    def error(self) -> BaseException | None:
        """What keeps `current` from being what the reference means; None when nothing is known to."""
        return self._follower.error if self._follower else None

    async def wait_for(self, predicate: Callable[[], bool], timeout: float) -> bool:  # noqa: ASYNC109 - as in Following
        """Wait until a change makes the predicate true.

        Args:
            predicate: Called in another thread after each change of `current` or `error`.
            timeout: How many seconds to wait at most.

        Returns:
            Whether the predicate is true.

        Raises:
            Refused: The block is not entered.
        """
        follower = _require_entered(self._follower, self._options)
        return await asyncio.to_thread(follower.wait_for, predicate, timeout)

    async def close(self) -> None:
        """Stop to follow, as the end of the block does. `current` stays; a running `on_change` is cancelled."""
        if self._follower is None:
            return
        self._follower.stop()
        if self._awaited is not None:
            self._awaited.cancel()
        await asyncio.to_thread(self._follower.close)


async def _await(result: Awaitable[T]) -> T:
    return await result


def _check_not_open(follower: Follower[Any] | None, options: FollowOptions[Any]) -> None:
    if follower is not None and not follower.stopped:
        raise Refused(f"this object follows {options.reference} already; create another")


def _require_entered(follower: Follower[T] | None, options: FollowOptions[T]) -> Follower[T]:
    if follower is None:
        raise Refused(f"enter the `with` block first: {options.reference} is followed only within it")
    return follower


def _current(follower: Follower[T] | None, options: FollowOptions[T]) -> Served[T]:
    current = _require_entered(follower, options).current
    if current is None:
        raise Refused(f"no version of {options.reference} is served yet")
    return current
