"""The sign-in of people at an issuer: the code flow of OpenID Connect, with PKCE."""

from __future__ import annotations

import hmac
import secrets
from typing import NamedTuple

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from tallymark_server.identity.identities import Identity
from tallymark_server.identity.issuers import Issuer
from tallymark_server.identity.keys import ProviderError, client_of
from tallymark_server.identity.tokens import InvalidTokenError, Verifier


class SignInError(Exception):
    """Somebody could not be signed in. The message says why, and what to do next."""


class Attempt(NamedTuple):
    """What the browser keeps between the two halves of a sign-in: it proves that both are of the same browser."""

    state: str
    nonce: str
    verifier: str
    then: str


class Provider:
    """Signs people in at an issuer."""

    def __init__(self, issuer: Issuer, verifier: Verifier) -> None:
        self.issuer = issuer
        self._verifier = verifier

    async def begin(self, callback: str, then: str) -> tuple[str, Attempt]:
        """Return where the browser goes to sign in, and what it keeps. `then` is the page to show afterwards.

        Raises SignInError.
        """
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        attempt = Attempt(state, nonce, verifier, then)
        client = await self._client(callback)
        url, _ = client.create_authorization_url(
            await self._endpoint("authorization_endpoint"),
            state=attempt.state,
            nonce=attempt.nonce,
            code_verifier=attempt.verifier,
        )
        return str(url), attempt

    async def finish(self, callback: str, attempt: Attempt, state: str, code: str) -> Identity:
        """Return who has signed in. Raises SignInError."""
        if not hmac.compare_digest(state.encode(), attempt.state.encode()):
            raise SignInError("this sign-in was begun by another browser, or twice; sign in again")
        try:
            async with await self._client(callback) as client:
                token = await client.fetch_token(
                    await self._endpoint("token_endpoint"), code=code, code_verifier=attempt.verifier
                )
            return await self._verifier.sign_in(str(token.get("id_token", "")), self.issuer, attempt.nonce)
        except (OAuthError, httpx2.HTTPError, ValueError) as error:
            raise SignInError(f"{self.issuer.shown} does not confirm this sign-in ({error}); sign in again") from None
        except InvalidTokenError as error:
            raise SignInError(f"{self.issuer.shown} has confirmed somebody who cannot be let in: {error}") from None

    async def _client(self, callback: str) -> AsyncOAuth2Client:
        issuer, secret = self.issuer, None
        if issuer.client_secret_file is not None:
            try:
                secret = issuer.client_secret_file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SignInError(f"cannot read {issuer.client_secret_file}: {error}") from None
        return AsyncOAuth2Client(
            issuer.client_id,
            secret,
            scope=issuer.scope,
            redirect_uri=callback,
            code_challenge_method="S256",
            **client_of(issuer),
        )

    async def _endpoint(self, name: str) -> str:
        try:
            found = (await self._verifier.keys[self.issuer.name].metadata()).get(name)
        except ProviderError as error:
            raise SignInError(f"{self.issuer.shown} does not answer ({error}); try again later") from None
        if not isinstance(found, str):
            raise SignInError(f"{self.issuer.shown} has no {name.replace('_', ' ')}, so nobody can sign in there")
        return found
