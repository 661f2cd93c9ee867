"""What is compressed as gzip, decompressed within a bound."""

from __future__ import annotations

import zlib

from tallymark_server.domain.errors import InvalidField, ValueTooLarge

# How gzip begins. No protobuf message begins so: it would be a field of a type that the wire format does not have.
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
    # A second member is none of one message, and millions of empty ones would take minutes.
    if not inflater.eof or inflater.unused_data:
        raise InvalidField("request", f"{len(data):,} bytes", "it is not one whole gzip member")
    return content
