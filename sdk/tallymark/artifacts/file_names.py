"""Names as parts of paths and URIs, whose length is limited in encoded bytes."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

# The limit of file systems, in bytes.
MAX_SEGMENT = 255
# Shortened names are much shorter, because object stores limit the length of a whole key, and drivers add suffixes.
MAX_SHORTENED = 200
DIGEST_LENGTH = 32
MAX_ENDING = 16


def segment(name: str) -> str:
    """Return a name as one segment of a path in a store: percent-encoded, and shortened if the result is too long."""
    encoded = _encoded(name)
    if len(encoded) <= MAX_SEGMENT:
        return encoded
    beginning = ""
    for ch in name:
        more = _encoded(ch)
        if len(beginning) + len(more) > MAX_SHORTENED - DIGEST_LENGTH - 1:
            break
        beginning += more
    # A name that is not shortened has no "=" after encoding, so segments are unique.
    return f"{beginning}={_digest(name)}"


def shortened(name: str) -> str:
    """Return the name of a file; if it has too many bytes, its beginning and a digest of the whole name."""
    encoded = name.encode()
    if len(encoded) <= MAX_SHORTENED:
        return name
    return f"{encoded[: MAX_SHORTENED - DIGEST_LENGTH - 1].decode(errors='ignore')}-{_digest(name)}"


def ending(suffix: str) -> str:
    """Return the suffix for a copy of a file: the file's own, or empty if that is unusual."""
    plain = all(ch.isascii() and (ch.isalnum() or ch in "._-+") for ch in suffix)
    return suffix if plain and len(suffix) <= MAX_ENDING else ""


def _encoded(name: str) -> str:
    return quote(name, safe=" ") if name.strip(".") else name.replace(".", "%2E")


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:DIGEST_LENGTH]
