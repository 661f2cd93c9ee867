"""The text of a token: `tmk_`, an id, `_`, a secret and a checksum.

The id is public: lists and logs name the token by it. The secret is 32 random bytes. By the checksum,
scanners of secrets recognise a token, and a server one that was copied badly, without looking it up.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import NamedTuple

PREFIX = "tmk_"
ID_LENGTH = 8
# The random bytes of a token: 6 make its id, and 32 its secret.
ID_BYTES = 6
SECRET_BYTES = 32
RANDOM_BYTES = ID_BYTES + SECRET_BYTES
_SECRET_LENGTH = 43
_CHECKSUM_LENGTH = 6
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(
    rf"{PREFIX}([0-9A-Za-z]{{{ID_LENGTH}}})_[0-9A-Za-z]{{{_SECRET_LENGTH}}}([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})"
)


class TokenText(NamedTuple):
    """A token: its public id, and its whole text, which only its owner keeps."""

    id: str
    text: str

    def __repr__(self) -> str:
        return f"TokenText({self.id!r}, ...)"

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the text: all that a registry stores. Random secrets need no slow hash."""
        return digest_of(self.text)


def make_token(random: bytes) -> TokenText:
    """Return the token of RANDOM_BYTES random bytes."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a token needs {RANDOM_BYTES} random bytes")
    public = _base62(int.from_bytes(random[:ID_BYTES]) % 62**ID_LENGTH, ID_LENGTH)
    text = f"{PREFIX}{public}_{_base62(int.from_bytes(random[ID_BYTES:]), _SECRET_LENGTH)}"
    return TokenText(public, text + _checksum(text))


def parse_token(text: str) -> TokenText | None:
    """Return the token with this text, None if its form or its checksum is wrong."""
    found = _FORM.fullmatch(text)
    if found is None or _checksum(text[:-_CHECKSUM_LENGTH]) != found[2]:
        return None
    return TokenText(found[1], text)


def digest_of(text: str) -> bytes:
    """Return the SHA-256 of a secret."""
    return hashlib.sha256(text.encode()).digest()


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
