"""Times on the command line: spans and days in, ages and local times out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.tables import column
from tallymark import Client
from tallymark.cli import times

OutputOf = Callable[..., str]
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in a time zone other than UTC."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOON),
        ("2h", NOON - timedelta(hours=2)),
        ("90 minutes ago", NOON - timedelta(minutes=90)),
        ("1h30m", NOON - timedelta(minutes=90)),
        ("1.5h", NOON - timedelta(minutes=90)),
        ("3d", NOON - timedelta(days=3)),
        ("2 weeks ago", NOON - timedelta(days=14)),
        ("today", datetime(2026, 3, 9, 23, 0, tzinfo=UTC)),
        ("Yesterday", datetime(2026, 3, 8, 23, 0, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 2, 28, 23, 0, tzinfo=UTC)),
        ("2026-03-01 08:30", datetime(2026, 3, 1, 7, 30, tzinfo=UTC)),
        ("2026-03-01T08:30:00Z", datetime(2026, 3, 1, 8, 30, tzinfo=UTC)),
        ("2026-03-01T08:30:00-05:00", datetime(2026, 3, 1, 13, 30, tzinfo=UTC)),
    ],
)
def test_times_are_parsed(in_berlin: None, text: str, expected: datetime) -> None:
    """A span counts back from now, a day begins at local midnight, and a time without a zone is local."""
    assert times.moment(text, NOON) == expected


@pytest.mark.parametrize("text", ["", "soon", "2x", "h", "2h later", "-2h", "2026-13-01", "9" * 30 + "d", "0000-00-00"])
def test_an_invalid_time_is_refused(text: str) -> None:
    """The error has examples of times."""
    with pytest.raises(ValueError, match="yesterday"):
        times.moment(text, NOON)


def test_times_are_shown_as_ages_and_durations() -> None:
    """An age has its largest unit, and a duration its two largest."""
    ages = {5: "5s ago", 119: "1m ago", 7300: "2h ago", 90_000: "1d ago", 86_400 * 800: "2y ago", -120: "in 2m"}
    assert {span: times.age(NOON - timedelta(seconds=span), NOON) for span in ages} == ages
    words = {5: "just now", 61: "1 minute ago", 7300: "2 hours ago", 86_400 * 3: "3 days ago"}
    assert {span: times.age_in_words(NOON - timedelta(seconds=span), NOON) for span in words} == words
    took = {0.25: "0.2s", 42: "42s", 185: "3m05s", 7800: "2h10m", 97_200: "1d03h"}
    assert {span: times.duration(timedelta(seconds=span)) for span in took} == took


def test_at_and_since_accept_spans(output_of: OutputOf, run: Any, churn: Client) -> None:
    """--at and --since count a span back from now: all events are within the last hour, and none before."""
    assert run("version", "get", "churn/1", "--at", "1h").exit_code == 4
    assert column(output_of("version", "get", "churn/1", "--at", "now"), "VERSION") == ["churn/1"]
    assert len(output_of("events", "--since", "1h", "--no-headers").splitlines()) == churn.newest_revision()
    assert output_of("events", "--since", "2999-01-01") == ""
    for history in (["model", "history", "churn"], ["version", "history", "churn/2"]):
        assert output_of(*history, "--since", "yesterday") == output_of(*history)
        assert output_of(*history, "--since", "2999-01-01") == ""
        assert column(output_of(*history, "--since", "6"), "REVISION")[-1] in {"7", "8"}
    watched = output_of("version", "watch", "churn", "--since", "1h", "--limit", "2")
    assert column(watched, "REVISION") == ["1", "2"]


def test_since_a_time_includes_that_time(output_of: OutputOf, churn: Client) -> None:
    """The event at exactly that time is shown, and the one before it is not."""
    events = list(churn.list_events())
    middle = next(event for event in events if event.time > events[0].time)
    after = [event.revision for event in events if event.time >= middle.time]
    assert column(output_of("events", "--since", middle.time.isoformat()), "REVISION") == list(map(str, after))


def test_a_terminal_shows_ages_and_local_times(on_terminal: Any, output_of: OutputOf, churn: Client) -> None:
    """Lists have ages, `-o wide` has local times, and output for programs has UTC."""
    made = churn.get_version("churn/1").create_time
    _, ages = on_terminal("version", "list", "churn", NO_COLOR="1", TZ="Asia/Tokyo")
    assert ages.count("s ago") == 3
    _, wide = on_terminal("version", "list", "churn", "-o", "wide", NO_COLOR="1", TZ="Asia/Tokyo")
    assert f"{made + timedelta(hours=9):%Y-%m-%d %H:%M:%S}" in wide
    assert f"{made:%Y-%m-%dT%H:%M:%S}Z" in output_of("version", "list", "churn")
