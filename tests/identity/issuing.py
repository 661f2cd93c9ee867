"""An issuer whose keys the tests hold."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey


URL = "https://id.example"
KEYS: dict[str, RSAKey | ECKey | OKPKey] = {
    "rsa": RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"}),
    "ec": ECKey.generate_key("P-256", {"kid": "ec"}),
    "ed": OKPKey.generate_key("Ed25519", {"kid": "ed"}),
}
GRANTS = [
    {"issuer": "company", "group": "ml", "project": "*", "role": "reader"},
    {"issuer": "company", "group": "leads", "project": "lab", "role": "promoter"},
    {"issuer": "company", "claims": {"repo": "acme/churn", "ref": "main"}, "project": "lab", "role": "writer"},
]

Sign = Callable[..., str]


def now() -> int:
    return time.time_ns() // 1000


def write_keys(folder: Path, *names: str) -> Path:
    file = folder / "keys.json"
    file.write_text(json.dumps({"keys": [KEYS[name].as_dict(private=False) for name in names]}))
    return file


def claims_of(**changed: Any) -> dict[str, Any]:
    """Return the claims of a token that is valid, with some changed, or left out if they are None."""
    at = int(time.time())
    claims = {"iss": URL, "aud": "tallymark", "sub": "ann", "iat": at, "exp": at + 600} | changed
    return {name: value for name, value in claims.items() if value is not None}
