"""Convert tokens, service accounts, grants and callers to messages, and fields of requests about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from google.protobuf.duration_pb2 import Duration

from tallymark.v1 import access_pb2, role_pb2
from tallymark_server.access.book import AccessBook
from tallymark_server.access.callers import Caller
from tallymark_server.domain.access.commands import DAY, Admin
from tallymark_server.domain.access.state import NEVER, AccessState, ServiceAccount, Token
from tallymark_server.domain.access.views import Grant, grants_seen
from tallymark_server.domain.errors import InvalidField
from tallymark_server.domain.roles import ALL_PROJECTS, Role
from tallymark_server.rpc import names
from tallymark_server.rpc.commands.fields import micros
from tallymark_server.rpc.messages import timestamp

# How long a token counts if its creator says nothing else, in microseconds.
DEFAULT_LIFETIME = 90 * DAY


class ListRequest(Protocol):
    """A request for a page of a list."""

    page_size: int
    page_token: str


def caller(found: Caller, *, access_control: bool, limits: Mapping[str, float]) -> access_pb2.Caller:
    """Return the caller with its limits as a message."""
    return access_pb2.Caller(
        name=found.name,
        kind=found.kind.value,
        grants=_roles(found.grants),
        speaks_for=found.speaks_for,
        expire_time=None if found.expires is None else timestamp(found.expires),
        access_control=access_control,
        limits=limits,
    )


def token(book: AccessBook, found: Token, by: Admin) -> access_pb2.Token:
    """Return the token as the admin sees it."""
    day = book.last_use(found)
    return access_pb2.Token(
        name=found.name,
        id=found.secret.id,
        member=str(found.member),
        grants=map(grant, grants_seen(book.state, by, found.member)),
        creator=found.creator,
        create_time=timestamp(found.create_time),
        rotate_time=timestamp(found.secret.create_time),
        expire_time=None if found.secret.expire_time == NEVER else timestamp(found.secret.expire_time),
        last_use_time=None if day is None else timestamp(day * DAY),
        speaks_for=found.speaks_for,
    )


def account(state: AccessState, found: ServiceAccount, by: Admin) -> access_pb2.ServiceAccount:
    """Return the service account as the admin sees it."""
    return access_pb2.ServiceAccount(
        name=found.name,
        projects=[_of_project(project) for project in found.projects],
        grants=map(grant, grants_seen(state, by, found.member)),
        creator=found.creator,
        create_time=timestamp(found.create_time),
    )


def grant(found: Grant) -> access_pb2.Grant:
    """Return the grant as a message."""
    return access_pb2.Grant(member=str(found.member), project=_of_project(found.project), role=_number(found.role))


def role(number: role_pb2.Role.ValueType) -> Role:
    """Return the role. Raises InvalidField."""
    try:
        return Role(number)
    except ValueError:
        raise InvalidField("role", number or "", f"it is one of {', '.join(each.label for each in Role)}") from None


def role_or_none(number: role_pb2.Role.ValueType) -> Role | None:
    """Return the role, None if none is given. Raises InvalidField."""
    return None if number == role_pb2.ROLE_UNSPECIFIED else role(number)


def project(text: str, field: str) -> str:
    """Return the project's name, or ALL_PROJECTS. Raises InvalidField."""
    return ALL_PROJECTS if text == ALL_PROJECTS else names.project(text, field)


def projects(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the names of projects, or ALL_PROJECTS. Raises InvalidField."""
    return tuple(project(text, "projects") for text in texts)


def expire_time(request: access_pb2.CreateTokenRequest, now: int) -> int:
    """Return when the token expires, in microseconds since 1970. Raises InvalidField."""
    if not request.never_expires:
        return micros(request.expire_time, "expire_time") if request.HasField("expire_time") else now + DEFAULT_LIFETIME
    if request.HasField("expire_time"):
        raise InvalidField("never_expires", "true", "give a time, or that it never expires, and not both")
    return NEVER


def new_expire_time(request: access_pb2.RotateTokenRequest) -> int | None:
    """Return when the new text expires, None for as long as the one before. Raises InvalidField."""
    return micros(request.expire_time, "expire_time") if request.HasField("expire_time") else None


def micros_of(given: Duration) -> int:
    """Return the microseconds of a duration."""
    return given.seconds * 1_000_000 + given.nanos // 1000


def _roles(grants: Mapping[str, Role]) -> Iterable[access_pb2.Grant]:
    return [access_pb2.Grant(project=_of_project(name), role=_number(held)) for name, held in sorted(grants.items())]


def _of_project(name: str) -> str:
    return name if name == ALL_PROJECTS else names.of_project(name)


def _number(held: Role) -> Any:
    return int(held)
