"""SIGTERM, with which orchestrators stop a training: it ends the runs of this process as failed, then the process.

Without this, a program that is stopped leaves its runs behind as running. It is in force only while a run that this
process owns is open in its main thread, and only if the program has no handler of its own; otherwise nothing changes.
Python lets the main thread alone set handlers. So runs of other threads are ended, too, if they begin while one is open
in the main thread, and every other is recorded as lost, when its heartbeats stop. To set the handler at import would
affect programs without runs, and frameworks that set theirs only where there is none.

The process ends by the signal, as it would without Tallymark: in between, no code of the program runs but for moments
in which the main thread gives back a lock.

Python calls its handlers in the main thread, between two instructions, so not while a library trains in native code for
minutes. The interpreter itself, though, writes each signal into a pipe at once. A thread reads that pipe, so that the
process ends within milliseconds whatever the main thread does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

# How long the end of the process waits for the registry: less than any orchestrator waits before it kills.
GRACE = 2.0
# How long the main thread is held at a time while its runs are ended, and then let go on: it may hold a lock.
HOLD, LET_GO = 0.1, 0.01


class SIGTERM(BaseException):
    """The failure of a run whose process was told to end."""


class _Guard:
    """The handler of SIGTERM of this process, and the thread that reads of signals."""

    def __init__(self) -> None:
        # Taken once, by whoever comes first, and never given back.
        self.is_ending = threading.Lock()
        self.counting = threading.Lock()
        self.armed = 0
        self.end_runs: Callable[[], None] = _nothing
        self.pipe: tuple[int, int] | None = None
        self.masks = threading.local()

    def arm(self, end_runs: Callable[[], None]) -> bool:
        """Handle SIGTERM from now on; in another thread than the main one, as long as the run there if it is handled.

        Return whether `disarm` has to be called.
        """
        if os.name != "posix":
            return False
        with self.counting:
            if threading.current_thread() is not threading.main_thread():
                if not self.armed:
                    return False
            elif self.armed == 0:
                if signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, self.handle):
                    return False
                self.end_runs = end_runs
                signal.signal(signal.SIGTERM, self.handle)
                self._listen()
            self.armed += 1
        return True

    def disarm(self) -> None:
        """Handle SIGTERM no more, unless another run is open. A handler that was set since stays.

        When the last run ends in another thread, the handler stays until one in the main thread ends, and ends the
        process as the signal would.
        """
        with self.counting:
            # In a child that was made by fork in a run, the run's block ends without having been counted there.
            self.armed = max(0, self.armed - 1)
            is_last = self.armed == 0
        if is_last and threading.current_thread() is threading.main_thread():
            self._restore()

    def handle(self, number: int, frame: FrameType | None) -> None:
        """End the runs, then the process, and hold the main thread meanwhile."""
        del number, frame
        self.end()
        threading.Event().wait(HOLD)

    def end(self) -> None:
        """End the runs within `GRACE`, then the process, in a thread of its own."""
        if self.is_ending.acquire(blocking=False):
            threading.Thread(target=self._end, name="tallymark SIGTERM", daemon=True).start()

    def _end(self) -> None:
        ending = threading.Thread(target=self.end_runs, name="tallymark runs", daemon=True)
        ending.start()
        deadline = time.monotonic() + GRACE
        while ending.is_alive() and time.monotonic() < deadline:
            ending.join(HOLD + LET_GO)
            if ending.is_alive():
                # The main thread, where it was stopped, may hold a lock that is needed here. It is held again.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        _die()

    @property
    def _is_set(self) -> bool:
        """Whether the handler of SIGTERM is this one."""
        return signal.getsignal(signal.SIGTERM) == self.handle

    def before_fork(self) -> None:
        """Hold back SIGTERM in this thread, so that a child gets none before it has its own handling of it.

        Until then the child would write its signals into the pipe of its parent, and Python would forget them.
        """
        self.masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}) if self._is_set else None

    def after_fork_in_parent(self) -> None:
        """Handle what came meanwhile."""
        if self.masks.before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self.masks.before)

    def after_fork_in_child(self) -> None:
        """Leave the parent's runs to the parent: what is sent to the child ends the child alone."""
        self.armed = 0
        self._restore()
        self.is_ending, self.counting, self.pipe = threading.Lock(), threading.Lock(), None
        self.after_fork_in_parent()

    def _restore(self) -> None:
        if self._is_set:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self.pipe is not None:
            self._listen_to(-1, instead_of=self.pipe[1])

    def _listen(self) -> None:
        if self.pipe is None:
            self.pipe = os.pipe()
            os.set_blocking(self.pipe[1], False)
            threading.Thread(target=self._read, args=self.pipe[:1], name="tallymark signals", daemon=True).start()
        self._listen_to(self.pipe[1], instead_of=-1)

    def _listen_to(self, fd: int, *, instead_of: int) -> None:
        """Let the interpreter write signals there, unless somebody else, such as asyncio, has asked for them."""
        before = signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
        if before != instead_of:
            signal.set_wakeup_fd(before, warn_on_full_buffer=False)

    def _read(self, fd: int) -> None:
        while numbers := os.read(fd, 64):
            # A handler that the program has set since decides what SIGTERM means.
            if signal.SIGTERM in numbers and self._is_set:
                self.end()


def _die() -> None:
    """End the process by SIGTERM, from whichever thread."""
    with contextlib.suppress(Exception):
        import ctypes

        # signal.signal works in the main thread alone, which may be in native code.
        ctypes.CDLL(None).signal(int(signal.SIGTERM), 0)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(1)
    os._exit(128 + signal.SIGTERM)


def _nothing() -> None:
    """Stand in for what ends the runs, until there are any."""


_guard = _Guard()
arm, disarm = _guard.arm, _guard.disarm

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_guard.before_fork,
        after_in_parent=_guard.after_fork_in_parent,
        after_in_child=_guard.after_fork_in_child,
    )
