"""`AsyncClient.access`: tokens, service accounts and grants, for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from tallymark.client.argument_checks import checked
from tallymark.client.calls import access as calls
from tallymark.client.calls.call import Call, Page
from tallymark.types.access import Caller, Grant, NewToken, ServiceAccount, Token
from tallymark.types.enums import Role

T = TypeVar("T")


class RunCall(Protocol):
    """`run_call` of the client."""

    async def __call__(self, call: Call[T]) -> T: ...


@checked
class AsyncAccess:
    """Tokens, service accounts and grants: who may do what in a service with access control.

    An admin of a project decides about that project, and an admin of all projects about everything.
    """

    def __init__(self, run_call: RunCall) -> None:
        self._run_call = run_call

    async def caller(self) -> Caller:
        """Return who calls, and what this caller may do."""
        return await self._run_call(calls.get_caller())

    async def create_token(
        self,
        name: str,
        *,
        role: Role | None = None,
        projects: Sequence[str] = (),
        service_account: str = "",
        expires: datetime | timedelta | None = None,
        never_expires: bool = False,
        speaks_for: bool = False,
    ) -> NewToken:
        """Create a token: of a service account, or one that has a role of its own.

        Args:
            name: Its name: 1 to 100 of the characters A-Z a-z 0-9 . _ -.
            role: The role that it has in each of the projects.
            projects: The projects; `*` means all.
            service_account: The service account whose roles it has, in place of a role and projects.
            expires: When it expires, or after which time; None for 90 days.
            never_expires: Let it count until it is revoked.
            speaks_for: Let its calls name somebody else for whom they are.

        Returns:
            The token with its text, which no later call returns.

        Raises:
            AccessExists: A token, a service account or another member has that name.
            PermissionDenied: The caller is no admin of all these projects.
        """
        call = calls.create_token(name, role, projects, service_account, expires, never_expires, speaks_for)
        return await self._run_call(call)

    def list_tokens(self) -> AsyncIterator[Token]:
        """Return the tokens that have a role in a project that the caller administers, page by page, by name."""
        return self._pages(calls.list_tokens)

    async def rotate_token(
        self, name: str, *, overlap: timedelta = timedelta(), expires: datetime | timedelta | None = None
    ) -> NewToken:
        """Give a token another text.

        Args:
            name: The token's name.
            overlap: How long the text before still counts, at most 30 days.
            expires: When the new text expires, or after which time; None for as long as the one before.

        Returns:
            The token with its new text, which no later call returns.

        Raises:
            AccessNotFound: There is no such token in the projects that the caller administers.
        """
        return await self._run_call(calls.rotate_token(name, overlap, expires))

    async def revoke_token(self, name: str) -> Token:
        """Revoke a token at once, with the roles that it has of its own.

        Args:
            name: The token's name.

        Raises:
            AccessNotFound: There is no such token in the projects that the caller administers.
            LastAdminToken: No other token of an admin of all projects counts.
        """
        return await self._run_call(calls.revoke_token(name))

    async def add_grant(self, member: str, role: Role, project: str) -> Grant:
        """Give a member a role in a project, in place of the one that it has there.

        Args:
            member: The member, such as `user:ann@example.com`; without a kind, the service account or the token of that
                name, else the user.
            role: The role.
            project: The project; `*` means all.

        Raises:
            PermissionDenied: The caller is no admin of the project.
        """
        return await self._run_call(calls.add_grant(member, role, project))

    def list_grants(self, member: str = "") -> AsyncIterator[Grant]:
        """Return the grants in projects that the caller administers, page by page, by member and project.

        Args:
            member: Return only those of this member.
        """
        return self._pages(lambda token: calls.list_grants(member, token))

    async def remove_grant(self, member: str, project: str) -> Grant:
        """Remove the role of a member in a project.

        Args:
            member: The member, as with `add_grant`.
            project: The project; `*` means the role in all projects.

        Raises:
            AccessNotFound: The member has no role there.
            LastAdminToken: No other token of an admin of all projects counts.
        """
        return await self._run_call(calls.remove_grant(member, project))

    async def create_service_account(
        self, name: str, *, projects: Sequence[str], role: Role | None = None
    ) -> ServiceAccount:
        """Create a service account, which can have roles in these projects alone.

        Args:
            name: Its name: 1 to 100 of the characters A-Z a-z 0-9 . _ -.
            projects: The projects that it is limited to; `*` means all.
            role: The role that it has in each of them; None for none at first.

        Raises:
            AccessExists: A service account, a token or another member has that name.
            PermissionDenied: The caller is no admin of all these projects.
        """
        return await self._run_call(calls.create_service_account(name, projects, role))

    def list_service_accounts(self) -> AsyncIterator[ServiceAccount]:
        """Return the service accounts of projects that the caller administers, page by page, by name."""
        return self._pages(calls.list_service_accounts)

    async def delete_service_account(self, name: str) -> ServiceAccount:
        """Delete a service account, with its tokens and grants.

        Args:
            name: The service account's name.

        Raises:
            AccessNotFound: There is no such service account in the projects that the caller administers.
            LastAdminToken: No other token of an admin of all projects counts.
        """
        return await self._run_call(calls.delete_service_account(name))

    async def _pages(self, page_of: Callable[[str], Call[Page[T]]]) -> AsyncIterator[T]:
        token = ""
        while True:
            page = await self._run_call(page_of(token))
            for item in page.items:
                yield item
            token = page.next_page_token
            if not token:
                return
