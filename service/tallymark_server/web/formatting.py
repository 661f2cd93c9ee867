"""Format values for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from tallymark_server.domain.model import Time, Uri, Value

# A minus sign as wide as the plus sign.
MINUS = "\N{MINUS SIGN}"
_DIGITS = set("0123456789.,-")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEPS = ((60, "s", 1), (3600, "min", 60), (86_400, "h", 3600), (60 * 86_400, "d", 86_400))


def moment(micros: int) -> datetime:
    """Return the time as a datetime, the nearest one outside the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if micros > 0 else datetime.min.replace(tzinfo=UTC)


def iso(micros: int) -> str:
    """Format a time as 2026-03-01T12:00:00Z, with the fraction of a second if it has one."""
    return moment(micros).isoformat().replace("+00:00", "Z")


def stamp(micros: int) -> str:
    """Format a time as 2026-03-01 12:00:00 UTC."""
    return moment(micros).strftime("%Y-%m-%d %H:%M:%S UTC")


def ago(micros: int, now: int) -> str:
    """Format how long ago a time was: `now`, `12 min ago`, or the day if it was long ago."""
    seconds = (now - micros) // 1_000_000
    if seconds < 2:
        return "now"
    for limit, unit, size in _STEPS:
        if seconds < limit:
            return f"{seconds // size} {unit} ago"
    return moment(micros).strftime("%-d %b %Y")


def number(value: float) -> str:
    """Format a number with at most six significant digits."""
    return f"{value:,.0f}" if value == int_of(value) and abs(value) < 1e15 else f"{value:.6g}"


def short(value: float) -> str:
    """Format a number in a table: at most four significant digits, but all digits of an integer."""
    return number(value) if abs(value) >= 1000 else f"{value:.4g}"


def int_of(value: float) -> float:
    """Truncate to an integer; return the value itself if it is not finite."""
    return float(int(value)) if abs(value) < 1e15 else value


def change(value: float) -> str:
    """Format a difference with its sign."""
    size = abs(value)
    text = number(size) if size >= 1000 else f"{float(f'{size:.3g}'):.12g}"
    return "±0" if value == 0 else f"{'+' if value > 0 else MINUS}{text}"


def size(count: int) -> str:
    """Format a size in bytes as 1.48 MB."""
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB", "EB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.3g} {unit}"


def lasted(start: int, end: int) -> str:
    """Format a duration."""
    seconds = (end - start) / 1_000_000
    for limit, unit, length in ((1, "ms", 0.001), (120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def value(of: Value) -> str:
    """Format a metadata value."""
    match of:
        case None:
            return "null"
        case bool():
            return "yes" if of else "no"
        case int():
            return f"{of:,}"
        case float():
            return number(of)
        case str():
            return of
        case Time(micros):
            return stamp(micros)
        case Uri(text):
            return text
        case _:
            return json.dumps(plain(of), ensure_ascii=False)


def column(values: Sequence[Value | None]) -> list[str]:
    """Format the values of a column: all numbers have as many decimals as the longest, so the points align."""
    texts = ["" if each is None else value(each) for each in values]
    even = [isinstance(each, float) and set(text) <= _DIGITS for each, text in zip(values, texts, strict=True)]
    most = max((len(text.partition(".")[2]) for text, is_even in zip(texts, even, strict=True) if is_even), default=0)
    return [f"{each:,.{most}f}" if is_even else text for each, text, is_even in zip(values, texts, even, strict=True)]


def plain(of: Value) -> object:
    """Return a metadata value for JSON."""
    match of:
        case Time(micros):
            return iso(micros)
        case Uri(text):
            return text
        case tuple():
            return [plain(item) for item in of]
        case dict():
            return {key: plain(item) for key, item in of.items()}
        case float() if of.is_integer() and abs(of) < 1e15:
            return int(of)
        case _:
            return of


def kind(of: Value) -> str:
    """Return the type of a metadata value in a word."""
    match of:
        case None:
            return "null"
        case bool():
            return "flag"
        case int() | float():
            return "number"
        case str():
            return "text"
        case Time():
            return "time"
        case Uri():
            return "uri"
        case tuple():
            return "list"
        case _:
            return "map"


def is_web(address: str) -> bool:
    """Return whether it is a safe link; others, such as javascript:, would run code."""
    return address.startswith(("https://", "http://"))


def numeric(of: Value | None) -> float | None:
    """Return the value as a finite number, None if it is none."""
    return of if isinstance(of, float) and abs(of) < float("inf") else None
