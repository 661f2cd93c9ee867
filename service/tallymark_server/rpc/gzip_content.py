"""Decompress gzip within a bound."""

from __future__ import annotations

import zlib

from tallymark_server.domain.errors import InvalidField, ValueTooLarge

# The first bytes of gzip. No protobuf message begins with them: the wire format has no such type of field.
MAGIC = b"\x1f\x8b"


def decompress(data: bytes, limit: int) -> bytes:
    """Return the content. Raises ValueTooLarge if it has more bytes than the limit, InvalidField if it is no gzip."""
    inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        content = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise InvalidField("request", f"{len(data):,} bytes", f"it is no gzip ({error})") from None
    if len(content) > limit:
        raise ValueTooLarge("request", limit, "bytes when decompressed")
    # One message has one member, and millions of empty members would take minutes.
    if not inflater.eof or inflater.unused_data:
        raise InvalidField("request", f"{len(data):,} bytes", "it is not one whole gzip member")
    return content
