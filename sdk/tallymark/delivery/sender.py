"""The thread that delivers journals in the background: one for each registry, as long as there are records.

It delivers the journals of this process, and those of processes that ended before they were delivered. While the
registry is unavailable, it retries with exponential backoff, and other threads do not wait; `outage` is the error.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from tallymark.client import calls
from tallymark.client.blocking import Client, shared
from tallymark.client.channel import WRITE_TIMEOUT
from tallymark.conversion.problems import RecordingProblems
from tallymark.delivery import spool
from tallymark.delivery.delivery import Delivery
from tallymark.errors import (
    DataLoss,
    Forbidden,
    Internal,
    NumberPending,
    ProjectNotFound,
    StoreUnavailable,
    TallymarkError,
    Unauthenticated,
    Unavailable,
)
from tallymark.settings import Settings

logger = logging.getLogger("tallymark")

# In seconds. Records within this time go in one batch; sending during a short burst would slow the program down.
BATCH_DELAY = 0.25
# How many seconds a thread without records waits before it ends.
IDLE_TIMEOUT = 5.0
# When this many bytes of a journal are delivered, another journal is started, because files are removed as a whole.
MAX_JOURNAL_SIZE = 64 * 1024 * 1024
MIN_PAUSE, MAX_PAUSE = 0.125, 15.0
# How many seconds the end of a run or program waits in total while records are being delivered.
MAX_WAIT = 60.0
# How many seconds the end of the program waits for the cancellation of a call.
CANCEL_TIMEOUT = 1.0


def is_outage(error: Exception) -> bool:
    """Return whether the error means that the registry is unavailable."""
    return isinstance(error, Unavailable) and not isinstance(error, StoreUnavailable)


def is_of_registry(error: Exception) -> bool:
    """Return whether the error blocks all journals of the registry for now."""
    return is_outage(error) or isinstance(error, Unauthenticated | Forbidden | ProjectNotFound | DataLoss)


def check_reachable(settings: Settings, run: object | None = None) -> None:
    """Check, without a call, that calls to the registry are allowed and may succeed.

    Raises:
        NumberPending: The mode is offline, or, within a run, the registry is known to be unavailable.
    """
    if settings.offline:
        raise NumberPending(
            "TALLYMARK_MODE=offline sends nothing: runs keep their records, and get their numbers when"
            " `tallymark sync` sends them"
        )
    sender = None if run is None else _senders.get(settings)
    if sender is not None and sender.outage is not None:
        raise NumberPending(f"{run!r} goes on without its registry, which is called again later: {sender.outage}")


def note_outage(settings: Settings, error: TallymarkError) -> None:
    """Record that a call in a run failed because the registry is unavailable, so that other calls fail at once."""
    sender_of(settings).note_outage(error)


def flush(settings: Settings) -> bool:
    """Wait until the records of runs are delivered, at most one timeout, and not while the registry is unavailable.

    Return whether all are delivered.
    """
    sender = _senders.get(settings)
    return sender is None or sender.flush()


class Sender:
    """Delivers the journals of one registry."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # Why the registry is unavailable; None while it is available.
        self.outage: TallymarkError | None = None
        self._deliveries: list[Delivery] = []
        self._abandoned: list[Delivery] = []
        self._started: set[Delivery] = set()
        self._rotate_callbacks: dict[Delivery, Callable[[], object]] = {}
        self._ended: set[Delivery] = set()
        self._has_scanned = False
        # How many requests were delivered, so that waiting threads see progress.
        self._delivered_requests = 0
        self._pause = MIN_PAUSE
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    @property
    def client(self) -> Client:
        """The client that sends the requests."""
        return shared(self.settings)

    def add(self, delivery: Delivery, rotate: Callable[[], object]) -> None:
        """Start to deliver this journal. `rotate` is called when the journal is so long that another should follow."""
        with self._changed:
            self._rotate_callbacks[delivery] = rotate
            self._deliveries.append(delivery)

    def notify(self, *, hurry: bool = False) -> None:
        """Wake the thread, because there are records; with `hurry`, without a delay for batching."""
        self._wake.set()
        if hurry:
            self._hurry.set()
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._changed:
            if self._thread is not None or self._closing:
                return
            thread = threading.Thread(target=self._run, name="tallymark-sender", daemon=True)
            with suppress(RuntimeError):  # at interpreter shutdown, where `wait` delivers in its own thread
                thread.start()
                self._thread = thread

    def note_outage(self, error: TallymarkError) -> None:
        """Record that a call outside this thread failed, if because the registry is unavailable."""
        if is_outage(error) and self.outage is None:
            self._failed(error)
            self.notify()

    def end(self, delivery: Delivery) -> None:
        """Remove the journal once it is delivered; it gets no more records."""
        with self._changed:
            self._ended.add(delivery)
        self.notify(hurry=True)

    def wait(self, is_done: Callable[[], bool], timeout: float, max_wait: float = 0.0) -> bool:
        """Wait until `is_done()` is true, and return whether it is.

        Wait at most `timeout` seconds after the last progress, `max_wait` seconds in total, and not while the registry
        is unavailable.
        """
        self.notify(hurry=True)
        with self._changed:
            has_no_thread = self._thread is None and not self._closing
        if has_no_thread:  # at interpreter shutdown no thread can be started
            self._work()
        start = time.monotonic()
        with self._changed:
            deadline, seen = start + timeout, self._delivered_requests
            while not is_done() and self.outage is None and not self._closing:
                now = time.monotonic()
                if seen != self._delivered_requests:
                    deadline = max(deadline, min(now + timeout, start + max_wait))
                    seen = self._delivered_requests
                left = deadline - now
                if left <= 0:
                    return False
                self._changed.wait(left)
            return is_done()

    def flush(self, max_wait: float = 0.0) -> bool:
        """Wait as `wait` does until all records are delivered, at most one timeout. Return whether they are."""
        if self.outage is None and self._is_pending():
            return self.wait(lambda: not self._is_pending(), self.wait_timeout, max_wait)
        return not self._is_pending()

    @property
    def wait_timeout(self) -> float:
        """How many seconds a thread waits for the registry without progress."""
        return self.settings.timeout or WRITE_TIMEOUT

    def is_delivered(self, delivery: Delivery) -> bool:
        """Return whether the journal is delivered and removed."""
        return delivery not in self._deliveries

    def _run(self) -> None:
        while self._wait_for_work():
            self._work()
        self._notify_waiters()

    def _work(self) -> None:
        """Deliver all journals, and update the outage and the pause before the next attempt."""
        try:
            self._succeeded(self._deliver_all())
        except TallymarkError as error:
            self._failed(error)
        except Exception:
            if self._closing:  # `close` has closed the connection
                return
            # A defect must not end this thread, so it is logged, and the delivery is retried.
            logger.exception("records could not be sent to %s; they are kept", self.settings.url)
            self._failed(Internal("a defect of the sender; see the log"))

    def _wait_for_work(self) -> bool:
        """Wait until there are records, and return True; return False when this thread should end."""
        if self.outage is not None:
            self._hurry.wait(self._pause)
            self._hurry.clear()
            return not self._closing
        while not self._wake.wait(IDLE_TIMEOUT):
            with self._changed:
                # From here on `notify` sees no thread, and starts another after this block.
                thread, self._thread = self._thread, None
                if not self._wake.is_set():
                    return False
                self._thread = thread
        self._hurry.wait(BATCH_DELAY)
        self._hurry.clear()
        self._wake.clear()
        return not self._closing

    def _deliver_all(self) -> bool:
        """Deliver all journals. Return whether one is blocked. Raises Unavailable."""
        if not self._has_scanned:
            self._has_scanned = True
            self._take_over("")
        if self.outage is not None and not any(each.is_pending() for each in self._deliveries):
            self.client.run_call(calls.head(self.settings.project))
        is_blocked = False
        for delivery in list(self._deliveries):
            is_blocked |= not self._deliver(delivery)
        while self._abandoned and not self._closing:
            self._deliver_abandoned(self._abandoned[0])
            if self._wake.is_set():  # new records of this process come first
                return False
        return is_blocked

    def _deliver(self, delivery: Delivery) -> bool:
        """Deliver a journal of this process. Return False if it is blocked. Raises Unavailable."""
        try:
            if delivery not in self._started:  # records of the run from before it was killed come first
                self.deliver_run(delivery.claimed.header.run)
                self._started.add(delivery)
            delivery.blocked = None
            delivery.is_notified = False
            while not self._closing and delivery.deliver_batch():
                self._on_reachable()
                self._delivered_requests += 1
                self._notify_waiters()
                if delivery.sent > MAX_JOURNAL_SIZE and delivery not in self._ended:
                    self._rotate_callbacks[delivery]()
            if delivery in self._ended and not self._closing and delivery.is_sealed():
                self._remove(delivery)
                with self._changed:
                    self._deliveries.remove(delivery)
                    self._ended.discard(delivery)
                    self._started.discard(delivery)
                    del self._rotate_callbacks[delivery]
            if not delivery.claimed.header.run:  # without a run, problems can only be logged
                for problem in delivery.problems.pop_unreported():
                    logger.warning("%s: %s (%d times)", problem.subject, problem.problem, problem.count)
        except (TallymarkError, OSError) as error:
            if is_outage(error):
                raise
            delivery.blocked = error
        self._notify_waiters()
        return delivery.blocked is None

    def deliver_run(self, run: str) -> None:
        """Deliver the abandoned journals of other processes of the run. Raises Unavailable."""
        if run:
            self._take_over(run)
        for delivery in [each for each in self._abandoned if each.claimed.header.run == run]:
            self._deliver_abandoned(delivery, whole=True)

    def _deliver_abandoned(self, delivery: Delivery, *, whole: bool = False) -> None:
        try:
            while delivery.deliver_batch():
                self._delivered_requests += 1
                self._notify_waiters()
                if self._wake.is_set() and not whole:
                    return
            self._remove(delivery)
        except (TallymarkError, OSError) as error:
            if is_outage(error):
                raise
            logger.warning("%s is kept, for `tallymark sync`: %s", delivery.claimed.path, error)
            delivery.claimed.journal.close()
        self._abandoned.remove(delivery)

    def _remove(self, delivery: Delivery) -> None:
        delivery.finish()
        if delivery.is_damaged:
            run, path = delivery.claimed.header.run, delivery.claimed.quarantine()
            logger.warning("what could not be sent of run %s is kept in %s", run, path)
        else:
            delivery.claimed.remove()

    def _take_over(self, run: str) -> None:
        """Claim the journals that no process holds: those of the run, or of all runs if it is empty."""
        known = {delivery.claimed.path for delivery in self._abandoned}
        for path in spool.abandoned(self.settings, run):
            try:
                claimed = spool.claim(path) if path not in known else None
            except (OSError, spool.UnreadableJournal) as error:
                logger.warning("%s", error)
                continue
            if claimed is not None:
                self._abandoned.append(abandoned_delivery(claimed, self.settings))

    def _notify_waiters(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _on_reachable(self) -> None:
        """Reset the outage and the pause, because the registry has responded."""
        if self.outage is not None:
            logger.info("%s is back; what was recorded meanwhile is sent", self.settings.url)
        self.outage = None
        self._pause = MIN_PAUSE

    def _succeeded(self, is_blocked: bool) -> None:
        pause = self._pause
        self._on_reachable()
        self._pause = min(2 * pause, MAX_PAUSE) if is_blocked else MIN_PAUSE
        if is_blocked and self._thread is not None:
            self._wake.set()
            self._hurry.wait(self._pause)

    def _failed(self, error: TallymarkError) -> None:
        if self.outage is None and not self._closing:
            logger.warning("records are kept in %s and sent later: %s", self.settings.spool, error)
        self._pause = min(2 * self._pause, MAX_PAUSE)
        with self._changed:
            self.outage = error
            self._changed.notify_all()

    def close(self) -> None:
        """Deliver all records, as long as there is progress, and end the thread."""
        self.flush(MAX_WAIT)
        self._closing = True
        self._wake.set()
        self._hurry.set()
        thread = self._thread
        if thread is not None and thread.is_alive():
            self.client.close()  # cancels a pending call
            thread.join(CANCEL_TIMEOUT)
        for delivery in self._deliveries:
            if not delivery.is_pending():
                delivery.claimed.remove()

    def leave_to_parent(self) -> None:
        """Close the claimed journals in the child of a fork, without locks, which the parent may have held."""
        for delivery in self._abandoned:
            delivery.claimed.journal.close_in_child()

    def _is_pending(self) -> bool:
        return any(each.is_pending() and not each.is_blocked for each in list(self._deliveries))


def abandoned_delivery(claimed: spool.ClaimedJournal, settings: Settings) -> Delivery:
    """Return a delivery for a journal that another process has written, to the registry of the settings."""
    client = shared(settings._replace(actor=claimed.header.actor, project=claimed.header.project))
    return Delivery(claimed, client, RecordingProblems())


_senders: dict[Settings, Sender] = {}


def sender_of(settings: Settings) -> Sender:
    """Return the sender of this process for the settings."""
    sender = _senders.get(settings)
    return sender or _senders.setdefault(settings, Sender(settings))


def close_all() -> None:
    """Deliver all records, and end the threads: at the end of the process."""
    for sender in list(_senders.values()):
        sender.close()


def _after_fork_in_child() -> None:
    # The threads and the journals belong to the parent.
    for sender in _senders.values():
        sender.leave_to_parent()
    _senders.clear()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
