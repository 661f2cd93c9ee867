"""Only tokens count that a trusted issuer has signed, for this registry, and for now."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from identity.issuing import KEYS, Sign, claims_of, now, write_keys
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from tallymark_server.access.callers import Caller, CallerKind, Credentials
from tallymark_server.domain.errors import UnknownCaller
from tallymark_server.domain.roles import Role
from tallymark_server.identity.issuers import Issuers, parse_issuers
from tallymark_server.identity.keys import Keys
from tallymark_server.identity.tokens import IssuedTokens, Verifier


async def who(verifier: Verifier, token: str) -> Caller:
    tokens = IssuedTokens(verifier, None)
    credentials = Credentials(bearer=token)
    assert tokens.recognizes(credentials)
    return await tokens.caller(credentials)


async def refused(verifier: Verifier, token: str) -> None:
    """Check that the token is refused, with a message that quotes nothing of it."""
    with pytest.raises(UnknownCaller) as caught:
        await who(verifier, token)
    assert token not in str(caught.value)
    assert "ann" not in str(caught.value)


@pytest.mark.parametrize(("key", "alg"), [("rsa", "RS256"), ("ec", "ES256"), ("ed", "EdDSA"), ("ed", "Ed25519")])
async def test_a_signed_token_names_its_caller(verifier: Verifier, sign: Sign, key: str, alg: str) -> None:
    """Its name, its roles and its end come from the claims."""
    found = await who(verifier, sign(key, alg, groups=["ml", "leads"], exp=4_000_000_000))
    assert (found.name, found.kind) == ("ann", CallerKind.USER)
    assert found.grants == {"*": Role.READER, "lab": Role.PROMOTER}
    assert found.expires == 4_000_000_000_000_000
    assert not found.speaks_for


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "other"}, {"aud": ["other"]}, {"aud": None}, {"aud": []}, {"aud": "Tallymark"},
        {"iss": "https://evil.example"}, {"iss": None}, {"iss": "https://id.example/"},
        {"exp": 1}, {"exp": None}, {"exp": "tomorrow"}, {"nbf": 4_000_000_000}, {"iat": 4_000_000_000},
        {"sub": None}, {"sub": ""}, {"sub": 7}, {"sub": "a\nb"}, {"sub": "ci for ann"}, {"sub": "x" * 101},
    ],
    ids=str,
)  # fmt: skip
async def test_claims_are_checked(verifier: Verifier, sign: Sign, changed: dict[str, Any]) -> None:
    """A token for another audience, of another issuer, of another time or without a name is refused."""
    await refused(verifier, sign(**changed))


def part(found: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(found).encode()).decode().rstrip("=")


async def test_forged_tokens_are_refused(verifier: Verifier, sign: Sign) -> None:
    """No signature, one with the public key as its secret, one of another key, and a changed claim do not count."""
    header, claims, signature = sign().split(".")
    await refused(verifier, f"{part({'alg': 'none', 'kid': 'rsa'})}.{claims}.")
    await refused(verifier, f"{part({'alg': 'None'})}.{claims}.{signature}")
    # Of the public key, an attacker knows every form.
    for public in (KEYS["rsa"].as_pem(private=False), json.dumps(KEYS["rsa"].as_dict(private=False)).encode()):
        for alg, digest in (("HS256", hashlib.sha256), ("HS512", hashlib.sha512)):
            signed = f"{part({'alg': alg, 'kid': 'rsa'})}.{claims}"
            mac = base64.urlsafe_b64encode(hmac.new(public, signed.encode(), digest).digest()).decode().rstrip("=")
            await refused(verifier, f"{signed}.{mac}")
    stranger = RSAKey.generate_key(2048)
    await refused(verifier, jwt.encode({"alg": "RS256", "kid": "rsa"}, claims_of(), stranger))
    embedded = {"alg": "RS256", "jwk": stranger.as_dict(private=False)}
    await refused(verifier, jwt.encode(embedded, claims_of(), stranger, registry=None))
    await refused(verifier, f"{header}.{part(claims_of(groups=['leads']))}.{signature}")
    await refused(verifier, f"{header}.{claims}.{signature[:-4]}AAAA")
    await refused(verifier, jwt.encode({"alg": "RS512", "kid": "rsa"}, claims_of(), KEYS["rsa"], algorithms=["RS512"]))


@pytest.mark.parametrize("text", ["..", "a.b.c", "e30.e30.", f"{'a' * 20_000}.b.c", "ä.ö.ü", f"{'[' * 9000}.b.c"])
async def test_what_is_no_token_is_refused(verifier: Verifier, text: str) -> None:
    """Whatever is presented gets the same answer."""
    await refused(verifier, text)


async def test_symmetric_keys_are_not_taken(tmp_path: Path, issuers: Issuers) -> None:
    """A shared secret among the public keys of an issuer verifies nothing."""
    secret = OctKey.generate_key(256, {"kid": "oct"})
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [secret.as_dict()]}))
    await refused(Verifier(issuers, now), jwt.encode({"alg": "HS256", "kid": "oct"}, claims_of(), secret))


async def test_an_unverified_address_is_no_name(tmp_path: Path, sign: Sign) -> None:
    """If callers are named by their address, the provider must have verified it."""
    write_keys(tmp_path, *KEYS)
    table = {"name": "company", "url": "https://id.example", "audience": "tallymark", "keys-file": "keys.json"}
    verifier = Verifier(parse_issuers([table | {"name-claim": "email"}], [], tmp_path), now)
    assert (await who(verifier, sign(email="ann@example.com", email_verified=True))).name == "ann@example.com"
    for verified in (False, None, "true"):
        await refused(verifier, sign(email="ann@example.com", email_verified=verified))


@pytest.mark.parametrize(
    "other",
    [
        {"kty": "EC", "crv": "P-256K", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Bls12381G2", "x": "AA"},
        {"kty": "RSA", "n": "AQAB"},
        {"kty": "RSA", "n": 5, "e": []},
        {"kty": "EC"},
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"},
    ],
)
async def test_a_key_of_an_unknown_kind_does_not_hide_the_others(
    tmp_path: Path, issuers: Issuers, sign: Sign, other: dict[str, Any]
) -> None:
    """The keys of an issuer count, though it also has one that is not known here, or is damaged."""
    file = write_keys(tmp_path, "rsa", "ec")
    keys = json.loads(file.read_text())["keys"]
    file.write_text(json.dumps({"keys": [other | {"kid": "other"}, *keys]}))
    verifier = Verifier(issuers, now)
    assert (await who(verifier, sign())).name == "ann"
    assert (await who(verifier, sign("ec", "ES256"))).name == "ann"
    await refused(verifier, sign("ed", "EdDSA"))


async def test_a_token_may_be_valid_for_ever(verifier: Verifier, sign: Sign) -> None:
    """An end that no timestamp has is the last one that there is."""
    caller = await who(verifier, sign(exp=10**30))
    assert caller.expires is not None
    assert datetime.fromtimestamp(caller.expires / 1_000_000, UTC).year == 9999


async def test_without_the_name_of_a_key_there_is_one(tmp_path: Path, issuers: Issuers, sign: Sign) -> None:
    """A token that names no key counts if its issuer has one key, and is refused if it has several."""
    token = jwt.encode({"alg": "RS256"}, claims_of(), KEYS["rsa"])
    write_keys(tmp_path, "rsa")
    assert (await who(Verifier(issuers, now), token)).name == "ann"
    write_keys(tmp_path, "rsa", "ec")
    await refused(Verifier(issuers, now), token)


async def test_new_keys_are_found_and_unknown_ones_do_not_flood_the_issuer(
    tmp_path: Path, issuers: Issuers, sign: Sign
) -> None:
    """A key that is not known is looked for again, but not more often than the interval allows."""
    write_keys(tmp_path, "rsa")
    (company,) = issuers
    verifier = Verifier(issuers, now, {"company": Keys(company, min_interval=0)})
    assert (await who(verifier, sign())).name == "ann"
    await refused(verifier, sign("ec", "ES256"))
    write_keys(tmp_path, "rsa", "ec")
    assert (await who(verifier, sign("ec", "ES256"))).name == "ann"
    slow = Verifier(issuers, now, {"company": Keys(company, min_interval=3600)})
    await refused(slow, sign("ed", "EdDSA"))
    write_keys(tmp_path, "rsa", "ec", "ed")
    await refused(slow, sign("ed", "EdDSA"))
    assert (await who(slow, sign())).name == "ann"


async def test_an_id_token_is_for_one_client_and_one_sign_in(verifier: Verifier, sign: Sign, issuers: Issuers) -> None:
    """Sign-in takes only a token for its client, with the number that it has sent."""
    (company,) = issuers
    good = {"aud": "dashboard", "nonce": "n"}
    assert (await verifier.sign_in(sign(**good), company, "n")).name == "ann"
    for changed in (
        {"aud": "tallymark"},
        {"nonce": "other"},
        {"nonce": None},
        {"azp": "other"},
        {"aud": ["dashboard", "other"]},
    ):
        with pytest.raises(Exception, match="."):
            await verifier.sign_in(sign(**good | changed), company, "n")
    await refused(verifier, sign(**good))
