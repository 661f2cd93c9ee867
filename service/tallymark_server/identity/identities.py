"""People and programs that an issuer vouches for, as callers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tallymark_server.access.book import AccessBook
from tallymark_server.access.callers import Caller, CallerKind
from tallymark_server.domain.access.members import Member, MemberKind
from tallymark_server.domain.roles import Role
from tallymark_server.identity.issuers import Issuers


class Identity(NamedTuple):
    """Who a token is about: the issuer, the name, the claims that decide about roles, and its end in microseconds."""

    issuer: str
    name: str
    values: Mapping[str, frozenset[str]]
    expires: int


def caller_of(identity: Identity, issuers: Issuers, book: AccessBook | None, expires: int) -> Caller:
    """Return the caller, with the roles of its claims, and those that admins have granted to its name."""
    grants: dict[str, Role] = dict(issuers.roles(identity.issuer, identity.values))
    granted = {} if book is None else book.state.roles(Member(MemberKind.USER, identity.name))
    for project, role in granted.items():
        grants[project] = max(role, grants.get(project, role))
    return Caller(name=identity.name, kind=CallerKind.USER, grants=grants, expires=expires)
