"""The thread that delivers journals in the background: one for each registry, for as long as there is something to do.

It delivers what this process records, and what processes that ended have left behind. When the registry goes away, it
tries again after pauses that grow, and nobody else waits for it: `away` says why.
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

# Records that follow each other this closely go together, and a short burst of them is over before it is sent: sending
# takes its share of the interpreter.
LINGER = 0.25
# A thread with nothing to do ends after this time.
IDLE = 5.0
# A journal that is delivered, and has come to this length, is followed by another: files are removed as a whole.
LONGEST_JOURNAL = 64 * 1024 * 1024
FIRST_PAUSE, LONGEST_PAUSE = 0.125, 15.0
# How long the end of a run or program waits in all for records that are being delivered.
LONGEST_WAIT = 60.0
# At the end of the program, how long a call that cannot be completed may take to be cancelled.
STOPPING = 1.0


def is_away(error: Exception) -> bool:
    """Return whether the error says that the registry cannot be reached."""
    return isinstance(error, Unavailable) and not isinstance(error, StoreUnavailable)


def is_of_registry(error: Exception) -> bool:
    """Return whether nothing can be delivered to the registry for now, whatever the journal."""
    return is_away(error) or isinstance(error, Unauthenticated | Forbidden | ProjectNotFound | DataLoss)


def check_reachable(settings: Settings, run: object | None = None) -> None:
    """Raise, without waiting, if the registry is not to be asked, or if a run goes on while it is known to be away.

    Raises NumberPending.
    """
    if settings.offline:
        raise NumberPending(
            "the registry is not asked (TALLYMARK_MODE=offline): what runs record is kept, and gets its numbers when"
            " `tallymark sync` sends it"
        )
    found = None if run is None else _senders.get(settings)
    if found is not None and found.away is not None:
        raise NumberPending(f"{run!r} goes on without its registry, which is asked again later: {found.away}")


def note_away(settings: Settings, error: TallymarkError) -> None:
    """Take note that a call in a run found the registry away, so that nobody waits for it again."""
    sender_of(settings).note_away(error)


def settle(settings: Settings) -> bool:
    """Wait until what runs have recorded is delivered, at most one time-out, and not while the registry is away.

    Return whether it is.
    """
    found = _senders.get(settings)
    return found is None or found.settle()


class Sender:
    """Delivers the journals of one registry."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # Why the registry cannot be reached; None while it can.
        self.away: TallymarkError | None = None
        self._deliveries: list[Delivery] = []
        self._left_behind: list[Delivery] = []
        self._begun: set[Delivery] = set()
        self._retiring: dict[Delivery, Callable[[], object]] = {}
        self._ended: set[Delivery] = set()
        self._looked = False
        # How many requests were delivered, by which whoever waits sees that there is progress.
        self._steps = 0
        self._pause = FIRST_PAUSE
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    @property
    def client(self) -> Client:
        """The client that sends."""
        return shared(self.settings)

    def add(self, delivery: Delivery, retire: Callable[[], object]) -> None:
        """Deliver this journal from now on. `retire` is called when it is so long that another should be begun."""
        with self._changed:
            self._retiring[delivery] = retire
            self._deliveries.append(delivery)

    def notify(self, *, hurry: bool = False) -> None:
        """Say that there is something to deliver."""
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
            with suppress(RuntimeError):  # the interpreter ends: who waits for the sender does its work
                thread.start()
                self._thread = thread

    def note_away(self, error: TallymarkError) -> None:
        """Take note that a call of somebody else found the registry away, so that nobody waits for it again."""
        if is_away(error) and self.away is None:
            self._failed(error)
            self.notify()

    def end(self, delivery: Delivery) -> None:
        """Remove the journal once all of it is delivered: nothing is recorded in it any more."""
        with self._changed:
            self._ended.add(delivery)
        self.notify(hurry=True)

    def wait(self, is_done: Callable[[], bool], timeout: float, longest: float = 0.0) -> bool:
        """Wait until that is so, at most so long, and not while the registry is away. Return whether it is so.

        While records are delivered one after the other, wait on, up to `longest` in all.
        """
        self.notify(hurry=True)
        with self._changed:
            is_alone = self._thread is None and not self._closing
        if is_alone:  # the interpreter ends, and starts no thread any more
            self._work()
        begun = time.monotonic()
        with self._changed:
            deadline, steps = begun + timeout, self._steps
            while not is_done() and self.away is None and not self._closing:
                now = time.monotonic()
                if steps != self._steps:
                    deadline, steps = max(deadline, min(now + timeout, begun + longest)), self._steps
                left = deadline - now
                if left <= 0:
                    return False
                self._changed.wait(left)
            return is_done()

    def settle(self, longest: float = 0.0) -> bool:
        """Wait until what is recorded is delivered, at most one time-out, and not while the registry is away.

        While it is being delivered, wait on, up to `longest` in all. Return whether it is delivered.
        """
        if self.away is None and self._is_pending():
            return self.wait(lambda: not self._is_pending(), self.patience, longest)
        return not self._is_pending()

    @property
    def patience(self) -> float:
        """How many seconds whoever must wait for the registry waits at most."""
        return self.settings.timeout or WRITE_TIMEOUT

    def is_delivered(self, delivery: Delivery) -> bool:
        """Return whether the journal is removed, because all of it is delivered."""
        return delivery not in self._deliveries

    def _run(self) -> None:
        while self._wait_for_work():
            self._work()
        self._progressed()

    def _work(self) -> None:
        """Deliver everything that there is, and take note of how that went."""
        try:
            self._succeeded(self._deliver_all())
        except TallymarkError as error:
            self._failed(error)
        except Exception:
            if self._closing:  # which has cut the connection
                return
            # Recording must not end because of a defect in here: it is logged, and tried again later.
            logger.exception("records could not be sent to %s; they are kept", self.settings.url)
            self._failed(Internal("a defect of the sender; see the log"))

    def _wait_for_work(self) -> bool:
        """Wait until there is something to do, and return True; False when this thread is no longer needed."""
        if self.away is not None:
            self._hurry.wait(self._pause)
            self._hurry.clear()
            return not self._closing
        while not self._wake.wait(IDLE):
            with self._changed:
                # Whoever wakes it from here on finds no thread, and starts another once this is decided.
                thread, self._thread = self._thread, None
                if not self._wake.is_set():
                    return False
                self._thread = thread
        self._hurry.wait(LINGER)
        self._hurry.clear()
        self._wake.clear()
        return not self._closing

    def _deliver_all(self) -> bool:
        """Deliver everything that there is. Return whether something waits for another time; raises Unavailable."""
        if not self._looked:
            self._looked = True
            self._take_over("")
        if self.away is not None and not any(each.is_pending() for each in self._deliveries):
            self.client.run_call(calls.head(self.settings.project))
        waits = False
        for delivery in list(self._deliveries):
            waits |= not self._deliver(delivery)
        while self._left_behind and not self._closing:
            self._deliver_left_behind(self._left_behind[0])
            if self._wake.is_set():  # what is recorded now comes first
                return False
        return waits

    def _deliver(self, delivery: Delivery) -> bool:
        """Deliver a journal of this process. Return whether all of it is; raises Unavailable."""
        try:
            if delivery not in self._begun:  # what the run has recorded before it was killed comes first
                self.deliver_run(delivery.claimed.header.run)
                self._begun.add(delivery)
            delivery.blocked = None
            delivery.is_noticed = False
            while not self._closing and delivery.step():
                self._reached()
                self._steps += 1
                self._progressed()
                if delivery.sent > LONGEST_JOURNAL and delivery not in self._ended:
                    self._retiring[delivery]()
            if delivery in self._ended and not self._closing and delivery.is_sealed():
                self._remove(delivery)
                with self._changed:
                    self._deliveries.remove(delivery)
                    self._ended.discard(delivery)
                    self._begun.discard(delivery)
                    del self._retiring[delivery]
            if not delivery.claimed.header.run:  # there is no run to which it could be reported
                for problem in delivery.problems.take_unreported():
                    logger.warning("%s: %s (%d times)", problem.subject, problem.problem, problem.count)
        except (TallymarkError, OSError) as error:
            if is_away(error):
                raise
            delivery.blocked = error
        self._progressed()
        return delivery.blocked is None

    def deliver_run(self, run: str) -> None:
        """Deliver what other processes of the run have left behind; raises Unavailable."""
        if run:
            self._take_over(run)
        for delivery in [each for each in self._left_behind if each.claimed.header.run == run]:
            self._deliver_left_behind(delivery, whole=True)

    def _deliver_left_behind(self, delivery: Delivery, *, whole: bool = False) -> None:
        try:
            while delivery.step():
                self._steps += 1
                self._progressed()
                if self._wake.is_set() and not whole:
                    return
            self._remove(delivery)
        except (TallymarkError, OSError) as error:
            if is_away(error):
                raise
            logger.warning("%s is kept, for `tallymark sync`: %s", delivery.claimed.path, error)
            delivery.claimed.journal.close()
        self._left_behind.remove(delivery)

    def _remove(self, delivery: Delivery) -> None:
        delivery.finish()
        if delivery.is_damaged:
            run, path = delivery.claimed.header.run, delivery.claimed.put_aside()
            logger.warning("what could not be sent of run %s is kept in %s", run, path)
        else:
            delivery.claimed.remove()

    def _take_over(self, run: str) -> None:
        """Take over journals that no process holds: those of the run, or of all that may be delivered by this one."""
        known = {delivery.claimed.path for delivery in self._left_behind}
        for path in spool.abandoned(self.settings, run):
            try:
                claimed = spool.claim(path) if path not in known else None
            except (OSError, spool.Unreadable) as error:
                logger.warning("%s", error)
                continue
            if claimed is not None:
                self._left_behind.append(left_behind(claimed, self.settings))

    def _progressed(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _reached(self) -> None:
        """Take note that the registry answers."""
        if self.away is not None:
            logger.info("%s is back; what was recorded meanwhile is sent", self.settings.url)
        self.away = None
        self._pause = FIRST_PAUSE

    def _succeeded(self, waits: bool) -> None:
        pause = self._pause
        self._reached()
        self._pause = min(2 * pause, LONGEST_PAUSE) if waits else FIRST_PAUSE
        if waits and self._thread is not None:
            self._wake.set()
            self._hurry.wait(self._pause)

    def _failed(self, error: TallymarkError) -> None:
        if self.away is None and not self._closing:
            logger.warning("records are kept in %s and sent later: %s", self.settings.spool, error)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        with self._changed:
            self.away = error
            self._changed.notify_all()

    def close(self) -> None:
        """Deliver what there is, for as long as there is progress, and end the thread."""
        self.settle(LONGEST_WAIT)
        self._closing = True
        self._wake.set()
        self._hurry.set()
        thread = self._thread
        if thread is not None and thread.is_alive():
            self.client.close()  # which cancels a call on its way
            thread.join(STOPPING)
        for delivery in self._deliveries:
            if not delivery.is_pending():
                delivery.claimed.remove()

    def leave_to_parent(self) -> None:
        """Close what was taken over in the child of a fork, without waiting for a lock of the parent's."""
        for delivery in self._left_behind:
            delivery.claimed.journal.leave()

    def _is_pending(self) -> bool:
        return any(each.is_pending() and not each.is_blocked for each in list(self._deliveries))


def left_behind(claimed: spool.Claimed, settings: Settings) -> Delivery:
    """Return the delivery of a journal that another process has recorded, for the registry of the settings."""
    client = shared(settings._replace(actor=claimed.header.actor, project=claimed.header.project))
    return Delivery(claimed, client, RecordingProblems())


_senders: dict[Settings, Sender] = {}


def sender_of(settings: Settings) -> Sender:
    """Return the sender of this process for the settings."""
    found = _senders.get(settings)
    return found or _senders.setdefault(settings, Sender(settings))


def close_all() -> None:
    """Deliver what there is, and end the threads: at the end of the process."""
    for sender in list(_senders.values()):
        sender.close()


def _after_fork_in_child() -> None:
    # The threads and the journals are the parent's.
    for sender in _senders.values():
        sender.leave_to_parent()
    _senders.clear()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
