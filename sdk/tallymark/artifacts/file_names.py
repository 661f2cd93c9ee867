"""Names as parts of paths and uris, whose length is limited in encoded bytes, whatever the script of the name."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

# The longest that file systems take, in bytes.
MAX_SEGMENT = 255
# What is shortened stays well below: object stores limit the length of a whole key, and drivers add endings.
SHORTENED = 200
_DIGEST = 32
_ENDING = 16


def segment(name: str) -> str:
    """Return a name as one segment of a path in a store: percent-encoded, and shortened if it is too long then."""
    encoded = _encoded(name)
    if len(encoded) <= MAX_SEGMENT:
        return encoded
    beginning = ""
    for ch in name:
        more = _encoded(ch)
        if len(beginning) + len(more) > SHORTENED - _DIGEST - 1:
            break
        beginning += more
    # An encoded name has no "=", so no other name has the same segment.
    return f"{beginning}={_digest(name)}"


def shortened(name: str) -> str:
    """Return the name of a file as it is, or, if it has too many bytes, its beginning and a digest of all of it."""
    encoded = name.encode()
    if len(encoded) <= SHORTENED:
        return name
    return f"{encoded[: SHORTENED - _DIGEST - 1].decode(errors='ignore')}-{_digest(name)}"


def ending(suffix: str) -> str:
    """Return how the name of a copy of a file may end: as the file's own, unless that is no usual ending."""
    plain = all(ch.isascii() and (ch.isalnum() or ch in "._-+") for ch in suffix)
    return suffix if plain and len(suffix) <= _ENDING else ""


def _encoded(name: str) -> str:
    return quote(name, safe=" ") if name.strip(".") else name.replace(".", "%2E")


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
