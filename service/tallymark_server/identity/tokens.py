"""Tokens that issuers sign (JWT): verified, and callers known by them."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning

from tallymark_server.access.book import AccessBook
from tallymark_server.access.callers import Caller, Credentials
from tallymark_server.domain import naming
from tallymark_server.domain.errors import InvalidField, UnknownCaller
from tallymark_server.identity.identities import Identity, caller_of
from tallymark_server.identity.issuers import Issuer, Issuers
from tallymark_server.identity.keys import Keys, ProviderError

# The algorithms of signatures that are accepted: not none, and none with a shared secret, since an attacker could take
# the public key as one. EdDSA is the older name of Ed25519, which providers still use.
ALGORITHMS = ["RS256", "ES256", "EdDSA", "Ed25519"]
# How much the clocks of an issuer and of this machine may differ, in seconds.
LEEWAY = 60
MICROS = 1_000_000
# The last second of the year 9999, after which there are no timestamps.
END_OF_TIME = 253_402_300_799
# The most characters of a token that is read.
MAX_TOKEN = 12_000
# How many causes of refusals are logged.
MAX_NOTED = 100

PROBLEM = "the token of the call is not valid here: it is not from an issuer that this server trusts, or has expired"
_log = structlog.get_logger()


class InvalidTokenError(Exception):
    """A token is not valid. The message says why, for the log."""


class Verifier:
    """Verifies the tokens of all issuers. `now` returns microseconds since 1970."""

    def __init__(self, issuers: Issuers, now: Callable[[], int], keys: Mapping[str, Keys] | None = None) -> None:
        self.issuers = issuers
        self.keys = keys or {issuer.name: Keys(issuer) for issuer in issuers}
        self._now = now

    async def bearer(self, text: str) -> Identity:
        """Return whom a token for this registry is about. Raises InvalidTokenError."""
        issuer = self._issuer_of(text)
        if not issuer.audience:
            raise InvalidTokenError(f"programs cannot use tokens of {issuer.name}, which has no audience")
        claims = await self._claims(text, issuer, aud={"essential": True, "values": list(issuer.audience)})
        return self.identity(issuer, claims)

    async def sign_in(self, text: str, issuer: Issuer, nonce: str) -> Identity:
        """Return who has signed in. Raises InvalidTokenError."""
        audience = {"essential": True, "value": issuer.client_id}
        claims = await self._claims(text, issuer, aud=audience, nonce={"essential": True, "value": nonce})
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", issuer.client_id) != issuer.client_id or (several and "azp" not in claims):
            raise InvalidTokenError("it was issued to another client")
        return self.identity(issuer, claims)

    def identity(self, issuer: Issuer, claims: Mapping[str, Any]) -> Identity:
        """Return whom verified claims are about. Raises InvalidTokenError."""
        name = claims.get(issuer.name_claim)
        if not isinstance(name, str) or not name:
            raise InvalidTokenError(f"it has no claim {issuer.name_claim}")
        # Many providers let people enter any address.
        if issuer.name_claim == "email" and claims.get("email_verified") is not True:
            raise InvalidTokenError("the provider has not verified the address in its claim email")
        try:
            name = naming.caller_name(issuer.prefix + name, "name")
        except InvalidField as error:
            raise InvalidTokenError(str(error)) from None
        # Tokens that are valid for ever have an end that no timestamp has.
        expires = min(int(claims["exp"]), END_OF_TIME)
        return Identity(issuer.name, name, self.issuers.relevant(issuer, claims), expires * MICROS)

    def _issuer_of(self, text: str) -> Issuer:
        """Return the issuer that a token names. It is not verified yet."""
        if len(text) > MAX_TOKEN:
            raise InvalidTokenError("it is too long")
        issuer = self.issuers.of(str(_part(text, 1).get("iss")))
        if issuer is None:
            raise InvalidTokenError("its issuer is not trusted")
        return issuer

    async def _claims(self, text: str, issuer: Issuer, **required: Any) -> Mapping[str, Any]:
        key_id = _part(text, 0).get("kid")
        if key_id is not None and not isinstance(key_id, str):
            raise InvalidTokenError("its key has no name")
        try:
            keys = await self.keys[issuer.name].of(key_id)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SecurityWarning)  # of the older name
                token = jwt.decode(text, keys, algorithms=ALGORITHMS)
            registry = jwt.JWTClaimsRegistry(
                now=self._now() // MICROS,
                leeway=LEEWAY,
                iss={"essential": True, "value": issuer.url},
                exp={"essential": True},
                **required,
            )
            registry.validate(token.claims)
        except (JoseError, ProviderError, ValueError, TypeError, KeyError) as error:
            raise InvalidTokenError(f"{type(error).__name__}: {error}") from None
        return token.claims


def _part(text: str, number: int) -> Mapping[str, Any]:
    """Return the header or the claims of a token, which are not verified. Raises InvalidTokenError."""
    try:
        part = text.split(".")[number]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError, RecursionError):
        raise InvalidTokenError("it is no token of an issuer") from None
    if not isinstance(found, dict):
        raise InvalidTokenError("it is no token of an issuer")
    return found


class IssuedTokens:
    """Knows callers by tokens of issuers."""

    def __init__(self, verifier: Verifier, book: AccessBook | None) -> None:
        self._verifier = verifier
        self._book = book
        self._noted: set[str] = set()

    @property
    def generation(self) -> int:
        """That of what admins grant; tokens themselves only expire."""
        return 0 if self._book is None else self._book.generation

    def recognizes(self, credentials: Credentials) -> bool:
        """Return whether a token of an issuer is presented: it has three parts."""
        return credentials.bearer is not None and credentials.bearer.count(".") == 2

    async def caller(self, credentials: Credentials) -> Caller:
        """Return whom the token is about. Raises UnknownCaller."""
        try:
            identity = await self._verifier.bearer(credentials.bearer or "")
        except InvalidTokenError as error:
            self._note(str(error), credentials.peer)
            raise UnknownCaller(PROBLEM) from None
        return caller_of(identity, self._verifier.issuers, self._book, identity.expires)

    def _note(self, why: str, peer: str) -> None:
        """Log why a token is refused, each cause once, since anybody may present any number of them."""
        if len(self._noted) < MAX_NOTED and why not in self._noted:
            self._noted.add(why)
            _log.warning("refused a token of an issuer", why=why, peer=peer)
