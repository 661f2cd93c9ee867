"""The threads behind `tallymark.serving`: one watches the log, another loads the version of the reference.

An event in the log only means that the reference may have changed. The version is then read from the registry, so that
of several changes at once only the last one is loaded, and none is missed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Generic, NamedTuple, TypeVar

from tallymark.client import calls
from tallymark.client.blocking import Client
from tallymark.client.calls import Call
from tallymark.client.messages import version_of, version_text
from tallymark.errors import NotFound, TallymarkError, Unavailable
from tallymark.serving.last_good import LastGood, StoredVersion
from tallymark.settings import adjusted
from tallymark.types.resources import ModelVersion
from tallymark.types.version_actions import remember_registry

T = TypeVar("T")
logger = logging.getLogger("tallymark.serving")

# After these events, the name may belong to another model, or to none.
_NAME_EVENTS = {"model_renamed", "model_purged"}
_EVENTS_OF_ALL = (*sorted(_NAME_EVENTS), "model_deleted", "model_undeleted", "version_deleted", "version_undeleted")
_EVENTS_OF_STAGES = ("stage_changed", "alias_set", "alias_deleted")
_EVENTS_OF_NUMBERS = ("version_created", "version_renamed")

# In seconds. Changes with less time in between are treated as one, but for at most MAX_DEBOUNCE.
DEBOUNCE = 0.2
MAX_DEBOUNCE = 2.0
# How long a service with a last good version waits for the registry when it starts.
FIRST_CALL_TIMEOUT = 2.0
MAX_RETRY_DELAY = 60.0
CLOSE_TIMEOUT = 1.0


class Served(NamedTuple, Generic[T]):
    """A version, and the result of `on_change` for it."""

    version: ModelVersion
    value: T


class FollowOptions(NamedTuple, Generic[T]):
    """The arguments of `follow`: `reference` is a resource name, `retry` the first delay in seconds."""

    reference: str
    on_change: Callable[[ModelVersion], T]
    url: str
    last_good: LastGood | None
    retry: float

    @property
    def model(self) -> str:
        """The resource name of the model."""
        return self.reference.partition("/versions/")[0]

    @property
    def project(self) -> str:
        """The project of the reference."""
        return self.reference.split("/")[1]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of events after which the reference may point to another version."""
        return (*_EVENTS_OF_ALL, *(_EVENTS_OF_STAGES if "/versions/@" in self.reference else _EVENTS_OF_NUMBERS))

    def client(self, timeout: float | None = None) -> Client:
        """Return a new client for the project of the reference."""
        return Client(self.url, project=self.project, timeout=timeout)


class Backoff:
    """Exponential backoff in seconds."""

    def __init__(self, first: float) -> None:
        self._first = self._next = first

    def delay(self) -> float:
        """Return the delay after another failure."""
        delay, self._next = self._next, min(2 * self._next, max(self._first, MAX_RETRY_DELAY))
        return delay

    def reset(self) -> None:
        """Return to the first delay, after a success."""
        self._next = self._first


class Follower(Generic[T]):
    """Follows a reference from `open` to `close`. It can be opened once."""

    def __init__(self, options: FollowOptions[T]) -> None:
        self._options = options
        self._client = options.client()
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._state = threading.Condition()
        self._is_disconnected = True
        self._threads: list[threading.Thread] = []
        self.current: Served[T] | None = None
        self.error: BaseException | None = None

    @property
    def stopped(self) -> bool:
        """Whether it has stopped."""
        return self._stopped.is_set()

    def open(self) -> None:
        """Load the version of the reference, or else the one that was served last, and start the threads.

        Raise the error of `on_change` or of the registry if neither can be loaded.
        """
        try:
            self._load_first()
        except BaseException:
            self.stop()
            raise
        with self._state:
            if not self.stopped:
                for target in (self._watch, self._load):
                    thread = threading.Thread(target=target, name=f"tallymark {self._options.reference}", daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def stop(self) -> None:
        """Stop to follow, without waiting. The result of a running `on_change` is dropped."""
        with self._state:
            self._stopped.set()
            self._state.notify_all()
        self._changed.set()
        self._client.close()

    def close(self) -> None:
        """Stop, and wait for the threads, but not for a slow `on_change`."""
        self.stop()
        end = time.monotonic() + CLOSE_TIMEOUT
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until the predicate is true, or until this has stopped. Return whether the predicate is true."""
        with self._state:
            self._state.wait_for(lambda: predicate() or self.stopped, timeout)
            return predicate()

    def _load_first(self) -> None:
        last_good = self._options.last_good
        last_version = last_good.read() if last_good is not None else None
        remember_registry(last_version, adjusted(url=self._options.url, project=self._options.project))
        timeout = min(FIRST_CALL_TIMEOUT, adjusted().timeout or FIRST_CALL_TIMEOUT) if last_version else None
        with self._options.client(timeout) as client:
            self._refresh(client)
        error = self.error
        if self.current is None and last_version is not None and self._serve(last_version):
            self._set_error(error)
        if self.current is None and error is not None:
            raise error

    def _watch(self) -> None:
        backoff = Backoff(self._options.retry)
        while not self.stopped:
            try:
                self._watch_name(backoff)
            except Exception as error:  # noqa: BLE001 - any error is reported, and the watch retried
                if not self.stopped:
                    self._set_error(error)
                    self._stopped.wait(backoff.delay())

    def _watch_name(self, backoff: Backoff) -> None:
        """Wake the other thread at each event. Return when the name may belong to another model."""
        progress = self._client.watch_progress(
            model=self._options.model, kinds=self._options.kinds, on_lost=self._on_lost
        )
        self._is_disconnected = True
        with closing(progress):
            for message in () if self.stopped else progress:
                if message.events or self._is_disconnected:
                    self._changed.set()
                self._is_disconnected = False
                backoff.reset()
                if any(event.kind in _NAME_EVENTS for event in message.events):
                    return

    def _on_lost(self, reason: Unavailable) -> None:
        """Report that the stream is interrupted; after reconnecting, the version is read again."""
        self._is_disconnected = True
        self._set_error(reason)

    def _load(self) -> None:
        backoff = Backoff(self._options.retry)
        again = self.error is not None
        while True:
            self._changed.wait(backoff.delay() if again else None)
            self._debounce()
            if self.stopped:
                return
            again = self._refresh(self._client)
            if not again:
                backoff.reset()

    def _debounce(self) -> None:
        """Wait until there is no further change for DEBOUNCE seconds, at most MAX_DEBOUNCE."""
        end = time.monotonic() + MAX_DEBOUNCE
        while self._changed.is_set() and not self.stopped and time.monotonic() < end:
            self._changed.clear()
            self._changed.wait(DEBOUNCE)
        self._changed.clear()

    def _refresh(self, client: Client) -> bool:
        """Load the version of the reference, unless it is served already. Return whether to retry without a change."""
        get = calls.get_version("", self._options.reference, show_deleted=False)
        call = Call(
            get.service, get.method, get.request, lambda reply: StoredVersion(version_of(reply), version_text(reply))
        )
        try:
            stored = client.run_call(call)
        except Exception as error:  # noqa: BLE001 - any error is reported, and the call retried
            self._set_error(error)
            return not isinstance(error, NotFound)
        return not self._serve(stored)

    def _serve(self, stored: StoredVersion) -> bool:
        """Load a version, and replace the one before. Return whether it is served."""
        if self.current is not None and _same(self.current.version, stored.version):
            self._set_error(None)
            return True
        try:
            value = self._options.on_change(stored.version)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - after any error the version before stays
            self._set_error(error)
            return False
        with self._state:
            if self.stopped:
                return False
            self.current, self.error = Served(stored.version, value), None
            self._state.notify_all()
        logger.info("%s: %r is served", self._options.reference, stored.version)
        if self._options.last_good is not None:
            self._options.last_good.write(stored)
        return True

    def _set_error(self, error: BaseException | None) -> None:
        """Set and log the error that may have left `current` outdated; None clears it."""
        with self._state:
            before, self.error = self.error, error
            self._state.notify_all()
        if error is not None and repr(error) != repr(before) and not self.stopped:
            state = "nothing is served" if self.current is None else f"{self.current.version!r} stays"
            unexpected = None if isinstance(error, TallymarkError) else error
            # The text of some errors, such as KeyError, is useless without the class.
            message = error if unexpected is None else f"{type(error).__name__}: {error}"
            logger.warning("%s: %s; %s", self._options.reference, message, state, exc_info=unexpected)


def _same(one: ModelVersion, other: ModelVersion) -> bool:
    """Return whether both are the same version; another registry may have the same number."""
    return (one.resource_name, one.create_time) == (other.resource_name, other.create_time)
