"""The keys of indexes: texts that are bounded in length, and ordered by their bytes in every engine."""

from __future__ import annotations

import hashlib
import math
import struct

MAX_IDENTITY = 255
# The index of facts has the beginning of a text, and so have sort keys, which become part of page tokens.
MAX_TEXT = 255
# What a fact that cannot be compared is found by, and an empty text too.
NOT_COMPARABLE = "t"
# All keys of numbers are less than this, and all keys of texts are not.
AFTER_NUMBERS = "t"
_ALL_BITS = (1 << 64) - 1
_pack = struct.Struct(">d").pack


def identity_key(identity: str) -> str:
    """Return the key of an artifact's digest or URI: itself, or the SHA-256 of one that is too long for an index."""
    if len(identity) <= MAX_IDENTITY:
        return identity
    return f"sha256:{hashlib.sha256(identity.encode()).hexdigest()}"


def fact_key(value: str | float) -> str:
    """Return the key of a fact: `t` and the text, or `n` and the number in hexadecimal. Keys sort as the values do.

    Of a number it is the bits of the greatest float that is not greater, changed so that they sort as unsigned. A whole
    number of 64 bits that is no float is followed by what it has more than that float.
    """
    if isinstance(value, str):
        return f"t{value}"
    below, rest = float(value), 0
    if isinstance(value, int):
        if below > value:
            below = math.nextafter(below, -math.inf)
        rest = value - int(below)
    if below >= 0:
        # There is one zero. The opposite has the sign's bit, which puts it after all negative numbers.
        key = f"n{_pack(-(below + 0.0)).hex()}"
    else:
        inverted = int.from_bytes(_pack(below)) ^ _ALL_BITS
        key = f"n{inverted:016x}"
    return f"{key}{rest:03x}" if rest else key
