"""Limits of each caller and quotas of each project: what exceeds them is refused, with when to try again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tallymark_server.domain.errors import CallerLimitExceeded, ProjectQuotaExceeded

_DAY = 86_400
# When to try again, if that depends on when other calls end, in milliseconds.
_SOON = 200
# When to try again, if an operator or a purge has to make room.
_LATER = 60_000


class Limits(NamedTuple):
    """What a caller may do; 0 is no limit.

    `calls` and `streams` are under way at the same time. `rate` is in calls per second; `burst` of them may come at
    once. `bytes_per_day` are those of requests that change something, each day of UTC.
    """

    calls: int = 0
    streams: int = 0
    rate: float = 0.0
    burst: int = 0
    bytes_per_day: int = 0


class Quota(NamedTuple):
    """What a project may have; 0 is no quota. `versions` have been numbered, also if they were purged since."""

    versions: int = 0
    bytes_per_day: int = 0


NO_LIMITS, NO_QUOTA = Limits(), Quota()


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """The limits of every caller and the quota of every project, and those that are set for some by name."""

    limits: Limits = NO_LIMITS
    callers: Mapping[str, Limits] = field(default_factory=dict)
    quota: Quota = NO_QUOTA
    projects: Mapping[str, Quota] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is limited."""
        return not (any(self.limits) or self.callers or any(self.quota) or self.projects)


class _Use:
    """What one caller does now, and has stored today."""

    __slots__ = ("calls", "filled", "stored", "streams", "tokens")

    def __init__(self, tokens: float, now: float) -> None:
        self.calls = self.streams = self.stored = 0
        self.tokens, self.filled = tokens, now


class CallerLimits:
    """Counts what each caller does, and refuses what exceeds its limits."""

    def __init__(
        self,
        settings: LimitSettings,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`clock` and `wall` return seconds, the latter since 1970."""
        self._settings = settings
        self._clock, self._wall = clock, wall
        self._uses: dict[str, _Use] = {}
        self._day = 0

    def of(self, caller: str) -> dict[str, float]:
        """Return the limits of the caller by the names that the settings have for them."""
        return {name.replace("_", "-"): limit for name, limit in self._of(caller)._asdict().items() if limit}

    def begin(self, caller: str, *, is_stream: bool) -> None:
        """Count a call until `end`. Raises CallerLimitExceeded, and then it is not counted."""
        limits, use = self._of(caller), self._use_of(caller)
        if is_stream and limits.streams and use.streams >= limits.streams:
            raise CallerLimitExceeded(caller, "streams", f"has {use.streams:,} streams open", _SOON)
        if not is_stream and limits.calls and use.calls >= limits.calls:
            raise CallerLimitExceeded(caller, "calls", f"has {use.calls:,} calls under way", _SOON)
        if limits.rate:
            self._take_token(caller, limits, use)
        if is_stream:
            use.streams += 1
        else:
            use.calls += 1

    def end(self, caller: str, *, is_stream: bool) -> None:
        """Count a call no longer."""
        use = self._uses[caller]
        if is_stream:
            use.streams -= 1
        else:
            use.calls -= 1

    def store(self, caller: str, size: int) -> None:
        """Count the bytes of a change. Raises CallerLimitExceeded, and then they are not counted."""
        limits, use = self._of(caller), self._use_of(caller)
        if limits.bytes_per_day and use.stored + size > limits.bytes_per_day:
            used = f"has stored {use.stored:,} bytes today and sends {size:,} more"
            raise CallerLimitExceeded(caller, "bytes-per-day", used, _until_tomorrow(self._wall()))
        use.stored += size

    def _of(self, caller: str) -> Limits:
        return self._settings.callers.get(caller, self._settings.limits)

    def _use_of(self, caller: str) -> _Use:
        day = int(self._wall()) // _DAY
        if day != self._day:
            self._day = day
            # Those who do nothing now begin anew when they call again.
            self._uses = {name: use for name, use in self._uses.items() if use.calls or use.streams}
            for use in self._uses.values():
                use.stored = 0
        found = self._uses.get(caller)
        if found is None:
            found = self._uses[caller] = _Use(_burst(self._of(caller)), self._clock())
        return found

    def _take_token(self, caller: str, limits: Limits, use: _Use) -> None:
        now = self._clock()
        use.tokens = min(_burst(limits), use.tokens + (now - use.filled) * limits.rate)
        use.filled = now
        if use.tokens < 1:
            wait = max(1, round((1 - use.tokens) / limits.rate * 1000))
            raise CallerLimitExceeded(caller, "rate", f"calls {limits.rate:g} times a second", wait)
        use.tokens -= 1


class ProjectQuotas:
    """Counts what each project has, and refuses what exceeds its quota."""

    def __init__(self, settings: LimitSettings, wall: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._wall = wall
        self._versions: dict[str, int] = {}
        self._stored: dict[str, int] = {}
        self._day = 0

    @property
    def counted(self) -> list[str]:
        """The projects whose versions must be counted, `*` for all others too."""
        named = [name for name, quota in self._settings.projects.items() if quota.versions]
        return [*named, "*"] if self._settings.quota.versions else named

    def set_versions(self, project: str, count: int) -> None:
        """Set how many versions have been numbered in the project."""
        self._versions[project] = count

    def add_versions(self, project: str, count: int) -> None:
        """Count versions that were created since they were counted."""
        self._versions[project] = self._versions.get(project, 0) + count

    def store(self, project: str, size: int, versions: int) -> None:
        """Count the bytes of a change that creates at most so many versions. Raises ProjectQuotaExceeded."""
        quota = self._settings.projects.get(project, self._settings.quota)
        has = self._versions.get(project, 0)
        if versions and quota.versions and has + versions > quota.versions:
            raise ProjectQuotaExceeded(project, "versions", f"has {has:,} versions", _LATER)
        if not quota.bytes_per_day:
            return
        now = self._wall()
        if int(now) // _DAY != self._day:
            self._day, self._stored = int(now) // _DAY, {}
        stored = self._stored.get(project, 0)
        if stored + size > quota.bytes_per_day:
            used = f"has stored {stored:,} bytes today"
            raise ProjectQuotaExceeded(project, "bytes-per-day", used, _until_tomorrow(now))
        self._stored[project] = stored + size


def _burst(limits: Limits) -> float:
    """Return how many calls may come at once: as many as in a second, unless `burst` says otherwise."""
    return max(1.0, limits.burst or limits.rate)


def _until_tomorrow(now: float) -> int:
    """Return the milliseconds until the next day of UTC."""
    return round((_DAY - now % _DAY) * 1000)
