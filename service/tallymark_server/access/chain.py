"""The authenticator of a server: picks by what a call presents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tallymark_server.access.book import PROBLEM, AccessBook
from tallymark_server.access.callers import Caller, Credentials
from tallymark_server.domain.access.token_text import PREFIX
from tallymark_server.domain.errors import UnknownCaller


class Recognizer(Protocol):
    """Knows callers by one kind of credentials."""

    @property
    def generation(self) -> int:
        """A number that changes whenever an answer may have changed."""
        ...

    def recognizes(self, credentials: Credentials) -> bool:
        """Return whether the credentials are of its kind, valid or not."""
        ...

    async def caller(self, credentials: Credentials) -> Caller:
        """Return who presents them. Raises UnknownCaller."""
        ...


class Tokens:
    """Knows callers by tokens of this registry."""

    def __init__(self, book: AccessBook) -> None:
        self._book = book

    @property
    def generation(self) -> int:
        """That of the book."""
        return self._book.generation

    def recognizes(self, credentials: Credentials) -> bool:
        """Return whether a token of Tallymark is presented."""
        return credentials.bearer is not None and credentials.bearer.startswith(PREFIX)

    async def caller(self, credentials: Credentials) -> Caller:
        """Return whose token it is. Raises UnknownCaller."""
        return self._book.caller_of(credentials.bearer or "")


class Chain:
    """The recognizers of a server, in order: the first that recognizes what is presented decides."""

    def __init__(self, recognizers: Sequence[Recognizer]) -> None:
        self._recognizers = tuple(recognizers)

    @property
    def generation(self) -> int:
        """A number that changes with any of them."""
        return sum(each.generation for each in self._recognizers)

    async def caller(self, credentials: Credentials) -> Caller:
        """Return who presents the credentials. Raises UnknownCaller."""
        for each in self._recognizers:
            if each.recognizes(credentials):
                return await each.caller(credentials)
        if credentials.bearer is not None or credentials.session is not None:
            raise UnknownCaller(PROBLEM)
        raise UnknownCaller
