"""Fixtures: an issuer whose keys the tests hold, and a verifier that trusts it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from identity.issuing import GRANTS, KEYS, URL, Sign, claims_of, now, write_keys
from joserfc import jwt
from joserfc.errors import SecurityWarning

from tallymark_server.identity.issuers import Issuers, parse_issuers
from tallymark_server.identity.tokens import Verifier


@pytest.fixture
def issuers(tmp_path: Path) -> Issuers:
    """An issuer whose keys are in a file, as Kubernetes may have it."""
    write_keys(tmp_path, *KEYS)
    table = {"name": "company", "url": URL, "audience": "tallymark", "keys-file": "keys.json"}
    return parse_issuers([table | {"client-id": "dashboard"}], GRANTS, tmp_path)


@pytest.fixture
def verifier(issuers: Issuers) -> Verifier:
    return Verifier(issuers, now)


@pytest.fixture
def sign() -> Sign:
    """Return a function that signs claims with a key of the issuer."""

    def signed(key: str = "rsa", alg: str = "RS256", **changed: Any) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # of the older name of Ed25519
            return jwt.encode({"alg": alg, "kid": key}, claims_of(**changed), KEYS[key], algorithms=[alg])

    return signed
