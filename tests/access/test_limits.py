"""Limits of callers and quotas of projects: what they let through, what they refuse, and when to come again."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from tallymark_server.access.limit_settings import InvalidLimitError, parse_limits
from tallymark_server.access.limits import CallerLimits, Limits, LimitSettings, ProjectQuotas, Quota
from tallymark_server.domain.errors import CallerLimitExceeded, ProjectQuotaExceeded

DAY = 86_400.0


class Clock:
    """A clock that the test sets."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def limited(wall: Clock | None = None, **limits: Any) -> tuple[CallerLimits, Clock]:
    clock = Clock()
    return CallerLimits(LimitSettings(Limits(**limits)), clock, wall or Clock()), clock


def test_a_caller_may_call_as_often_as_its_rate_after_a_burst() -> None:
    """After the burst, the refusal says when the next call is allowed, which it then is."""
    limits, clock = limited(rate=4.0, burst=2)
    for _ in range(2):
        limits.begin("ci", is_stream=False)
    with pytest.raises(CallerLimitExceeded) as refused:
        limits.begin("ci", is_stream=False)
    assert refused.value.metadata == {"caller": "ci", "limit": "rate", "retry_after_ms": "250"}
    limits.begin("ann", is_stream=False)
    clock.now += refused.value.retry_after_ms / 1000
    limits.begin("ci", is_stream=False)
    clock.now += 3600
    for _ in range(2):
        limits.begin("ci", is_stream=False)
    with pytest.raises(CallerLimitExceeded):
        limits.begin("ci", is_stream=False)


@pytest.mark.parametrize(("limit", "is_stream"), [("calls", False), ("streams", True)])
def test_calls_and_streams_under_way_are_counted_apart(limit: str, *, is_stream: bool) -> None:
    """A caller at its limit of one kind may begin the other, and one more as soon as one has ended."""
    limits, _ = limited(streams=2) if is_stream else limited(calls=2)
    for _ in range(2):
        limits.begin("ci", is_stream=is_stream)
    with pytest.raises(CallerLimitExceeded, match=f"limit '{limit}'"):
        limits.begin("ci", is_stream=is_stream)
    limits.begin("ci", is_stream=not is_stream)
    limits.end("ci", is_stream=is_stream)
    limits.begin("ci", is_stream=is_stream)


def test_stored_bytes_are_counted_anew_each_day() -> None:
    """A change beyond the limit is refused until the day of UTC ends, and calls under way stay counted over it."""
    wall = Clock(DAY * 20_000 + DAY - 60)
    limits, _ = limited(wall, bytes_per_day=100, calls=1)
    limits.begin("ci", is_stream=False)
    limits.store("ci", 60)
    with pytest.raises(CallerLimitExceeded, match="has stored 60 bytes today and sends 41 more") as refused:
        limits.store("ci", 41)
    assert refused.value.retry_after_ms == 60_000
    limits.store("ci", 40)
    wall.now += 60
    limits.store("ci", 100)
    with pytest.raises(CallerLimitExceeded, match="'calls'"):
        limits.begin("ci", is_stream=False)
    limits.end("ci", is_stream=False)
    limits.begin("ci", is_stream=False)


def test_a_project_has_at_most_as_many_versions_as_its_quota() -> None:
    """Versions that were counted, and those created since, fill the quota; other projects have their own."""
    quotas = ProjectQuotas(LimitSettings(quota=Quota(versions=10), projects={"lab": Quota(versions=3)}))
    assert quotas.counted == ["lab", "*"]
    quotas.set_versions("lab", 1)
    quotas.store("lab", 1, 2)
    quotas.add_versions("lab", 2)
    with pytest.raises(ProjectQuotaExceeded, match="has 3 versions, which is its quota 'versions'"):
        quotas.store("lab", 1, 1)
    quotas.store("lab", 1, 0)
    quotas.store("shop", 1, 10)


def test_a_project_stores_at_most_as_many_bytes_a_day_as_its_quota() -> None:
    """What was refused is not counted."""
    wall = Clock()
    quotas = ProjectQuotas(LimitSettings(quota=Quota(bytes_per_day=100)), wall)
    quotas.store("lab", 90, 0)
    with pytest.raises(ProjectQuotaExceeded):
        quotas.store("lab", 11, 0)
    quotas.store("lab", 10, 0)
    quotas.store("shop", 100, 0)
    wall.now += DAY
    quotas.store("lab", 100, 0)


def test_the_tables_set_limits_for_all_and_for_some() -> None:
    """A caller with a table of its own has the other limits of all; sizes have units."""
    found = tomllib.loads("""
        [limits]
        calls = 8
        bytes-per-day = "2 GB"
        [limits.callers.ci]
        calls = 64
        rate = 0.5
        [quotas.projects.lab]
        versions = 100
        bytes-per-day = "500kB"
    """)
    settings = parse_limits(found["limits"], found["quotas"])
    assert settings.limits == Limits(calls=8, bytes_per_day=2 * 10**9)
    assert settings.callers == {"ci": Limits(calls=64, rate=0.5, bytes_per_day=2 * 10**9)}
    assert (settings.quota, settings.projects) == (Quota(), {"lab": Quota(100, 500_000)})
    assert parse_limits(None, None).is_empty


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"cals": 8}, r"\[limits\] sets cals, which is no limit; those are calls, streams, rate, burst, bytes-per-day"),
        ({"calls": -1}, r"calls in \[limits\] is -1; write a whole number"),
        ({"calls": True}, "calls in .* is True"),
        ({"rate": "fast"}, "rate in .* is 'fast'; write a number"),
        ({"bytes-per-day": "2 gigs"}, "write a number of bytes, or such as 500 MB"),
        ({"callers": {"ci": 8}}, r"limits.callers.ci is no table; write \[limits.callers.ci\]"),
        (7, "limits is no table"),
    ],
)
def test_a_wrong_limit_is_refused_with_what_to_write(table: Any, words: str) -> None:
    """The error names the table and the limit."""
    with pytest.raises(InvalidLimitError, match=words):
        parse_limits(table, None)
