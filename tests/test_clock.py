"""The clock that stamps events: which changes count as a jump, and when it returns the time again."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tallymark_server.clock import LEEWAY, MICROS_PER_HOUR, GuardedClock
from tallymark_server.domain.errors import ClockJumped

NOW = 1_790_000_000_000_000
LIMIT = 24 * MICROS_PER_HOUR


@dataclass
class Machine:
    """A machine whose two clocks are set by hand, in microseconds."""

    wall: int = NOW
    steady: int = 5_000_000

    def passes(self, micros: int) -> None:
        self.wall += micros
        self.steady += micros

    def clock(self, newest: int = 0) -> GuardedClock:
        return GuardedClock(newest, LIMIT, lambda: self.wall, lambda: self.steady)


def test_a_long_pause_is_no_jump() -> None:
    """The clock of a machine that was suspended or idle for years has not jumped."""
    machine = Machine()
    clock = machine.clock(NOW - LIMIT)
    for days in (0, 1, 400, 4000):
        machine.passes(days * 24 * MICROS_PER_HOUR)
        assert clock() == clock.estimate() == machine.wall


def test_a_jump_ahead_is_refused_until_it_is_taken_back() -> None:
    """While the clock is too far ahead, reading it raises ClockJumped, and the true time is estimated."""
    machine = Machine()
    clock = machine.clock()
    machine.wall += 400 * LIMIT
    for _ in range(2):
        machine.passes(MICROS_PER_HOUR)
        with pytest.raises(ClockJumped) as refusal:
            clock()
        assert refusal.value.metadata == {"retry_after_ms": "10000", "minutes": str(400 * 24 * 60)}
        assert clock.estimate() == machine.wall - 400 * LIMIT
    machine.wall -= 400 * LIMIT
    assert clock() == machine.wall


def test_small_steps_and_steps_back_are_accepted() -> None:
    """Small corrections, and a clock that is set back, are no jumps."""
    machine = Machine()
    clock = machine.clock()
    for step in (LIMIT, -LIMIT, LIMIT, LIMIT, -400 * LIMIT, LIMIT):
        machine.wall += step
        assert clock() == machine.wall
    machine.wall += LIMIT + 1
    with pytest.raises(ClockJumped):
        clock()


def test_a_clock_that_was_behind_is_set_right() -> None:
    """A clock that starts in 1970 may be corrected, since it was behind the newest event."""
    machine = Machine(wall=0)
    clock = machine.clock(newest=NOW)
    assert clock() == 0
    machine.passes(1_000_000)
    machine.wall = NOW + 400 * LIMIT
    assert clock() == machine.wall
    machine.wall += LIMIT + 1
    with pytest.raises(ClockJumped):
        clock()


def test_a_clock_a_little_behind_the_newest_event_is_no_excuse() -> None:
    """A clock that is only a little behind the newest event may not jump."""
    machine = Machine()
    clock = machine.clock(newest=NOW + LEEWAY)
    machine.wall += LIMIT + 1
    with pytest.raises(ClockJumped):
        clock()
