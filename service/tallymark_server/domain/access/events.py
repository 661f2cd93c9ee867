"""What happened, as the log of access records it. No event has a secret: of a token, it has the SHA-256."""

from __future__ import annotations

from msgspec import Struct

from tallymark_server.domain.roles import Role


class TokenCreated(Struct, frozen=True, kw_only=True, tag="token_created"):
    """A token was created. `expire_time` is in microseconds since 1970, 0 for never.

    Its calls are those of the member: a service account, or the token itself. With `speaks_for`, they may name somebody
    else for whom they are.
    """

    name: str
    member: str
    id: str
    digest: str
    expire_time: int
    speaks_for: bool = False


class TokenRotated(Struct, frozen=True, kw_only=True, tag="token_rotated"):
    """A token got another secret; those before count until `previous_until`, or their own end if that is earlier."""

    name: str
    id: str
    digest: str
    expire_time: int
    previous_until: int


class TokenRevoked(Struct, frozen=True, kw_only=True, tag="token_revoked"):
    """A token counts no longer, with none of its secrets."""

    name: str


class GrantAdded(Struct, frozen=True, kw_only=True, tag="grant_added"):
    """A member has this role in a project, or in all, in place of the one that it had there."""

    member: str
    project: str
    role: Role


class GrantRemoved(Struct, frozen=True, kw_only=True, tag="grant_removed"):
    """A member has no role in a project, or in all, any more."""

    member: str
    project: str


class ServiceAccountCreated(Struct, frozen=True, kw_only=True, tag="service_account_created"):
    """A service account was created, which can have roles in these projects alone."""

    name: str
    projects: tuple[str, ...]


class ServiceAccountDeleted(Struct, frozen=True, kw_only=True, tag="service_account_deleted"):
    """A service account was deleted. Its tokens and grants are gone by events of their own."""

    name: str


AccessEvent = (
    TokenCreated
    | TokenRotated
    | TokenRevoked
    | GrantAdded
    | GrantRemoved
    | ServiceAccountCreated
    | ServiceAccountDeleted
)
