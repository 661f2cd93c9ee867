"""Handling of SIGTERM, with which orchestrators stop a training: end the runs as failed, then end the process.

Without it, a program that is stopped leaves its runs behind as running. The handler is set only while a run that this
process owns is open in its main thread, and only if the program has no handler of its own. Python lets only the main
thread set handlers. So runs of other threads are ended, too, if they begin while one is open in the main thread; every
other is recorded as lost when its heartbeats stop. A handler set at import would affect programs without runs, and
frameworks that set theirs only if there is none.

The process ends by the signal, as it would without Tallymark. Until then the main thread is blocked, except for moments
in which it can release a lock.

Python calls handlers in the main thread, between two instructions, so not while a library trains in native code for
minutes. The interpreter itself, however, writes each signal into a pipe at once. A thread reads that pipe, so that the
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

# The seconds that ending the runs may take: fewer than any orchestrator waits before it kills.
GRACE = 2.0
# The main thread is blocked for so many seconds at a time, and then runs for so many to release a lock.
BLOCKED_SECONDS = 0.1
RELEASED_SECONDS = 0.01


class SIGTERM(BaseException):
    """The error of a run whose process was ended by SIGTERM."""


class _Guard:
    """The handler of SIGTERM of this process, and the thread that reads signals from a pipe."""

    def __init__(self) -> None:
        # Acquired once, by the first caller of `end`, and never released.
        self.is_ending = threading.Lock()
        self.counting = threading.Lock()
        self.armed = 0
        self.end_runs: Callable[[], None] = _end_no_runs
        self.pipe: tuple[int, int] | None = None
        self.masks = threading.local()

    def arm(self, end_runs: Callable[[], None]) -> bool:
        """Handle SIGTERM from now on. In any other thread than the main one, only keep a handler that is set already.

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
        """Stop handling SIGTERM, unless another run is open. A handler that the program has set since stays.

        When the last run ends in another thread, the handler stays until one in the main thread ends; meanwhile it ends
        the process as the signal would.
        """
        with self.counting:
            # In a child that was forked within a run, the run's block ends without having been counted there.
            self.armed = max(0, self.armed - 1)
            is_last = self.armed == 0
        if is_last and threading.current_thread() is threading.main_thread():
            self._restore()

    def handle(self, number: int, frame: FrameType | None) -> None:
        """End the runs, then the process, and block the main thread meanwhile."""
        del number, frame
        self.end()
        threading.Event().wait(BLOCKED_SECONDS)

    def end(self) -> None:
        """End the runs within `GRACE`, then the process, in a thread of its own."""
        if self.is_ending.acquire(blocking=False):
            threading.Thread(target=self._end, name="tallymark SIGTERM", daemon=True).start()

    def _end(self) -> None:
        ending = threading.Thread(target=self.end_runs, name="tallymark runs", daemon=True)
        ending.start()
        deadline = time.monotonic() + GRACE
        while ending.is_alive() and time.monotonic() < deadline:
            ending.join(BLOCKED_SECONDS + RELEASED_SECONDS)
            if ending.is_alive():
                # It may have been blocked with a lock that is needed here. It has run meanwhile: block it again.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        _end_process()

    @property
    def _is_set(self) -> bool:
        """Whether the handler of SIGTERM is this one."""
        return signal.getsignal(signal.SIGTERM) == self.handle

    def before_fork(self) -> None:
        """Block SIGTERM in this thread, so that a child receives none before it handles it by itself.

        Until then the child would write its signals into the pipe of its parent, and Python would lose them.
        """
        self.masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}) if self._is_set else None

    def after_fork_in_parent(self) -> None:
        """Unblock SIGTERM, and so handle one that arrived meanwhile."""
        if self.masks.before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self.masks.before)

    def after_fork_in_child(self) -> None:
        """Leave the parent's runs to the parent: a SIGTERM to the child ends only the child."""
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
        """Have the interpreter write signals there, unless something else, such as asyncio, has set a descriptor."""
        before = signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
        if before != instead_of:
            signal.set_wakeup_fd(before, warn_on_full_buffer=False)

    def _read(self, fd: int) -> None:
        while numbers := os.read(fd, 64):
            # If the program has set its own handler since, that one decides.
            if signal.SIGTERM in numbers and self._is_set:
                self.end()


def _end_process() -> None:
    """End the process by SIGTERM, from any thread."""
    with contextlib.suppress(Exception):
        import ctypes

        # signal.signal works only in the main thread, which may be in native code.
        ctypes.CDLL(None).signal(int(signal.SIGTERM), 0)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(1)
    os._exit(128 + signal.SIGTERM)


def _end_no_runs() -> None:
    """Do nothing, until `arm` is given a function that ends the runs."""


_guard = _Guard()
arm, disarm = _guard.arm, _guard.disarm

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_guard.before_fork,
        after_in_parent=_guard.after_fork_in_parent,
        after_in_child=_guard.after_fork_in_child,
    )
