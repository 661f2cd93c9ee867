"""The caller of a method: what its headers present, and the name under which its changes are recorded."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import grpc.aio

from tallymark_server.access.callers import LOCAL, Caller, CallerKind, Credentials
from tallymark_server.access.door import Door
from tallymark_server.access.oversight import UNSEEN, Overseen
from tallymark_server.certificates import name_in
from tallymark_server.domain import naming
from tallymark_server.domain.errors import InvalidField, Unauthenticated, UnknownCaller
from tallymark_server.rpc.connections import address_of, close_connections

# What gRPC passes to a method.
GrpcContext = grpc.aio.ServicerContext[Any, Any]
# The headers of a call, with names in lower case.
Headers = Iterable[tuple[str, str | bytes]]
_ACTOR, _AUTHORIZATION = "tallymark-actor", "authorization"


class Call:
    """A call as handlers know it: who calls, its headers, the door that it came by, and its oversight.

    Raises CallerLimitExceeded.
    """

    __slots__ = ("caller", "door", "headers", "seen", "source")

    def __init__(
        self,
        caller: Caller,
        headers: Headers,
        door: Door,
        source: GrpcContext | Credentials,
        seen: Overseen = UNSEEN,
    ) -> None:
        """`source` is what the call presents, or what gRPC has of the call."""
        self.caller = caller
        self.headers = headers
        self.door = door
        self.source = source
        self.seen = seen
        seen.admit(caller.name)

    @property
    def credentials(self) -> Credentials:
        """What the call presents."""
        if isinstance(self.source, Credentials):
            return self.source
        return _presented(self.door, self.headers, self.source)


# The name that handlers have for it.
Context = Call


def call_at_once(door: Door, headers: Headers, context: GrpcContext, seen: Overseen = UNSEEN) -> Call | None:
    """Return the call if its caller is remembered, in about a microsecond; None otherwise.

    Raises CallerLimitExceeded.
    """
    if door.is_open:
        return Call(LOCAL, headers, door, context, seen)
    caller = None if door.certificates else door.remembered(_header(headers, _AUTHORIZATION))
    if caller is None:
        return None
    door.refusals.accept(context.peer())
    return Call(caller, headers, door, context, seen)


async def call_of(door: Door, headers: Headers, context: GrpcContext, seen: Overseen = UNSEEN) -> Call:
    """Return the call, with its caller. Raises UnknownCaller, when it is its turn, or CallerLimitExceeded."""
    key = None if door.certificates else _header(headers, _AUTHORIZATION)
    try:
        caller = await door.who(_presented(door, headers, context), key)
    except Unauthenticated:
        connection = context.peer()
        if not await door.refusals.turn(connection, address_of(connection)):
            await door.refusals.close(connection, close_connections)
        raise
    if not door.is_open:
        door.refusals.accept(context.peer())
    return Call(caller, headers, door, context, seen)


def _presented(door: Door, headers: Headers, context: GrpcContext) -> Credentials:
    return credentials_of(headers, context.peer(), _certificate(context) if door.certificates else ())


def credentials_of(headers: Headers, peer: str, certificate: tuple[str, ...] = ()) -> Credentials:
    """Return what a call presents in its headers. Raises UnknownCaller if that is no bearer token."""
    header = _header(headers, _AUTHORIZATION)
    return Credentials(None if header is None else bearer_in(header), None, certificate, peer)


def bearer_in(header: str) -> str:
    """Return the token in a header `authorization`. Raises UnknownCaller."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnknownCaller("the header authorization does not have the form `Bearer TOKEN`")
    return token.strip()


def _certificate(context: GrpcContext) -> tuple[str, ...]:
    """Return the name in the certificate of the caller, which gRPC has verified; none without one."""
    name = name_in(context.auth_context())
    return (name,) if name else ()


def actor_of(call: Call) -> str:
    """Return the name under which a change by this call is recorded.

    It is the caller's; the header `tallymark-actor` is heard only from callers that may speak for others, and then both
    are recorded. Without access control, the header alone is. Raises InvalidField.
    """
    caller = call.caller
    if not caller.speaks_for:
        return caller.name
    header = _header(call.headers, _ACTOR)
    if header is None:
        return caller.name
    named = _actor_named(header)
    return named if caller.kind is CallerKind.LOCAL else naming.on_behalf(caller.name, named, _ACTOR)


def _header(headers: Headers, name: str) -> str | None:
    for key, value in headers:
        if key == name:
            return value if isinstance(value, str) else value.decode("latin-1")
    return None


@lru_cache(maxsize=1024)
def _actor_named(header: str) -> str:
    try:
        if not header.isascii():
            raise UnicodeError
        name = unquote(header, errors="strict")
    except UnicodeError:
        raise InvalidField(
            _ACTOR, header, "it takes UTF-8 that is percent-encoded, as %C3%AB for ë and %20 for a space"
        ) from None
    return naming.plain_label(name, _ACTOR)
