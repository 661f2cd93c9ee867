"""Those to whom roles are granted: people, programs by their certificates, service accounts, and tokens themselves."""

from __future__ import annotations

import enum
from typing import NamedTuple

from tallymark_server.domain import naming
from tallymark_server.domain.errors import InvalidField


class MemberKind(enum.StrEnum):
    """The kinds of members. No two members of different kinds have the same name, since events name callers by it."""

    USER = "user"
    CERTIFICATE = "certificate"
    SERVICE_ACCOUNT = "service-account"
    TOKEN = "token"  # noqa: S105 - a kind of member, no secret


class Member(NamedTuple):
    """A member, written as `user:ann@example.com`, `service-account:ci` or `token:nightly`."""

    kind: MemberKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


def parse_member(text: str, field: str = "member") -> Member:
    """Return the member. Raises InvalidField if the text does not name one."""
    kind, colon, name = text.partition(":")
    if not colon or kind not in set(MemberKind):
        raise InvalidField(
            field, text, f"a member is written as KIND:NAME, with one of {', '.join(MemberKind)} as kind"
        )
    return Member(MemberKind(kind), naming.caller_name(name, field))
