"""Callers: what they present to be known by, who they are, and which roles they have."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, Protocol

from msgspec import Struct

from tallymark_server.domain.roles import ALL_PROJECTS, Role


class CallerKind(StrEnum):
    """How a caller is known."""

    TOKEN = "token"  # noqa: S105 - the name of a kind
    SERVICE_ACCOUNT = "service account"
    USER = "user"
    CERTIFICATE = "certificate"
    LOCAL = "local"


class Caller(Struct, frozen=True, kw_only=True):
    """Who calls. `grants` has the role in each project, or in ALL_PROJECTS.

    With `speaks_for`, it may name somebody else for whom it acts. It is valid until `expires`, in microseconds since
    1970; None for ever.
    """

    name: str
    kind: CallerKind
    grants: Mapping[str, Role]
    speaks_for: bool = False
    expires: int | None = None

    def role_in(self, project: str) -> Role | None:
        """Return the role in the project, or in ALL_PROJECTS; None if the caller may not even read it."""
        everywhere, here = self.grants.get(ALL_PROJECTS), self.grants.get(project)
        return max(everywhere, here) if everywhere and here else everywhere or here

    def may(self, role: Role, project: str) -> bool:
        """Return whether the caller has this role or a higher one in the project, or in ALL_PROJECTS."""
        found = self.role_in(project)
        return found is not None and found >= role

    @property
    def readable(self) -> frozenset[str] | None:
        """The projects that the caller may read; None for all."""
        return None if ALL_PROJECTS in self.grants else frozenset(self.grants)


# The only caller while access control is off, which is allowed where only this machine, or a trusted network, connects.
LOCAL = Caller(name="anonymous", kind=CallerKind.LOCAL, grants={ALL_PROJECTS: Role.ADMIN}, speaks_for=True)


# Who requests what anybody may.
NOBODY = Caller(name="nobody", kind=CallerKind.LOCAL, grants={})


class Credentials(NamedTuple):
    """What a call presents. `repr` shows no secret, since errors and logs may contain it.

    `bearer` is the token after `Bearer ` in the header `authorization`, `session` the cookie of the dashboard,
    `certificate` the names in the verified client certificate, and `peer` the address of the other end, as gRPC has it.
    """

    bearer: str | None = None
    session: str | None = None
    certificate: tuple[str, ...] = ()
    peer: str = ""

    def __repr__(self) -> str:
        presented = [name for name in ("bearer", "session", "certificate") if getattr(self, name)]
        return f"Credentials({', '.join(presented) or 'none'}, peer={self.peer!r})"


NOTHING = Credentials()


class Authenticator(Protocol):
    """Authenticates callers."""

    @property
    def generation(self) -> int:
        """A number that changes whenever an answer of `caller` may have changed: something was revoked or granted.

        Answers are remembered for some seconds as long as it stays the same, so it costs no I/O.
        """
        ...

    async def caller(self, credentials: Credentials) -> Caller:
        """Return who presents these credentials. Raises UnknownCaller.

        The same holds for each part that is presented: a bearer token that is not valid is refused, also with a valid
        session. It is called again while a stream or a page stays open.
        """
        ...
