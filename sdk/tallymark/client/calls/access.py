"""Calls about tokens, service accounts and grants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from tallymark.client.calls.call import PAGE_SIZE, Call, Page, page
from tallymark.client.metadata_messages import time_of, time_to
from tallymark.types.access import Caller, Grant, NewToken, ServiceAccount, Token
from tallymark.types.enums import Role
from tallymark.v1 import access_pb2, role_pb2
from tallymark.v1.access_pb2_grpc import AccessStub

_NUMBERS = {role: role_pb2.Role.Value(f"ROLE_{role.name}") for role in Role}
_ROLES = {number: role for role, number in _NUMBERS.items()}


def get_caller() -> Call[Caller]:
    """GetCaller."""
    return Call(AccessStub, "GetCaller", access_pb2.GetCallerRequest(), _caller_of)


def create_token(
    name: str,
    role: Role | None,
    projects: Sequence[str],
    service_account: str,
    expires: datetime | timedelta | None,
    never_expires: bool,
    speaks_for: bool,
) -> Call[NewToken]:
    """CreateToken."""
    request = access_pb2.CreateTokenRequest(
        name=name,
        service_account=service_account,
        role=_number(role),
        projects=map(_resource, projects),
        expire_time=time_to(_moment(expires)),
        never_expires=never_expires,
        speaks_for=speaks_for,
    )
    return Call(AccessStub, "CreateToken", request, _new_token_of, writes=True)


def list_tokens(token: str) -> Call[Page[Token]]:
    """ListTokens, one page."""
    request = access_pb2.ListTokensRequest(page_size=PAGE_SIZE, page_token=token)
    return Call(AccessStub, "ListTokens", request, lambda reply: page(reply, reply.tokens, _token_of))


def rotate_token(name: str, overlap: timedelta, expires: datetime | timedelta | None) -> Call[NewToken]:
    """RotateToken."""
    span = Duration()
    span.FromTimedelta(overlap)
    request = access_pb2.RotateTokenRequest(name=name, overlap=span, expire_time=time_to(_moment(expires)))
    return Call(AccessStub, "RotateToken", request, _new_token_of, writes=True)


def revoke_token(name: str) -> Call[Token]:
    """RevokeToken."""
    return Call(AccessStub, "RevokeToken", access_pb2.RevokeTokenRequest(name=name), _token_of, writes=True)


def add_grant(member: str, role: Role, project: str) -> Call[Grant]:
    """AddGrant."""
    request = access_pb2.AddGrantRequest(member=member, project=_resource(project), role=_number(role))
    return Call(AccessStub, "AddGrant", request, _grant_of, writes=True)


def list_grants(member: str, token: str) -> Call[Page[Grant]]:
    """ListGrants, one page."""
    request = access_pb2.ListGrantsRequest(member=member, page_size=PAGE_SIZE, page_token=token)
    return Call(AccessStub, "ListGrants", request, lambda reply: page(reply, reply.grants, _grant_of))


def remove_grant(member: str, project: str) -> Call[Grant]:
    """RemoveGrant."""
    request = access_pb2.RemoveGrantRequest(member=member, project=_resource(project))
    return Call(AccessStub, "RemoveGrant", request, _grant_of, writes=True)


def create_service_account(name: str, projects: Sequence[str], role: Role | None) -> Call[ServiceAccount]:
    """CreateServiceAccount."""
    request = access_pb2.CreateServiceAccountRequest(name=name, projects=map(_resource, projects), role=_number(role))
    return Call(AccessStub, "CreateServiceAccount", request, _account_of, writes=True)


def list_service_accounts(token: str) -> Call[Page[ServiceAccount]]:
    """ListServiceAccounts, one page."""
    request = access_pb2.ListServiceAccountsRequest(page_size=PAGE_SIZE, page_token=token)
    return Call(
        AccessStub, "ListServiceAccounts", request, lambda reply: page(reply, reply.service_accounts, _account_of)
    )


def delete_service_account(name: str) -> Call[ServiceAccount]:
    """DeleteServiceAccount."""
    request = access_pb2.DeleteServiceAccountRequest(name=name)
    return Call(AccessStub, "DeleteServiceAccount", request, _account_of, writes=True)


def _moment(expires: datetime | timedelta | None) -> datetime | None:
    return datetime.now(UTC) + expires if isinstance(expires, timedelta) else expires


def _number(role: Role | None) -> Any:
    return role_pb2.ROLE_UNSPECIFIED if role is None else _NUMBERS[role]


def _resource(project: str) -> str:
    return project if project == "*" else f"projects/{project}"


def _project(resource: str) -> str:
    return resource.removeprefix("projects/")


def _roles_of(grants: Iterable[access_pb2.Grant]) -> dict[str, Role]:
    return {_project(grant.project): _ROLES[grant.role] for grant in grants}


def _caller_of(message: access_pb2.Caller) -> Caller:
    return Caller(
        name=message.name,
        kind=message.kind,
        roles=_roles_of(message.grants),
        speaks_for=message.speaks_for,
        expire_time=time_of(message.expire_time) if message.HasField("expire_time") else None,
        access_control=message.access_control,
        limits=dict(message.limits),
    )


def _grant_of(message: access_pb2.Grant) -> Grant:
    return Grant(member=message.member, project=_project(message.project), role=_ROLES[message.role])


def _token_of(message: access_pb2.Token) -> Token:
    return Token(
        name=message.name,
        id=message.id,
        member=message.member,
        roles=_roles_of(message.grants),
        creator=message.creator,
        create_time=time_of(message.create_time),
        rotate_time=time_of(message.rotate_time),
        expire_time=time_of(message.expire_time) if message.HasField("expire_time") else None,
        last_use_time=time_of(message.last_use_time) if message.HasField("last_use_time") else None,
        speaks_for=message.speaks_for,
    )


def _new_token_of(message: access_pb2.CreateTokenResponse | access_pb2.RotateTokenResponse) -> NewToken:
    return NewToken(token=_token_of(message.token), text=message.text)


def _account_of(message: access_pb2.ServiceAccount) -> ServiceAccount:
    return ServiceAccount(
        name=message.name,
        projects=tuple(map(_project, message.projects)),
        roles=_roles_of(message.grants),
        creator=message.creator,
        create_time=time_of(message.create_time),
    )
