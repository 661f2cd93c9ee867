"""The present state of access, folded from the events of its log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

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
from tallymark_server.domain.access.members import Member, MemberKind, parse_member
from tallymark_server.domain.roles import ALL_PROJECTS, Role

NEVER = 0


class Secret(Struct, frozen=True):
    """One secret of a token: its public id, the SHA-256 of its text, and its end in microseconds since 1970."""

    id: str
    digest: bytes
    create_time: int
    expire_time: int

    def counts(self, now: int) -> bool:
        """Return whether it has not expired."""
        return self.expire_time == NEVER or now < self.expire_time


class Token(Struct, frozen=True, kw_only=True):
    """A token. The last of its secrets is the present one; those before count while a rotation overlaps."""

    name: str
    member: Member
    creator: str
    create_time: int
    secrets: tuple[Secret, ...]
    speaks_for: bool = False

    @property
    def secret(self) -> Secret:
        """The present secret."""
        return self.secrets[-1]


class ServiceAccount(Struct, frozen=True, kw_only=True):
    """An account of programs, which can have roles in these projects alone."""

    name: str
    projects: tuple[str, ...]
    creator: str
    create_time: int

    @property
    def member(self) -> Member:
        """The member that it is."""
        return member_of(self.name)


class AccessState(Struct, kw_only=True):
    """Tokens and service accounts by name, and each member's roles by project. `revision` is that of the last event."""

    revision: int = 0
    tokens: dict[str, Token] = field(default_factory=dict)
    accounts: dict[str, ServiceAccount] = field(default_factory=dict)
    grants: dict[Member, dict[str, Role]] = field(default_factory=dict)

    def copy(self) -> AccessState:
        """Return a state that changes apart from this one."""
        return AccessState(
            revision=self.revision,
            tokens=dict(self.tokens),
            accounts=dict(self.accounts),
            grants={member: dict(roles) for member, roles in self.grants.items()},
        )

    def roles(self, member: Member) -> Mapping[str, Role]:
        """Return the member's roles by project."""
        return self.grants.get(member, {})

    def tokens_of(self, member: Member) -> list[Token]:
        """Return the tokens whose calls are the member's."""
        return [token for token in self.tokens.values() if token.member == member]

    def has_admin_token(self, now: int) -> bool:
        """Return whether a token counts that may do everything."""
        return any(
            token.secret.counts(now) and self.roles(token.member).get(ALL_PROJECTS) is Role.ADMIN
            for token in self.tokens.values()
        )

    def apply(self, events: Iterable[AccessEvent], actor: str, time: int) -> None:
        """Apply events that happened at the time, in microseconds since 1970, by the actor."""
        for event in events:
            self._apply(event, actor, time)
            self.revision += 1

    def _apply(self, event: AccessEvent, actor: str, time: int) -> None:
        match event:
            case TokenCreated():
                secret = Secret(event.id, bytes.fromhex(event.digest), time, event.expire_time)
                self.tokens[event.name] = Token(
                    name=event.name,
                    member=parse_member(event.member),
                    creator=actor,
                    create_time=time,
                    secrets=(secret,),
                    speaks_for=event.speaks_for,
                )
            case TokenRotated():
                self._rotate(event, time)
            case TokenRevoked():
                del self.tokens[event.name]
            case GrantAdded():
                self.grants.setdefault(parse_member(event.member), {})[event.project] = event.role
            case GrantRemoved():
                member = parse_member(event.member)
                del self.grants[member][event.project]
                if not self.grants[member]:
                    del self.grants[member]
            case ServiceAccountCreated():
                self.accounts[event.name] = ServiceAccount(
                    name=event.name, projects=event.projects, creator=actor, create_time=time
                )
            case ServiceAccountDeleted():
                del self.accounts[event.name]

    def _rotate(self, event: TokenRotated, time: int) -> None:
        token = self.tokens[event.name]
        until = event.previous_until
        kept = (
            each if each.expire_time != NEVER and each.expire_time <= until else replace(each, expire_time=until)
            for each in token.secrets
        )
        fresh = Secret(event.id, bytes.fromhex(event.digest), time, event.expire_time)
        before = tuple(each for each in kept if each.counts(time))
        self.tokens[event.name] = replace(token, secrets=(*before, fresh))


def member_of(account: str) -> Member:
    """Return the member that a service account is."""
    return Member(MemberKind.SERVICE_ACCOUNT, account)


def token_member(name: str) -> Member:
    """Return the member that a token without a service account is."""
    return Member(MemberKind.TOKEN, name)
