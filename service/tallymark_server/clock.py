"""The time that events are given: that of the machine's clock, unless it has jumped ahead.

The time of a log never runs back. After one jump ahead, all later events would carry the time of the jump until the
true time has caught up with it, and what is read as of a time would be wrong for as long. A clock that has jumped is
known by the time since the machine was started, which also counts while it is suspended, and which nobody sets.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from tallymark_server.domain.errors import ClockJumped

# How far ahead the clock may be set at once, in microseconds: more than what keeps machines in step with each other
# does at once, and less than a wrong time zone.
MAX_JUMP = 10 * 60 * 1_000_000

_log = structlog.get_logger()


def wall_time() -> int:
    """Microseconds since 1970, by the machine's clock."""
    return time.time_ns() // 1000


def steady_time() -> int:
    """Microseconds since some moment, by a clock that nobody sets, and that goes on while the machine is suspended."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1000


class JumpGuard:
    """The clock by which events are stamped, in microseconds since 1970.

    `newest` is the time of the newest event there is. A clock that is behind it at the start is wrong or was, and may be
    set right at any time.
    """

    def __init__(
        self, newest: int, wall: Callable[[], int] = wall_time, steady: Callable[[], int] = steady_time
    ) -> None:
        self._newest = newest
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()
        self._jumped = False
        if newest > wall() + MAX_JUMP:
            _log.warning(
                "the newest event is ahead of the clock: until the clock has caught up, all events get its time; set the"
                " clock if it is wrong",
                ahead_minutes=(newest - wall()) // 60_000_000,
            )

    def __call__(self) -> int:
        """Return the present time. Raises ClockJumped for as long as the clock is further ahead than it should be."""
        now, steady = self._wall(), self._steady()
        expected = steady + self._offset
        if now - expected > MAX_JUMP and expected > self._newest - MAX_JUMP:
            self._report(now - expected)
            raise ClockJumped((now - expected) // 60_000_000)
        if self._jumped:
            self._jumped = False
            _log.info("the clock is right again: changes are taken")
        # It may drift, and be set in small steps.
        self._offset = now - steady
        return now

    def _report(self, jump: int) -> None:
        if not self._jumped:
            self._jumped = True
            _log.error(
                "the clock has jumped ahead, and no changes are taken: set it back, or restart the server if it is right",
                minutes=jump // 60_000_000,
            )
