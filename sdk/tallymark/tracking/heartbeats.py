"""Signs of life of the runs that this process has started, so that the registry knows when one is lost.

One thread sends them for all runs, and ends with the last of them. A heartbeat that cannot be sent is not sent later:
the next one says as much.
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
# Two may be lost before the run is.
PARTS = 3


class _Heart:
    """The runs of this process that are alive."""

    def __init__(self) -> None:
        self.lock = threading.Condition()
        self.due: dict[ActiveRun, float] = {}
        self.is_beating = False

    def add(self, run: ActiveRun) -> None:
        with self.lock:
            self.due[run] = time.monotonic() + run.settings.heartbeat_timeout / PARTS
            if not self.is_beating:
                with suppress(RuntimeError):  # the interpreter ends
                    threading.Thread(target=self._beat, name="tallymark-heartbeats", daemon=True).start()
                    self.is_beating = True
            self.lock.notify()

    def remove(self, run: ActiveRun) -> None:
        with self.lock:
            self.due.pop(run, None)
            self.lock.notify()

    def _beat(self) -> None:
        while (run := self._next()) is not None:
            self._send(run)

    def _next(self) -> ActiveRun | None:
        """Wait for the run whose heartbeat is due; None when there is no run left."""
        with self.lock:
            while self.due:
                run, due = min(self.due.items(), key=lambda item: item[1])
                wait = due - time.monotonic()
                if wait <= 0:
                    self.due[run] = time.monotonic() + run.settings.heartbeat_timeout / PARTS
                    return run
                self.lock.wait(wait)
            self.is_beating = False
            return None

    def _send(self, run: ActiveRun) -> None:
        try:
            state = shared(run.settings).run_call(calls.heartbeat_run(run.settings.project, run.id)).state
        except TallymarkError as error:
            logger.debug("no heartbeat of %r: %s", run, error)
            return
        except Exception:
            # This thread must not end because of a defect in here: the runs would be taken for lost.
            logger.debug("no heartbeat of %r", run, exc_info=True)
            return
        if state is not RunState.RUNNING and run in self.due:
            self.remove(run)
            logger.warning("%r goes on here, and was finished as %s by somebody else", run, state.value)


_heart = _Heart()


def begin(run: ActiveRun) -> None:
    """Send heartbeats of the run from now on, if it was started with a time-out for them."""
    if run.owned and run.settings.heartbeat_timeout and not run.settings.offline:
        _heart.add(run)


def end(run: ActiveRun) -> None:
    """Send no more heartbeats of the run."""
    _heart.remove(run)


def _after_fork_in_child() -> None:
    global _heart  # noqa: PLW0603 - one for each process
    _heart = _Heart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
