"""The time of events: that of the machine's clock, unless it has jumped ahead.

The time of a log never runs back. After a jump ahead, all later events would have the time of the jump until the true
time has caught up with it, and reads as of a time would be wrong until then. A jump is detected with a second clock,
which nobody sets, and which keeps running while the machine is suspended.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from tallymark_server.domain.errors import ClockJumped

MICROS_PER_HOUR = 3_600_000_000
# How far ahead of the clock the newest event may be at the start, in microseconds, before a warning.
LEEWAY = 10 * 60_000_000

_log = structlog.get_logger()


def wall_time() -> int:
    """Return microseconds since 1970, by the machine's clock."""
    return time.time_ns() // 1000


def steady_time() -> int:
    """Return microseconds since some moment, by the clock that nobody sets."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1000


class GuardedClock:
    """The clock for the time of events, in microseconds since 1970.

    `newest` is the time of the newest event, and `limit` how far ahead the clock may be set at once, in microseconds.
    A smaller jump does little harm. A virtual machine that was paused sets its clock ahead by the pause.
    """

    def __init__(
        self, newest: int, limit: int, wall: Callable[[], int] = wall_time, steady: Callable[[], int] = steady_time
    ) -> None:
        self._newest = newest
        self._limit = limit
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()
        self._jumped = False
        if (ahead := newest - wall()) > LEEWAY:
            _log.warning(
                "the newest event is ahead of the clock, and later ones get its time until the clock has caught up: set"
                " the clock if it is wrong",
                hours_ahead=round(ahead / MICROS_PER_HOUR, 1),
            )

    def __call__(self) -> int:
        """Return the present time. Raises ClockJumped for as long as the clock is too far ahead."""
        now, steady = self._wall(), self._steady()
        expected = steady + self._offset
        if now - expected > self._limit and self._is_jump(now, expected):
            self._report(now - expected)
            raise ClockJumped((now - expected) // 60_000_000)
        if self._jumped:
            self._jumped = False
            _log.info("the clock is right again, and changes are recorded")
        # The clock may drift, and be set in small steps, ahead or back.
        self._offset = now - steady
        return now

    def estimate(self) -> int:
        """Return the present time, or what it should be while the clock is too far ahead."""
        now, expected = self._wall(), self._steady() + self._offset
        return expected if self._is_jump(now, expected) else now

    def _is_jump(self, now: int, expected: int) -> bool:
        # If the clock was behind the newest event, the jump may have corrected it.
        return now - expected > self._limit and expected >= self._newest - LEEWAY

    def _report(self, jump: int) -> None:
        if not self._jumped:
            self._jumped = True
            _log.error(
                "the clock has jumped ahead, and nothing is recorded: set it, or restart the service if it is right",
                hours_ahead=round(jump / MICROS_PER_HOUR, 1),
            )
