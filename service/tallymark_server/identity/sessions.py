"""The sessions of browsers: opaque, ended by signing out or after some hours, and kept as hashes."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable

from tallymark_server.access.book import AccessBook
from tallymark_server.access.callers import Caller, Credentials
from tallymark_server.domain.access.token_text import parse_token
from tallymark_server.domain.errors import UnknownCaller
from tallymark_server.identity.identities import Identity, caller_of
from tallymark_server.identity.issuers import Issuers
from tallymark_server.storage.access import Session

MICROS_PER_HOUR = 3_600_000_000
# How long a session lasts, in hours.
HOURS = 8
PROBLEM = "the session has ended"


class Sessions:
    """Begins and ends sessions, and knows callers by them. `now` returns microseconds since 1970."""

    def __init__(self, book: AccessBook, issuers: Issuers, now: Callable[[], int]) -> None:
        self._book = book
        self._issuers = issuers
        self._now = now
        self._ended = 0

    @property
    def generation(self) -> int:
        """A number that changes when a session ends, and with what admins grant."""
        return self._ended + self._book.generation

    def recognizes(self, credentials: Credentials) -> bool:
        """Return whether a session is presented."""
        return credentials.session is not None

    async def caller(self, credentials: Credentials) -> Caller:
        """Return whose session it is. Raises UnknownCaller."""
        found = await self._book.store.session(_hash(credentials.session or ""), self._now())
        if found is None:
            raise UnknownCaller(PROBLEM)
        kept = json.loads(found.caller)
        if "token" in kept:
            return self._book.caller_of_secret(kept["token"])
        if kept["issuer"] not in self._issuers.by_name:
            raise UnknownCaller(PROBLEM)
        values = {claim: frozenset(each) for claim, each in kept["values"].items()}
        identity = Identity(kept["issuer"], kept["name"], values, found.expire_time)
        return caller_of(identity, self._issuers, self._book, found.expire_time)

    async def begin_for_token(self, token: str) -> str:
        """Begin a session of the caller with the token, and return its cookie. Raises UnknownCaller."""
        self._book.caller_of(token)
        known = parse_token(token)
        assert known is not None, "a token that is valid has a form"  # noqa: S101
        return await self._begin({"token": known.id})

    async def begin_for(self, identity: Identity) -> str:
        """Begin a session of somebody who has signed in at an issuer, and return its cookie."""
        values = {claim: sorted(each) for claim, each in sorted(identity.values.items())}
        return await self._begin({"issuer": identity.issuer, "name": identity.name, "values": values})

    async def end(self, cookie: str) -> None:
        """End the session of the cookie, if there is one."""
        await self._book.store.remove_session(_hash(cookie))
        self._ended += 1

    async def _begin(self, kept: dict[str, object]) -> str:
        # A new one for each sign-in: a session that somebody else has planted in the browser is never used.
        cookie, now = secrets.token_urlsafe(32), self._now()
        text = json.dumps(kept, sort_keys=True)
        await self._book.store.put_session(Session(_hash(cookie), text, now + HOURS * MICROS_PER_HOUR))
        return cookie


def _hash(cookie: str) -> bytes:
    """Return what is stored of a cookie. It has 32 random bytes, so a fast hash suffices."""
    return hashlib.sha256(cookie.encode("utf-8", "replace")).digest()
