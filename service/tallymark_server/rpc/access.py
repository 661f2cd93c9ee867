"""The methods about access: each turns a message into a command on the book of access, and the result into a message.

The permissions of the contract let every known caller pass; which projects an admin decides about, the commands check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from tallymark.v1 import access_pb2
from tallymark_server.access.book import AccessBook
from tallymark_server.access.first_token import draw_token
from tallymark_server.domain.access import views
from tallymark_server.domain.access.commands import (
    AddGrant,
    CreateServiceAccount,
    CreateToken,
    DeleteServiceAccount,
    RemoveGrant,
    RevokeToken,
    RotateToken,
)
from tallymark_server.page_tokens import make_token, page_size, parse_token
from tallymark_server.registry import Registry
from tallymark_server.rpc import access_messages as m
from tallymark_server.rpc.callers import Context

T = TypeVar("T")


class Access:
    """Tokens, service accounts and grants."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    @property
    def _book(self) -> AccessBook:
        """The book of access. Raises AccessControlOff."""
        return self._registry.access

    async def _read_book(self) -> AccessBook:
        """Return the book of access with what other servers have changed. Raises AccessControlOff and others."""
        book = self._book
        await book.refresh()
        return book

    async def GetCaller(self, request: access_pb2.GetCallerRequest, context: Context) -> access_pb2.Caller:
        caller = context.caller
        limits = context.door.oversight.limits_of(caller.name)
        return m.caller(caller, access_control=self._registry.has_access_control, limits=limits)

    async def CreateToken(
        self, request: access_pb2.CreateTokenRequest, context: Context
    ) -> access_pb2.CreateTokenResponse:
        book, text = self._book, draw_token()
        command = CreateToken(
            name=request.name,
            token=text,
            expire_time=m.expire_time(request, book.now()),
            account=request.service_account,
            role=m.role_or_none(request.role),
            projects=m.projects(request.projects),
            speaks_for=request.speaks_for,
        )
        await book.execute(command, context.caller)
        return access_pb2.CreateTokenResponse(token=self._token(request.name, context), text=text.text)

    async def ListTokens(
        self, request: access_pb2.ListTokensRequest, context: Context
    ) -> access_pb2.ListTokensResponse:
        book = await self._read_book()
        by = book.admin(context.caller)
        found = views.tokens_seen(book.state, by)
        tokens, token = _page("tokens", found, lambda each: (each.name,), request)
        return access_pb2.ListTokensResponse(tokens=[m.token(book, each, by) for each in tokens], next_page_token=token)

    async def RotateToken(
        self, request: access_pb2.RotateTokenRequest, context: Context
    ) -> access_pb2.RotateTokenResponse:
        text = draw_token()
        command = RotateToken(
            name=request.name,
            token=text,
            overlap=m.micros_of(request.overlap),
            expire_time=m.new_expire_time(request),
        )
        await self._book.execute(command, context.caller)
        return access_pb2.RotateTokenResponse(token=self._token(request.name, context), text=text.text)

    async def RevokeToken(self, request: access_pb2.RevokeTokenRequest, context: Context) -> access_pb2.Token:
        book = await self._read_book()
        by = book.admin(context.caller)
        found = book.state.tokens.get(request.name)
        before = None if found is None else m.token(book, found, by)
        await book.execute(RevokeToken(name=request.name), context.caller)
        return before or access_pb2.Token(name=request.name)

    async def AddGrant(self, request: access_pb2.AddGrantRequest, context: Context) -> access_pb2.Grant:
        book = await self._read_book()
        member = views.named_member(book.state, request.member)
        project, role = m.project(request.project, "project"), m.role(request.role)
        await book.execute(AddGrant(member=member, project=project, role=role), context.caller)
        return m.grant(views.Grant(member, project, role))

    async def ListGrants(
        self, request: access_pb2.ListGrantsRequest, context: Context
    ) -> access_pb2.ListGrantsResponse:
        book = await self._read_book()
        state, by = book.state, book.admin(context.caller)
        member = views.named_member(state, request.member) if request.member else None
        found = views.grants_seen(state, by, member)
        grants, token = _page(
            f"grants {request.member}",
            found,
            lambda each: (each.member.kind, each.member.name, each.project),
            request,
            parts=3,
        )
        return access_pb2.ListGrantsResponse(grants=map(m.grant, grants), next_page_token=token)

    async def RemoveGrant(self, request: access_pb2.RemoveGrantRequest, context: Context) -> access_pb2.Grant:
        book = await self._read_book()
        member = views.named_member(book.state, request.member)
        project = m.project(request.project, "project")
        role = book.state.roles(member).get(project)
        await book.execute(RemoveGrant(member=member, project=project), context.caller)
        return m.grant(views.Grant(member, project, role)) if role else access_pb2.Grant(member=str(member))

    async def CreateServiceAccount(
        self, request: access_pb2.CreateServiceAccountRequest, context: Context
    ) -> access_pb2.ServiceAccount:
        command = CreateServiceAccount(
            name=request.name, projects=m.projects(request.projects), role=m.role_or_none(request.role)
        )
        state = await self._book.execute(command, context.caller)
        return m.account(state, state.accounts[request.name], self._book.admin(context.caller))

    async def ListServiceAccounts(
        self, request: access_pb2.ListServiceAccountsRequest, context: Context
    ) -> access_pb2.ListServiceAccountsResponse:
        book = await self._read_book()
        state, by = book.state, book.admin(context.caller)
        accounts, token = _page("accounts", views.accounts_seen(state, by), lambda each: (each.name,), request)
        return access_pb2.ListServiceAccountsResponse(
            service_accounts=[m.account(state, each, by) for each in accounts], next_page_token=token
        )

    async def DeleteServiceAccount(
        self, request: access_pb2.DeleteServiceAccountRequest, context: Context
    ) -> access_pb2.ServiceAccount:
        book = await self._read_book()
        state, by = book.state, book.admin(context.caller)
        found = state.accounts.get(request.name)
        before = None if found is None else m.account(state, found, by)
        await book.execute(DeleteServiceAccount(name=request.name), context.caller)
        return before or access_pb2.ServiceAccount(name=request.name)

    def _token(self, name: str, context: Context) -> access_pb2.Token:
        book = self._book
        return m.token(book, book.state.tokens[name], book.admin(context.caller))


def _page(
    scope: str, items: Sequence[T], key: Callable[[T], tuple[str, ...]], request: m.ListRequest, *, parts: int = 1
) -> tuple[list[T], str]:
    """Return the page of items, which are sorted by the key of so many parts, and the next token, empty after the last.

    Raises InvalidPageToken.
    """
    left: Iterable[T] = items
    if request.page_token:
        _, after = parse_token(request.page_token, scope, (str,) * parts)
        left = (item for item in items if key(item) > after)
    found, limit = list(left), page_size(request.page_size)
    return found[:limit], make_token(scope, None, key(found[limit - 1])) if len(found) > limit else ""
