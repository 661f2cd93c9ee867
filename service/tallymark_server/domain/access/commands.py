"""What may be requested about access, and the events that follow from it.

An admin of a project decides about what is in that project alone, and an admin of all projects about everything. So
nobody gives more than they have: a token or a grant for all projects needs an admin of all projects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from msgspec import Struct

from tallymark_server.domain import naming
from tallymark_server.domain.access.events import (
    AccessEvent,
    GrantAdded,
    GrantRemoved,
    ServiceAccountCreated,
    ServiceAccountDeleted,
    TokenCreated,
    TokenRevoked,
    TokenRotated,
)
from tallymark_server.domain.access.members import Member, MemberKind
from tallymark_server.domain.access.state import NEVER, AccessState, ServiceAccount, Token, member_of, token_member
from tallymark_server.domain.access.token_text import TokenText
from tallymark_server.domain.errors import (
    AccessExists,
    AccessNotFound,
    InvalidField,
    LastAdminToken,
    LimitReached,
    PermissionDenied,
)
from tallymark_server.domain.roles import ALL_PROJECTS, Role

MAX_TOKENS = 10_000
MAX_ACCOUNTS = 10_000
# The most members with roles, and the most roles of one.
MAX_MEMBERS = 100_000
MAX_ROLES = 1_000
# The most secrets of a token that count at the same time, while rotations overlap.
MAX_SECRETS = 5
MINUTE = 60_000_000
DAY = 86_400_000_000
MAX_LIFETIME = 3_653 * DAY
MAX_OVERLAP = 30 * DAY


class Admin(NamedTuple):
    """The caller that decides: its name, and its roles by project."""

    name: str
    roles: Mapping[str, Role]

    @property
    def of_all(self) -> bool:
        """Whether it is an admin of all projects."""
        return self.roles.get(ALL_PROJECTS) is Role.ADMIN

    def administers(self, project: str) -> bool:
        """Return whether it is an admin of the project."""
        return self.of_all or self.roles.get(project) is Role.ADMIN

    def check(self, projects: Iterable[str], what: str) -> None:
        """Raise PermissionDenied unless it is an admin of all these projects; without any, an admin of all."""
        missing = [project for project in tuple(projects) or (ALL_PROJECTS,) if not self.administers(project)]
        if missing:
            raise PermissionDenied(self.name, what, Role.ADMIN.label, missing[0])


class AccessCommand(Protocol):
    """A command about access."""

    def decide(self, state: AccessState, by: Admin, now: int) -> list[AccessEvent]:
        """Return the events that follow. Raises a RegistryError."""
        ...


def decide(command: AccessCommand, state: AccessState, by: Admin, now: int) -> tuple[list[AccessEvent], AccessState]:
    """Return the events that follow from the command, and the state after them; `state` itself does not change.

    Raises LastAdminToken if no token would count that may do everything, and whatever else the command raises.
    """
    events = command.decide(state, by, now)
    after = state.copy()
    after.apply(events, by.name, now)
    if state.has_admin_token(now) and not after.has_admin_token(now):
        raise LastAdminToken
    return events, after


class CreateToken(Struct, frozen=True, kw_only=True):
    """Create a token: of a service account, or one that has its own roles in the projects."""

    name: str
    token: TokenText
    expire_time: int
    account: str = ""
    role: Role | None = None
    projects: tuple[str, ...] = ()
    speaks_for: bool = False

    def decide(self, state: AccessState, by: Admin, now: int) -> list[AccessEvent]:
        """Return the events that follow. Raises AccessExists, AccessNotFound, PermissionDenied and others."""
        name = _checked_name(self.name)
        _check_lifetime(self.expire_time, now)
        grants: list[AccessEvent] = []
        if self.account:
            if self.role is not None or self.projects:
                raise InvalidField("role", self.account, "a token of a service account has the roles of the account")
            account = _account(state, self.account)
            by.check(account.projects, "creating a token of this service account")
            member = member_of(account.name)
        else:
            if self.role is None:
                raise InvalidField("role", "", "a token needs a role, or a service account whose roles it has")
            member = token_member(name)
            projects = _checked_projects(self.projects)
            by.check(projects, "creating a token")
            grants = [GrantAdded(member=str(member), project=project, role=self.role) for project in projects]
        if name in state.tokens:
            raise AccessExists("token", name, "rotate it for a new secret, or revoke it first")
        if not self.account:
            _check_free(state, name)
        _check_room("tokens", len(state.tokens), MAX_TOKENS, "revoke those that nobody uses")
        created = TokenCreated(
            name=name,
            member=str(member),
            id=self.token.id,
            digest=self.token.digest.hex(),
            expire_time=self.expire_time,
            speaks_for=self.speaks_for,
        )
        _check_id(state, self.token.id)
        if self.speaks_for:
            by.check((ALL_PROJECTS,), "creating a token that speaks for others")
        return [created, *grants]


class RotateToken(Struct, frozen=True, kw_only=True):
    """Give a token another secret. The one before counts for `overlap` microseconds more.

    Without an `expire_time`, the new secret lasts as long as the one before was made for.
    """

    name: str
    token: TokenText
    overlap: int = 0
    expire_time: int | None = None

    def decide(self, state: AccessState, by: Admin, now: int) -> list[AccessEvent]:
        """Return the event that follows. Raises AccessNotFound, PermissionDenied and others."""
        token = administered_token(state, self.name, by, "rotating this token")
        if token.speaks_for:
            by.check((ALL_PROJECTS,), "rotating a token that speaks for others")
        if not 0 <= self.overlap <= MAX_OVERLAP:
            raise InvalidField("overlap", self.overlap // 1_000_000, "it is 0 to 30 days")
        before = token.secret
        expire_time = self.expire_time
        if expire_time is None:
            lasts = before.expire_time - before.create_time
            expire_time = NEVER if before.expire_time == NEVER else now + lasts
        _check_lifetime(expire_time, now)
        _check_id(state, self.token.id)
        counting = sum(each.counts(now) for each in token.secrets)
        _check_room("secrets", counting, MAX_SECRETS, "wait until those before have ended, or rotate without overlap")
        return [
            TokenRotated(
                name=self.name,
                id=self.token.id,
                digest=self.token.digest.hex(),
                expire_time=expire_time,
                previous_until=now + self.overlap,
            )
        ]


class RevokeToken(Struct, frozen=True, kw_only=True):
    """Revoke a token, with all its secrets. What was granted to the token itself is removed."""

    name: str

    def decide(self, state: AccessState, by: Admin, now: int) -> list[AccessEvent]:
        """Return the events that follow. Raises AccessNotFound or PermissionDenied."""
        del now
        token = administered_token(state, self.name, by, "revoking this token")
        own = token.member == token_member(token.name)
        return [TokenRevoked(name=token.name), *(_without_roles(state, token.member) if own else ())]


class AddGrant(Struct, frozen=True, kw_only=True):
    """Give a member a role in a project or in all, in place of the one that it has there."""

    member: Member
    project: str
    role: Role

    def decide(self, state: AccessState, by: Admin, now: int) -> list[AccessEvent]:
        """Return the event that follows, none if nothing changes. Raises AccessNotFound, PermissionDenied and more."""
        del now
        (project,) = _checked_projects((self.project,))
        by.check((project,), "granting a role")
        _check_member(state, self.member)
        _check_free(state, self.member.name, but=self.member)
        if self.member.kind is MemberKind.SERVICE_ACCOUNT:
            allowed = state.accounts[self.member.name].projects
            if ALL_PROJECTS not in allowed and project not in allowed:
                raise InvalidField("project", project, f"the service account is limited to {', '.join(allowed)}")
        roles = state.roles(self.member)
        if roles.get(project) is self.role:
            return []
        if not roles:
            _check_room("members", len(state.grants), MAX_MEMBERS, "remove grants that nobody uses")
        if project not in roles:
            _check_room("grants", len(roles), MAX_ROLES, "remove others, or grant the role in all projects")
        return [GrantAdded(member=str(self.member), project=project, role=self.role)]


class RemoveGrant(Struct, frozen=True, kw_only=True):
    """Take a member's role in a project, or in all, away."""

    member: Member
    project: str

    def decide(self, state: AccessState, by: Admin, now: int) -> list[AccessEvent]:
        """Return the event that follows. Raises AccessNotFound or PermissionDenied."""
        del now
        (project,) = _checked_projects((self.project,))
        by.check((project,), "removing a grant")
        if project not in state.roles(self.member):
            raise AccessNotFound("grant", f"{self.member} in {project}")
        return [GrantRemoved(member=str(self.member), project=project)]


class CreateServiceAccount(Struct, frozen=True, kw_only=True):
    """Create a service account, limited to the projects, with a role in each of them if one is given."""

    name: str
    projects: tuple[str, ...]
    role: Role | None = None

    def decide(self, state: AccessState, by: Admin, now: int) -> list[AccessEvent]:
        """Return the events that follow. Raises AccessExists, PermissionDenied and others."""
        del now
        name, projects = _checked_name(self.name), _checked_projects(self.projects)
        by.check(projects, "creating a service account")
        _check_free(state, name)
        _check_room("service accounts", len(state.accounts), MAX_ACCOUNTS, "delete those that nobody uses")
        grants = [
            GrantAdded(member=str(member_of(name)), project=project, role=self.role)
            for project in projects
            if self.role is not None
        ]
        return [ServiceAccountCreated(name=name, projects=projects), *grants]


class DeleteServiceAccount(Struct, frozen=True, kw_only=True):
    """Delete a service account, with its tokens and grants."""

    name: str

    def decide(self, state: AccessState, by: Admin, now: int) -> list[AccessEvent]:
        """Return the events that follow. Raises AccessNotFound or PermissionDenied."""
        del now
        account = _account(state, self.name)
        by.check(account.projects, "deleting this service account")
        member = member_of(account.name)
        revoked = [TokenRevoked(name=token.name) for token in state.tokens_of(member)]
        return [*revoked, *_without_roles(state, member), ServiceAccountDeleted(name=account.name)]


def projects_of(state: AccessState, token: Token) -> tuple[str, ...]:
    """Return the projects in which a token could have a role: who administers them all decides about the token."""
    if token.member.kind is MemberKind.SERVICE_ACCOUNT:
        return state.accounts[token.member.name].projects
    return tuple(state.roles(token.member))


def administered_token(state: AccessState, name: str, by: Admin, what: str) -> Token:
    """Return the token. Raises AccessNotFound, also if the caller sees none of its projects, or PermissionDenied."""
    token = state.tokens.get(name)
    if token is None or not sees(by, projects_of(state, token)):
        raise AccessNotFound("token", name)
    by.check(projects_of(state, token), what)
    return token


def sees(by: Admin, projects: Iterable[str]) -> bool:
    """Return whether the caller administers one of the projects, or all."""
    return by.of_all or any(map(by.administers, projects))


def _without_roles(state: AccessState, member: Member) -> list[AccessEvent]:
    return [GrantRemoved(member=str(member), project=project) for project in state.roles(member)]


def _account(state: AccessState, name: str) -> ServiceAccount:
    if name not in state.accounts:
        raise AccessNotFound("service account", name)
    return state.accounts[name]


def _check_member(state: AccessState, member: Member) -> None:
    if member.kind is MemberKind.SERVICE_ACCOUNT:
        _account(state, member.name)
    elif member.kind is MemberKind.TOKEN:
        token = state.tokens.get(member.name)
        if token is None:
            raise AccessNotFound("token", member.name)
        if token.member != member:
            raise InvalidField("member", str(member), f"this token has the roles of {token.member}; grant it to that")


def _check_free(state: AccessState, name: str, but: Member | None = None) -> None:
    """Raise AccessExists if another member has the name: events would not show which of the two did something."""
    for kind in MemberKind:
        member = Member(kind, name)
        own_token = kind is MemberKind.TOKEN and name in state.tokens and state.tokens[name].member == member
        account = kind is MemberKind.SERVICE_ACCOUNT and name in state.accounts
        if member != but and (own_token or account or state.roles(member)):
            raise AccessExists(kind.replace("-", " "), name, "use that one, or choose another name")


def _checked_name(name: str) -> str:
    return naming.run_id(name, "name")


def _checked_projects(projects: tuple[str, ...]) -> tuple[str, ...]:
    if not projects:
        raise InvalidField("project", "", "name a project, or * for all")
    if len(projects) > MAX_ROLES:
        raise LimitReached("project", MAX_ROLES, f"{len(projects):,} projects are named", "name * for all projects")
    return tuple(
        dict.fromkeys(each if each == ALL_PROJECTS else naming.project_name(each, "project") for each in projects)
    )


def _check_lifetime(expire_time: int, now: int) -> None:
    if expire_time != NEVER and not now < expire_time <= now + MAX_LIFETIME:
        raise InvalidField("expire_time", "that time", "it is in the future, within ten years, or never")


def _check_id(state: AccessState, token_id: str) -> None:
    if any(secret.id == token_id for token in state.tokens.values() for secret in token.secrets):
        raise AccessExists("token id", token_id, "try again")


def _check_room(field: str, count: int, limit: int, remedy: str) -> None:
    if count >= limit:
        raise LimitReached(field, limit, f"there are {count:,} {field}", remedy)
