"""What is watched of every call and page: it is counted against limits and quotas, and written to the access log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from tallymark_server.access.access_log import MAX_TEXT, AccessLog, Line, time_text
from tallymark_server.access.limits import CallerLimits, ProjectQuotas
from tallymark_server.domain.errors import ResourceExhausted


class Traits(NamedTuple):
    """What oversight knows of a method: functions from its request to the resource, the project and the versions.

    `project` is None for a method that stores nothing. `versions` returns how many versions are created at most.
    """

    name: str
    over: str
    is_stream: bool
    resource: Callable[[Any], str]
    project: Callable[[Any], str] | None
    versions: Callable[[Any], int]


class Overseen:
    """A call without oversight."""

    __slots__ = ()

    def admit(self, caller: str) -> None:
        """Note who calls. Raises CallerLimitExceeded."""

    def request(self, request: Any) -> None:
        """Note what is requested."""

    def store(self, request: Any) -> None:
        """Count what a permitted request stores. Raises CallerLimitExceeded or ProjectQuotaExceeded."""

    def end(self, code: str, reason: str = "") -> None:
        """Note how the call has ended."""


UNSEEN = Overseen()


class Oversight:
    """Watches nothing, unless it is given limits, quotas or a log."""

    def __init__(
        self, limits: CallerLimits | None = None, quotas: ProjectQuotas | None = None, log: AccessLog | None = None
    ) -> None:
        self.limits, self.quotas, self.log = limits, quotas, log

    @property
    def is_active(self) -> bool:
        """Whether anything is watched."""
        return not (self.limits is None and self.quotas is None and self.log is None)

    def limits_of(self, caller: str) -> dict[str, float]:
        """Return the limits of the caller by name, without those that it does not have."""
        return {} if self.limits is None else self.limits.of(caller)

    def begin(self, traits: Traits, peer: str) -> Overseen:
        """Return what watches the call that begins now."""
        return _Seen(self, traits, peer) if self.is_active else UNSEEN


class _Seen(Overseen):
    """A call that is watched."""

    __slots__ = (
        "_begun",
        "_caller",
        "_is_counted",
        "_oversight",
        "_peer",
        "_project",
        "_resource",
        "_traits",
        "_versions",
    )

    def __init__(self, oversight: Oversight, traits: Traits, peer: str) -> None:
        self._oversight, self._traits, self._peer = oversight, traits, peer
        self._begun = time.time()
        self._caller = self._resource = self._project = ""
        self._versions = 0
        self._is_counted = False

    def admit(self, caller: str) -> None:
        self._caller = caller
        if self._oversight.limits is not None:
            self._oversight.limits.begin(caller, is_stream=self._traits.is_stream)
            self._is_counted = True

    def request(self, request: Any) -> None:
        self._resource = self._traits.resource(request)

    def store(self, request: Any) -> None:
        traits = self._traits
        if traits.project is None:
            return
        limits, quotas, size = self._oversight.limits, self._oversight.quotas, request.ByteSize()
        if limits is not None:
            limits.store(self._caller, size)
        if quotas is not None:
            project, versions = traits.project(request), traits.versions(request)
            quotas.store(project, size, versions)
            self._project, self._versions = project, versions

    def end(self, code: str, reason: str = "") -> None:
        oversight = self._oversight
        if self._is_counted and oversight.limits is not None:
            oversight.limits.end(self._caller, is_stream=self._traits.is_stream)
        if self._versions and code == "OK" and oversight.quotas is not None:
            oversight.quotas.add_versions(self._project, self._versions)
        if oversight.log is not None:
            ended = time.time()
            oversight.log.write(
                Line(
                    time=time_text(self._begun),
                    caller=self._caller,
                    method=self._traits.name,
                    resource=self._resource[:MAX_TEXT],
                    code=code,
                    peer=self._peer,
                    ms=round((ended - self._begun) * 1000, 3),
                    over=self._traits.over,
                    reason=reason,
                )
            )


def reason_of(error: Exception) -> str:
    """Return which limit or quota refused a call, empty for other errors."""
    return error.reason if isinstance(error, ResourceExhausted) else ""
