"""Forks wait for the calls of other threads: gRPC does not work in a child that was made in the middle of a call."""

from __future__ import annotations

import os
import threading
import time

# For how long a fork waits for calls, in seconds, and for how long no other waits after it has waited in vain: while
# the registry is away, calls last until they time out, and must not hold up a program that forks again and again.
PATIENCE, PAUSE = 2.0, 60.0


class ForkGuard:
    """Counts the calls under way, each a `with` block, and lets no fork happen within one if it can be helped."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._calls = 0
        self._resume = 0.0

    def __enter__(self) -> None:
        with self._condition:
            self._calls += 1

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._calls -= 1
            if not self._calls:
                self._condition.notify_all()

    def before_fork(self) -> None:
        """Wait until no call is under way, and let none begin until the fork has happened."""
        self._condition.acquire()
        if (
            self._calls
            and time.monotonic() >= self._resume
            and not self._condition.wait_for(lambda: not self._calls, PATIENCE)
        ):
            self._resume = time.monotonic() + PAUSE

    def after_fork_in_parent(self) -> None:
        """Let calls begin and end again."""
        self._condition.release()

    def after_fork_in_child(self) -> None:
        """Begin anew: no thread of the parent goes on here."""
        self._condition = threading.Condition()
        self._calls = 0


guard = ForkGuard()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=guard.before_fork,
        after_in_parent=guard.after_fork_in_parent,
        after_in_child=guard.after_fork_in_child,
    )
