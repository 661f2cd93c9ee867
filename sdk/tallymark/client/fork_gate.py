"""A gate between calls and forks: a process forks only while none of its calls is within gRPC.

A child that is forked while another thread sends or receives inherits locks of gRPC that nobody releases: its next call
aborts it or never ends. Streams and calls that only wait for an answer hold no locks.
"""

from __future__ import annotations

import os
import threading
import time
from types import TracebackType

# How many seconds a fork waits for the calls under way to end; a call that takes longer only waits for the service.
MAX_WAIT = 1.0


class ForkGate:
    """Counts the calls under way, which use it as a context manager."""

    def __init__(self) -> None:
        # Its lock is reentrant: a handler of a signal may call or fork while its thread holds it.
        self._changed = threading.Condition()
        self._calls = 0
        self._forks = 0

    def __enter__(self) -> None:
        with self._changed:
            while self._forks:
                self._changed.wait()
            self._calls += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._calls -= 1
            if self._forks:
                self._changed.notify_all()

    def before_fork(self) -> None:
        """Let no call begin, and wait until those under way have ended, or only wait for the service."""
        deadline = time.monotonic() + MAX_WAIT
        with self._changed:
            self._forks += 1
            while self._calls and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)

    def after_fork_in_parent(self) -> None:
        """Let calls begin again."""
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()

    def after_fork_in_child(self) -> None:
        """Begin without calls: the threads of the parent do not exist here, and one may have held the lock."""
        self._changed = threading.Condition()
        self._calls = self._forks = 0


gate = ForkGate()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=gate.before_fork,
        after_in_parent=gate.after_fork_in_parent,
        after_in_child=gate.after_fork_in_child,
    )
