"""The present state of access in memory, over its store.

A check looks up a dict, so it costs microseconds. The log is read again every second, so that what another process has
revoked counts within seconds.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import structlog

from tallymark_server.access.callers import Caller, CallerKind
from tallymark_server.domain.access.commands import AccessCommand, Admin, decide
from tallymark_server.domain.access.members import Member, MemberKind
from tallymark_server.domain.access.state import NEVER, AccessState, Secret, Token
from tallymark_server.domain.access.token_text import parse_token
from tallymark_server.domain.errors import DataDamaged, RegistryError, StorageUnavailable, UnknownCaller
from tallymark_server.storage.access import AccessStore, Entry, RevisionTakenError, entries_of, folded

# How often the log is read, in seconds, and after how many readings the uses of tokens are stored.
READ_EVERY = 1.0
STORE_USES_EVERY = 60
MICROS_PER_DAY = 86_400_000_000
# The most refused tokens that are logged between two such times: whoever guesses must not fill the disk.
MAX_LOGGED = 100
# The most attempts at a change while other processes change the log.
MAX_ATTEMPTS = 20
# The one answer to every token that does not count, so that nobody learns from it which tokens exist.
PROBLEM = "the token of the call is not valid here: it is unknown, expired or revoked"

_KINDS = {
    MemberKind.USER: CallerKind.USER,
    MemberKind.CERTIFICATE: CallerKind.CERTIFICATE,
    MemberKind.SERVICE_ACCOUNT: CallerKind.SERVICE_ACCOUNT,
    MemberKind.TOKEN: CallerKind.TOKEN,
}
_NO_DIGEST = bytes(32)
_log = structlog.get_logger()


class _Known(NamedTuple):
    """A secret that may be presented, and whose calls are made with it."""

    secret: Secret
    caller: Caller


class AccessBook:
    """Knows tokens, service accounts and grants. `now` returns microseconds since 1970."""

    def __init__(self, store: AccessStore, now: Callable[[], int]) -> None:
        self._store = store
        self.now = now
        self._state = AccessState()
        self._last: Entry | None = None
        self._known: dict[str, _Known] = {}
        self._uses: dict[str, int] = {}
        self._stored_uses: dict[str, int] = {}
        self._logged: set[tuple[str, str]] = set()
        self._reading = asyncio.Lock()
        self._failed = False
        self.generation = 0

    @property
    def state(self) -> AccessState:
        """The present state, which is replaced and never changed."""
        return self._state

    @property
    def store(self) -> AccessStore:
        """The store, for sessions."""
        return self._store

    async def start(self) -> None:
        """Read the log. Raises DataDamaged or StorageUnavailable."""
        await self.refresh()
        self._stored_uses = await self._store.last_uses()

    async def serve(self) -> None:
        """Read the log every second, and store the uses of tokens from time to time, until cancelled."""
        while True:
            for _ in range(STORE_USES_EVERY):
                await asyncio.sleep(READ_EVERY)
                await self._refresh_if_possible()
            self._logged.clear()
            with suppress(StorageUnavailable):
                await self.store_uses()

    async def refresh(self) -> None:
        """Read what was appended to the log. Raises DataDamaged or StorageUnavailable."""
        async with self._reading:
            await self._read()

    async def execute(self, command: AccessCommand, caller: Caller) -> AccessState:
        """Execute the command of the caller, and return the state after it. Raises a RegistryError."""
        async with self._reading:
            for _ in range(MAX_ATTEMPTS):
                await self._read()
                now = self.now()
                events, _ = decide(command, self._state, self.admin(caller), now)
                entries = list(entries_of(self._store.log_id, self._last, events, caller.name, now))
                if entries:
                    try:
                        await self._store.append(self._state.revision, entries)
                    except RevisionTakenError:
                        continue
                    self._take(entries)
                return self._state
        raise StorageUnavailable("other processes change the log of access all the time")

    def admin(self, caller: Caller) -> Admin:
        """Return what the caller may decide about now: what was granted before may be removed meanwhile."""
        known_here = caller.kind in (CallerKind.TOKEN, CallerKind.SERVICE_ACCOUNT)
        member = member_of_caller(caller) if known_here else None
        return Admin(caller.name, caller.grants if member is None else self._state.roles(member))

    def caller_of(self, text: str) -> Caller:
        """Return whose token this is. Raises UnknownCaller, with the same message whatever is wrong."""
        token = parse_token(text)
        known = None if token is None else self._known.get(token.id)
        digest = _NO_DIGEST if token is None else token.digest
        # As long for a token that is unknown as for one whose secret is wrong.
        is_right = hmac.compare_digest(digest, _NO_DIGEST if known is None else known.secret.digest)
        if token is None:
            raise self._refused("malformed", "")
        if known is None or not is_right:
            raise self._refused("unknown" if known is None else "wrong secret", token.id)
        return self.caller_of_secret(token.id)

    def caller_of_secret(self, token_id: str) -> Caller:
        """Return whose token has the public id, which was checked before. Raises UnknownCaller."""
        known = self._known.get(token_id)
        if known is None:
            raise self._refused("unknown", token_id)
        now = self.now()
        if not known.secret.counts(now):
            raise self._refused("expired", token_id)
        self._uses[token_id] = now // MICROS_PER_DAY
        return known.caller

    async def store_uses(self) -> None:
        """Store on which day tokens were last used, where that has changed. Raises StorageUnavailable."""
        uses = {each: day for each, day in self._uses.items() if day != self._stored_uses.get(each)}
        if uses:
            await self._store.note_uses(uses)
            self._stored_uses |= uses

    def last_use(self, token: Token) -> int | None:
        """Return the day on which the token was last used, in days since 1970, None if it never was."""
        days = (uses.get(secret.id) for secret in token.secrets for uses in (self._uses, self._stored_uses))
        return max((day for day in days if day is not None), default=None)

    async def _refresh_if_possible(self) -> None:
        try:
            await self.refresh()
        except (StorageUnavailable, DataDamaged) as error:
            # What is known still counts: a full disk must not lock everybody out.
            if not self._failed:
                _log.error("cannot read the log of access, so what others revoke does not count", problem=str(error))
            self._failed = True
        else:
            self._failed = False

    async def _read(self) -> None:
        entries = await self._store.read(self._state.revision)
        if entries:
            self._take(entries)

    def _take(self, entries: list[Entry]) -> None:
        state = self._state.copy()
        last = folded(state, self._store.log_id, self._last, entries)
        self._state, self._last = state, last
        self._known = {
            secret.id: _Known(secret, _caller(state, token, secret))
            for token in state.tokens.values()
            for secret in token.secrets
        }
        self.generation += 1

    def _refused(self, why: str, token_id: str) -> RegistryError:
        if len(self._logged) < MAX_LOGGED and (why, token_id) not in self._logged:
            self._logged.add((why, token_id))
            _log.warning("refused a token", why=why, token=token_id)
        return UnknownCaller(PROBLEM)


def _caller(state: AccessState, token: Token, secret: Secret) -> Caller:
    return Caller(
        name=token.member.name,
        kind=_KINDS[token.member.kind],
        grants=dict(state.roles(token.member)),
        speaks_for=token.speaks_for,
        expires=None if secret.expire_time == NEVER else secret.expire_time,
    )


def member_of_caller(caller: Caller) -> Member | None:
    """Return the member that the caller is; None for one without grants of its own."""
    kinds = {kind: member for member, kind in _KINDS.items()}
    return Member(kinds[caller.kind], caller.name) if caller.kind in kinds else None
