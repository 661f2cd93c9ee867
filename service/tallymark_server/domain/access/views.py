"""What an admin sees of the state: what has a role in a project that the admin decides about."""

from __future__ import annotations

from typing import NamedTuple

from tallymark_server.domain.access.commands import Admin, projects_of, sees
from tallymark_server.domain.access.members import Member, MemberKind, parse_member
from tallymark_server.domain.access.state import AccessState, ServiceAccount, Token
from tallymark_server.domain.roles import Role


class Grant(NamedTuple):
    """A role of a member in a project, or in all."""

    member: Member
    project: str
    role: Role


def tokens_seen(state: AccessState, by: Admin) -> list[Token]:
    """Return the tokens that the admin sees, by name."""
    return [token for _, token in sorted(state.tokens.items()) if sees(by, projects_of(state, token))]


def accounts_seen(state: AccessState, by: Admin) -> list[ServiceAccount]:
    """Return the service accounts that the admin sees, by name."""
    return [account for _, account in sorted(state.accounts.items()) if sees(by, account.projects)]


def grants_seen(state: AccessState, by: Admin, member: Member | None = None) -> list[Grant]:
    """Return the grants that the admin sees, of one member if it is named, by member and project."""
    members = sorted(state.grants) if member is None else [member]
    return [
        Grant(each, project, role)
        for each in members
        for project, role in sorted(state.roles(each).items())
        if by.administers(project)
    ]


def named_member(state: AccessState, text: str, field: str = "member") -> Member:
    """Return the member of that text; without a kind, the service account or token of that name, else the user.

    Raises InvalidField.
    """
    if ":" in text and text.partition(":")[0] in set(MemberKind):
        return parse_member(text, field)
    kind = MemberKind.USER
    if text in state.accounts:
        kind = MemberKind.SERVICE_ACCOUNT
    elif text in state.tokens:
        return state.tokens[text].member
    return parse_member(f"{kind}:{text}", field)
