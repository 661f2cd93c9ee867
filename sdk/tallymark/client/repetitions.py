"""Repetitions of a call that a limit has refused: after the delay that the service names, within the call's time."""

from __future__ import annotations

import random
import time

from tallymark.errors import ResourceExhausted

# Callers that were refused together come back within so many times the delay.
_SPREAD = 1.5


class Repetitions:
    """The time of one call with its repetitions."""

    def __init__(self, seconds: float) -> None:
        """Let the call take so many seconds with all its repetitions."""
        self._deadline = time.monotonic() + seconds
        self.left = seconds

    def pause(self, refusal: ResourceExhausted) -> float:
        """Return the seconds before the next repetition. Raises the refusal if the call has no time for another."""
        delay = int(refusal.metadata.get("retry_after_ms", "0")) / 1000
        pause = delay * random.uniform(1, _SPREAD)  # noqa: S311 - nothing is secret
        self.left = self._deadline - time.monotonic() - pause
        if not delay or self.left <= 0:
            raise refusal
        return pause
