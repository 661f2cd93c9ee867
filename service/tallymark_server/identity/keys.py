"""The keys of an issuer: from its metadata, or from a file. They are kept, and fetched again for an unknown key."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from typing import Any

import httpx2
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from tallymark_server.identity.issuers import Issuer

# The seconds that a request to a provider may take, the most bytes of its answer, the seconds after which keys are
# fetched again, and the fewest between two fetches: tokens with keys that do not exist must not flood the provider.
TIMEOUT = 10.0
MAX_BYTES = 1024 * 1024
MAX_AGE = 3600.0
MIN_INTERVAL = 30.0

_log = structlog.get_logger()


class ProviderError(Exception):
    """A provider does not answer, or not as its standard says. The message says how."""


def client_of(issuer: Issuer) -> dict[str, Any]:
    """Return the settings of clients of HTTP that call the provider: what they trust, and for how long they wait."""
    # The certificates that the machine trusts, where administrators add their own.
    context = ssl.create_default_context(cafile=None if issuer.ca is None else str(issuer.ca))
    return {"verify": context, "timeout": TIMEOUT, "follow_redirects": False, "trust_env": True}


class Keys:
    """The keys and the metadata of an issuer."""

    def __init__(self, issuer: Issuer, *, min_interval: float = MIN_INTERVAL) -> None:
        self._issuer = issuer
        self._min_interval = min_interval
        self._keys = KeySet([])
        self._metadata: Mapping[str, Any] = {}
        self._fetched = self._tried = -float("inf")
        self._fetching = asyncio.Lock()

    async def of(self, key_id: str | None) -> KeySet:
        """Return the keys, fetched again if they are old, or if none has this id.

        Without an id, the issuer may have one key only. Raises ProviderError if there are none at all.
        """
        now = asyncio.get_running_loop().time
        if not self._has(key_id) or now() > self._fetched + MAX_AGE:
            async with self._fetching:
                if (not self._has(key_id) or now() > self._fetched + MAX_AGE) and (
                    now() >= self._tried + self._min_interval
                ):
                    self._tried = now()
                    await self._fetch()
        if not self._keys.keys:
            raise ProviderError(f"the keys of the issuer {self._issuer.name} are not known yet")
        return self._keys

    async def metadata(self) -> Mapping[str, Any]:
        """Return the provider's metadata. Raises ProviderError."""
        if not self._metadata:
            self._metadata = await self._fetched_metadata()
        return self._metadata

    def _has(self, key_id: str | None) -> bool:
        keys = self._keys.keys
        return len(keys) == 1 if key_id is None else any(key.kid == key_id for key in keys)

    async def _fetch(self) -> None:
        """Fetch the keys. If that fails, those that are known stay."""
        try:
            self._keys = _key_set(await self._fetched_keys())
            self._fetched = asyncio.get_running_loop().time()
        except ProviderError as error:
            _log.warning("cannot fetch the keys of an issuer", issuer=self._issuer.name, problem=str(error))

    async def _fetched_keys(self) -> Any:
        if self._issuer.keys_file is not None:
            try:
                return json.loads(await asyncio.to_thread(self._issuer.keys_file.read_bytes))
            except (OSError, ValueError) as error:
                raise ProviderError(f"cannot read {self._issuer.keys_file}: {error}") from None
        metadata = await self._fetched_metadata()
        self._metadata = metadata
        return await self._get(str(metadata.get("jwks_uri", "")))

    async def _fetched_metadata(self) -> Mapping[str, Any]:
        url = f"{self._issuer.url.rstrip('/')}/.well-known/openid-configuration"
        found = await self._get(url)
        if not isinstance(found, dict) or found.get("issuer") != self._issuer.url:
            raise ProviderError(f"{url} is not the metadata of the issuer {self._issuer.url}")
        return found

    async def _get(self, url: str) -> Any:
        try:
            async with (
                httpx2.AsyncClient(**client_of(self._issuer)) as client,
                client.stream("GET", url) as answer,
            ):
                answer.raise_for_status()
                body = bytearray()
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > MAX_BYTES:
                        raise ProviderError(f"{url} answers with more than {MAX_BYTES:,} bytes")
                return json.loads(body)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise ProviderError(f"{url}: {type(error).__name__} {error}") from None


def _key_set(found: Any) -> KeySet:
    """Return the keys for signatures. Raises ProviderError."""
    try:
        keys = [key for key in found["keys"] if key.get("use", "sig") == "sig"]
        # A symmetric key in public metadata would be known to everybody.
        return KeySet([key for each in keys if each.get("kty") in ("RSA", "EC", "OKP") for key in _imported(each)])
    except (JoseError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ProviderError(f"its keys are no key set: {error}") from None


def _imported(found: Any) -> list[Key]:
    """Return the key, or none if it is of a kind that is not known here, as RFC 7517 says in section 5."""
    try:
        return [JWKRegistry.import_key(found)]
    except (JoseError, KeyError, TypeError, ValueError) as error:
        _log.warning("ignored a key of an issuer", kid=found.get("kid"), problem=f"{type(error).__name__}: {error}")
        return []
