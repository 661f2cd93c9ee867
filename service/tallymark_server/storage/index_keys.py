"""Texts by which things are found in an index: bounded in length, and in order by their bytes in every engine."""

from __future__ import annotations

import hashlib
import math
import struct

MAX_IDENTITY = 255
# What a fact that cannot be compared is found by, and an empty text too.
NOT_COMPARABLE = "t"
# All keys of numbers are less than this, and all keys of texts are not.
AFTER_NUMBERS = "t"
_SIGN = 1 << 63
_ALL_BITS = (1 << 64) - 1


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
    # There is one zero.
    (bits,) = struct.unpack(">Q", struct.pack(">d", below + 0.0))
    bits = bits ^ _ALL_BITS if bits & _SIGN else bits | _SIGN
    return f"n{bits:016x}{rest:03x}" if rest else f"n{bits:016x}"
