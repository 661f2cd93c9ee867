"""The one door: who calls, and whether that caller may do what it requests.

Every edge passes it: gRPC, the methods over HTTP, and each page and form of the dashboard.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from tallymark_server.access.callers import LOCAL, Authenticator, Caller, Credentials
from tallymark_server.access.oversight import Oversight
from tallymark_server.access.refusals import Refusals
from tallymark_server.domain.errors import PermissionDenied, ProjectNotFound
from tallymark_server.domain.roles import ALL_PROJECTS, Role

# How many seconds a caller is remembered, if nothing is revoked meanwhile.
MAX_AGE = 5.0
MAX_REMEMBERED = 4096
# How often open streams and pages are checked, in seconds. With MAX_AGE, they end well within 15 s of a revocation.
CHECK_INTERVAL = 5.0


class Needs(NamedTuple):
    """The role that `what`, a method or a form, needs in a project.

    `hides` is true if a project that the caller may not read is refused as one that does not exist.
    """

    what: str
    role: Role
    hides: bool = True


def may(caller: Caller, needs: Needs, project: str) -> None:
    """Return if the caller may do this in the project, or in ALL_PROJECTS.

    Raises ProjectNotFound if the caller may not even read it, whether it exists or not, so that both take the same
    time. Raises PermissionDenied for a lesser role.
    """
    role = caller.role_in(project)
    if role is not None and role >= needs.role:
        return
    if role is None and needs.hides and project != ALL_PROJECTS:
        raise ProjectNotFound(project)
    raise PermissionDenied(caller.name, needs.what, needs.role.label, project)


class _Remembered(NamedTuple):
    """A caller, until when it is remembered, and the generation of the answer."""

    caller: Caller
    until: float
    generation: int


class _Open(NamedTuple):
    """A stream or page that is open: what it was opened with, and what its caller still has to pass."""

    credentials: Credentials
    check: Callable[[Caller], None]


class Door:
    """Knows the callers of this server by an authenticator; without one, everybody is LOCAL.

    With `certificates`, callers may be known by the verified certificates of their connections. `oversight` watches
    every call that comes by the door.
    """

    def __init__(
        self,
        authenticator: Authenticator | None = None,
        *,
        certificates: bool = False,
        oversight: Oversight | None = None,
    ) -> None:
        self._authenticator = authenticator
        # Whether everybody who can connect may do everything.
        self.is_open = authenticator is None
        self.certificates = certificates
        self.oversight = oversight or Oversight()
        self.refusals = Refusals()
        self._remembered: dict[object, _Remembered] = {}
        self._open: dict[asyncio.Task[object], _Open] = {}
        self._refused: dict[asyncio.Task[object], Exception] = {}
        self._checking: asyncio.Task[None] | None = None

    def remembered(self, key: object) -> Caller | None:
        """Return the caller that `who` has returned for the key, None if that may have changed since."""
        if self._authenticator is None:
            return LOCAL
        known = self._remembered.get(key)
        if known is None or known.generation != self._authenticator.generation:
            return None
        return known.caller if known.until > time.monotonic() else None

    def is_unknown(self, connection: str) -> bool:
        """Return whether callers have to be known, and none over this connection was."""
        return not self.is_open and not self.refusals.has_accepted(connection)

    async def who(self, credentials: Credentials, key: object = None) -> Caller:
        """Return who calls. Remember the caller by the key, or else by the credentials. Raises UnknownCaller."""
        key = credentials[:3] if key is None else key
        known = self.remembered(key)
        if known is not None or self._authenticator is None:
            return known or LOCAL
        now, generation = time.monotonic(), self._authenticator.generation
        caller = await self._authenticator.caller(credentials)
        until = now + MAX_AGE
        if caller.expires is not None:
            until = min(until, now + caller.expires / 1e6 - time.time())
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = _Remembered(caller, until, generation)
        return caller

    @asynccontextmanager
    async def attended(self, credentials: Credentials, check: Callable[[Caller], None]) -> AsyncIterator[None]:
        """Cancel the block within 15 s once the caller is revoked, or `check` refuses it, and raise the refusal."""
        if self._authenticator is None:
            yield
            return
        task = asyncio.current_task()
        assert task is not None, "a stream is a task"  # noqa: S101
        self._open[task] = _Open(credentials, check)
        if self._checking is None:
            self._checking = asyncio.create_task(self._check_regularly())
        try:
            yield
        except asyncio.CancelledError:
            refused = self._refused.get(task)
            # Not if the caller leaves at the same time.
            if refused is None or task.uncancel() > 0:
                raise
            raise refused from None
        finally:
            del self._open[task]
            self._refused.pop(task, None)
            if not self._open and self._checking is not None:
                self._checking.cancel()
                self._checking = None

    async def _check_regularly(self) -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            for task, opened in list(self._open.items()):
                await self._check(task, opened)

    async def _check(self, task: asyncio.Task[object], opened: _Open) -> None:
        try:
            opened.check(await self.who(opened.credentials))
        except Exception as error:  # noqa: BLE001 - whatever prevents the check ends the stream, which reports it
            if task in self._open and task not in self._refused:
                self._refused[task] = error
                task.cancel()
