"""Callers known by the verified certificates of their connections."""

from __future__ import annotations

from tallymark_server.access.book import AccessBook
from tallymark_server.access.callers import Caller, CallerKind, Credentials
from tallymark_server.domain import naming
from tallymark_server.domain.access.members import Member, MemberKind
from tallymark_server.domain.errors import InvalidField, UnknownCaller
from tallymark_server.domain.roles import ALL_PROJECTS, Role


class Certificates:
    """Knows callers by the first name in their certificate.

    Without a book of grants, whoever has a certificate may do everything: the authority decides who has one.
    """

    def __init__(self, book: AccessBook | None) -> None:
        self._book = book

    @property
    def generation(self) -> int:
        """That of what admins grant."""
        return 0 if self._book is None else self._book.generation

    def recognizes(self, credentials: Credentials) -> bool:
        """Return whether the connection has a certificate."""
        return bool(credentials.certificate)

    async def caller(self, credentials: Credentials) -> Caller:
        """Return whose certificate it is. Raises UnknownCaller."""
        try:
            name = naming.caller_name(credentials.certificate[0], "certificate")
        except InvalidField:
            raise UnknownCaller("the certificate of the connection has no name that can be recorded") from None
        if self._book is None:
            grants = {ALL_PROJECTS: Role.ADMIN}
        else:
            grants = dict(self._book.state.roles(Member(MemberKind.CERTIFICATE, name)))
        return Caller(name=name, kind=CallerKind.CERTIFICATE, grants=grants)
