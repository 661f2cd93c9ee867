"""What goes on behind `tallymark.serving`: one thread watches the log, another loads what the reference means now.

The log only says that something may have changed. What the reference means is then asked, so that of many changes at
once only the last is loaded, and none is missed.
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
from tallymark.serving.last_good import Found, LastGood
from tallymark.settings import adjusted
from tallymark.types.resources import ModelVersion
from tallymark.types.version_actions import remember_registry

T = TypeVar("T")
logger = logging.getLogger("tallymark.serving")

# After these the model's name may be that of another model, or of none.
_NAME_LEFT = {"model_renamed", "model_purged"}
_OF_ALL = (*sorted(_NAME_LEFT), "model_deleted", "model_undeleted", "version_deleted", "version_undeleted")
_OF_HOLDERS = ("stage_changed", "alias_set", "alias_deleted")
_OF_NUMBERS = ("version_created", "version_renamed")

# Changes closer together than this are one; when they do not end, what is meant in between is loaded all the same.
QUIET = 0.2
LONGEST_UNREST = 2.0
# A service that has a version to start with does not wait longer than this to hear of a newer one.
PATIENCE = 2.0
LONGEST_RETRY = 60.0
CLOSING = 1.0


class Served(NamedTuple, Generic[T]):
    """A version, and what `on_change` made of it."""

    version: ModelVersion
    value: T


class Followed(NamedTuple, Generic[T]):
    """What is followed, and how: `reference` is a resource name, `retry` the first wait before another attempt."""

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
        """The kinds of events after which the reference may mean another version."""
        return (*_OF_ALL, *(_OF_HOLDERS if "/versions/@" in self.reference else _OF_NUMBERS))

    def client(self, timeout: float | None = None) -> Client:
        """A client of its own, for the project of the reference."""
        return Client(self.url, project=self.project, timeout=timeout)


class Backoff:
    """The seconds to wait before another attempt: each time twice as long, until an attempt succeeds."""

    def __init__(self, first: float) -> None:
        self._first = self._next = first

    def delay(self) -> float:
        """The wait after one more failure."""
        delay, self._next = self._next, min(2 * self._next, max(self._first, LONGEST_RETRY))
        return delay

    def reset(self) -> None:
        """Begin anew, after a success."""
        self._next = self._first


class Follower(Generic[T]):
    """Follows a reference from `open` to `close`, once."""

    def __init__(self, followed: Followed[T]) -> None:
        self._followed = followed
        self._client = followed.client()
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._state = threading.Condition()
        self._away = True
        self._threads: list[threading.Thread] = []
        self.current: Served[T] | None = None
        self.error: BaseException | None = None

    @property
    def stopped(self) -> bool:
        """Whether it follows no longer."""
        return self._stopped.is_set()

    def open(self) -> None:
        """Load what the reference means, or else what was served last, and go on from there; or raise why not."""
        try:
            self._load_first()
        except BaseException:
            self.stop()
            raise
        with self._state:
            if not self.stopped:
                for target in (self._watch, self._load):
                    thread = threading.Thread(target=target, name=f"tallymark {self._followed.reference}", daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def stop(self) -> None:
        """Follow no longer. What an `on_change` that still runs gives is dropped."""
        with self._state:
            self._stopped.set()
            self._state.notify_all()
        self._changed.set()
        self._client.close()

    def close(self) -> None:
        """Stop, and wait for the threads, but not for an `on_change` that takes long."""
        self.stop()
        end = time.monotonic() + CLOSING
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until the predicate is true, or until it follows no longer; whether the predicate is true."""
        with self._state:
            self._state.wait_for(lambda: predicate() or self.stopped, timeout)
            return predicate()

    def _load_first(self) -> None:
        last_good = self._followed.last_good
        kept = last_good.read() if last_good is not None else None
        remember_registry(kept, adjusted(url=self._followed.url, project=self._followed.project))
        with self._followed.client(min(PATIENCE, adjusted().timeout or PATIENCE) if kept else None) as client:
            self._renew(client)
        error = self.error
        if self.current is None and kept is not None and self._serve(kept):
            self._tell(error)
        if self.current is None and error is not None:
            raise error

    def _watch(self) -> None:
        backoff = Backoff(self._followed.retry)
        while not self.stopped:
            try:
                self._watch_name(backoff)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and tried again
                if not self.stopped:
                    self._tell(error)
                    self._stopped.wait(backoff.delay())

    def _watch_name(self, backoff: Backoff) -> None:
        """Tell the other thread what may have changed, while the name is that of one model."""
        progress = self._client.watch_progress(
            model=self._followed.model, kinds=self._followed.kinds, on_lost=self._lost
        )
        self._away = True
        with closing(progress):
            for told in () if self.stopped else progress:
                if told.events or self._away:
                    self._changed.set()
                self._away = False
                backoff.reset()
                if any(event.kind in _NAME_LEFT for event in told.events):
                    return

    def _lost(self, reason: Unavailable) -> None:
        """Tell that nothing more is heard; when it is again, what the reference means is asked anew."""
        self._away = True
        self._tell(reason)

    def _load(self) -> None:
        backoff = Backoff(self._followed.retry)
        again = self.error is not None
        while True:
            self._changed.wait(backoff.delay() if again else None)
            self._settle()
            if self.stopped:
                return
            again = self._renew(self._client)
            if not again:
                backoff.reset()

    def _settle(self) -> None:
        """Let changes that come together come to an end."""
        end = time.monotonic() + LONGEST_UNREST
        while self._changed.is_set() and not self.stopped and time.monotonic() < end:
            self._changed.clear()
            self._changed.wait(QUIET)
        self._changed.clear()

    def _renew(self, client: Client) -> bool:
        """Load what the reference means now, unless it is served; whether to try again though nothing changes."""
        asked = calls.get_version("", self._followed.reference, show_deleted=False)
        call = Call(asked.service, asked.method, asked.request, lambda got: Found(version_of(got), version_text(got)))
        try:
            found = client.run_call(call)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and tried again
            self._tell(error)
            return not isinstance(error, NotFound)
        return not self._serve(found)

    def _serve(self, found: Found) -> bool:
        """Load a version and put it in the place of the one before; whether it is served."""
        if self.current is not None and _same(self.current.version, found.version):
            self._tell(None)
            return True
        try:
            value = self._followed.on_change(found.version)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, the one before stays
            self._tell(error)
            return False
        with self._state:
            if self.stopped:
                return False
            self.current, self.error = Served(found.version, value), None
            self._state.notify_all()
        logger.info("%s: %r is served", self._followed.reference, found.version)
        if self._followed.last_good is not None:
            self._followed.last_good.keep(found)
        return True

    def _tell(self, error: BaseException | None) -> None:
        """Tell what keeps the reference from being served as it is; None that nothing does."""
        with self._state:
            before, self.error = self.error, error
            self._state.notify_all()
        if error is not None and repr(error) != repr(before) and not self.stopped:
            kept = "nothing is served" if self.current is None else f"{self.current.version!r} stays"
            unexpected = None if isinstance(error, TallymarkError) else error
            # Of a KeyError, the text alone is the key.
            told = error if unexpected is None else f"{type(error).__name__}: {error}"
            logger.warning("%s: %s; %s", self._followed.reference, told, kept, exc_info=unexpected)


def _same(one: ModelVersion, other: ModelVersion) -> bool:
    """Whether both are one version: another registry may have given the same number."""
    return (one.resource_name, one.create_time) == (other.resource_name, other.create_time)
