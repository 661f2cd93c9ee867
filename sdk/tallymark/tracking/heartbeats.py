"""Heartbeats of the runs that this process has started; when they stop, the registry knows that a run is lost.

One thread sends the heartbeats of all runs, and ends with the last run. A heartbeat that cannot be sent is skipped,
because the next one replaces it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress

from tallymark.client import calls
from tallymark.client.blocking import shared
from tallymark.errors import TallymarkError
from tallymark.tracking.context import ActiveRun
from tallymark.types.enums import RunState

logger = logging.getLogger("tallymark")
# Two heartbeats in a row may fail before the run counts as lost.
HEARTBEATS_PER_TIMEOUT = 3


class _HeartbeatSender:
    """The thread that sends heartbeats, and when the next heartbeat of each run is due."""

    def __init__(self) -> None:
        self.lock = threading.Condition()
        self.due: dict[ActiveRun, float] = {}
        self.is_sending = False

    def add(self, run: ActiveRun) -> None:
        with self.lock:
            self.due[run] = time.monotonic() + run.settings.heartbeat_timeout / HEARTBEATS_PER_TIMEOUT
            if not self.is_sending:
                with suppress(RuntimeError):  # the interpreter ends
                    threading.Thread(target=self._run, name="tallymark-heartbeats", daemon=True).start()
                    self.is_sending = True
            self.lock.notify()

    def remove(self, run: ActiveRun) -> None:
        with self.lock:
            self.due.pop(run, None)
            self.lock.notify()

    def _run(self) -> None:
        while (run := self._next()) is not None:
            self._send(run)

    def _next(self) -> ActiveRun | None:
        """Wait until a heartbeat is due, and return its run; None when no run is left."""
        with self.lock:
            while self.due:
                run, due = min(self.due.items(), key=lambda item: item[1])
                wait = due - time.monotonic()
                if wait <= 0:
                    self.due[run] = time.monotonic() + run.settings.heartbeat_timeout / HEARTBEATS_PER_TIMEOUT
                    return run
                self.lock.wait(wait)
            self.is_sending = False
            return None

    def _send(self, run: ActiveRun) -> None:
        try:
            state = shared(run.settings).run_call(calls.heartbeat_run(run.settings.project, run.id)).state
        except TallymarkError as error:
            logger.debug("the heartbeat of %r failed: %s", run, error)
            return
        except Exception:
            # A defect must not end this thread: all runs of the process would count as lost.
            logger.debug("the heartbeat of %r failed", run, exc_info=True)
            return
        if state is not RunState.RUNNING and run in self.due:
            self.remove(run)
            logger.warning("%r is still running here, but was finished as %s by somebody else", run, state.value)


_sender = _HeartbeatSender()


def start(run: ActiveRun) -> None:
    """Start to send heartbeats of the run, if this process owns it and a heartbeat timeout is set."""
    if run.owned and run.settings.heartbeat_timeout and not run.settings.offline:
        _sender.add(run)


def stop(run: ActiveRun) -> None:
    """Stop sending heartbeats of the run."""
    _sender.remove(run)


def _after_fork_in_child() -> None:
    global _sender  # noqa: PLW0603 - one for each process
    _sender = _HeartbeatSender()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
