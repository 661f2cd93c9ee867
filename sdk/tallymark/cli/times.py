"""Parsing of times on the command line, and formatting of times and durations for terminals."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_UNIT = r"(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)"
_PART = re.compile(rf"(\d+(?:\.\d+)?)\s*{_UNIT}(?![a-z])")
_SPAN = re.compile(rf"(?:\d+(?:\.\d+)?\s*{_UNIT}(?![a-z])\s*)+(?:ago)?")
EXAMPLES = "2h, 3d, yesterday, 2026-01-31 or 2026-01-31T12:00:00Z"


def moment(text: str, now: datetime | None = None) -> datetime:
    """Parse a time: a span before now, a day, or a time, local unless it names its zone. Raises ValueError."""
    now = (now or datetime.now(UTC)).astimezone()
    word = text.strip().lower()
    try:
        if word == "now":
            return now
        if word in {"today", "yesterday"}:
            day = now.date() - timedelta(days=word == "yesterday")
            return datetime(day.year, day.month, day.day).astimezone()
        if _SPAN.fullmatch(word):
            return now - timedelta(seconds=sum(float(count) * _UNITS[unit[0]] for count, unit in _PART.findall(word)))
        parsed = datetime.fromisoformat(text.strip())
        return parsed if parsed.tzinfo else parsed.astimezone()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a time such as {EXAMPLES}") from None


def span(text: str) -> timedelta:
    """Parse a span of time, such as `90d` or `1h 30m`. Raises ValueError."""
    word = text.strip().lower()
    if not _SPAN.fullmatch(word) or word.endswith("ago"):
        raise ValueError(f"{text!r} is no span of time such as 90d, 12h or 30m")
    try:
        return timedelta(seconds=sum(float(count) * _UNITS[unit[0]] for count, unit in _PART.findall(word)))
    except OverflowError:
        raise ValueError(f"{text!r} is too long") from None


def local(moment: datetime, *, zone: bool = False) -> str:
    """Return the time in the time zone of this machine (TZ), to the second."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}{f' {moment.astimezone():%Z}' if zone else ''}"


def age(moment: datetime, now: datetime | None = None) -> str:
    """Return how long ago the time was, in its largest unit: `3h ago`."""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    return f"{_largest(seconds)} ago" if seconds >= 0 else f"in {_largest(-seconds)}"


def age_in_words(moment: datetime, now: datetime | None = None) -> str:
    """Return how long ago the time was, in words: `3 hours ago`."""
    seconds = abs(((now or datetime.now(UTC)) - moment).total_seconds())
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _largest(seconds: float) -> str:
    for unit, length, until in (("s", 1, 60), ("m", 60, 3600), ("h", 3600, 86_400), ("d", 86_400, 86_400 * 700)):
        if seconds < until:
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds // (86_400 * 365))}y"


def duration(span: timedelta) -> str:
    """Return a duration in its two largest units: `3m05s`."""
    seconds = max(span.total_seconds(), 0.0)
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"
