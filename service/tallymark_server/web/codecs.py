"""Messages from and to the bytes of HTTP: protobuf or JSON, plain or as gzip, without holding up anybody else."""

from __future__ import annotations

import asyncio
from functools import partial

from google.protobuf.json_format import MessageToJson, Parse, ParseError
from google.protobuf.message import DecodeError, Message

from tallymark_server.domain.errors import InvalidField, MalformedRequest, ValueTooLarge
from tallymark_server.web import framing

# What is longer is parsed, written and compressed in a thread: JSON takes protobuf a second for each megabyte.
MAX_INLINE = 64 * 1024
# What begins a value in JSON, and how many may: in a text a mark counts too, which no request of a client comes near.
VALUE_MARKS, MAX_VALUES = (b",", b"{", b"["), 200_000


async def decoded(kind: type[Message], body: bytes, *, as_json: bool, gzipped: bool) -> Message:
    """Return the message in the body; raise InvalidField, ValueTooLarge or MalformedRequest."""
    if gzipped:
        try:
            return await decoded(kind, framing.unpacked(body, MAX_INLINE), as_json=as_json, gzipped=False)
        except ValueTooLarge:
            return await asyncio.to_thread(lambda: _decoded(kind, framing.unpacked(body), as_json=as_json))
    if as_json and len(body) > MAX_INLINE:
        return await asyncio.to_thread(_decoded, kind, body, as_json=as_json)
    return _decoded(kind, body, as_json=as_json)


async def encoded(message: Message, *, as_json: bool, gzipped: bool) -> tuple[bytes, bool]:
    """Return the bytes of the message, and whether they are gzip, as which little is not worth sending."""
    work = partial(_encoded, message, as_json=as_json, gzipped=gzipped)
    if (as_json or gzipped) and message.ByteSize() > MAX_INLINE:
        return await asyncio.to_thread(work)
    return work()


def _decoded(kind: type[Message], body: bytes, *, as_json: bool) -> Message:
    if as_json:
        values = sum(map(body.count, VALUE_MARKS))
        if values > MAX_VALUES:
            raise InvalidField("request", f"{values:,} values", f"a request as JSON has at most {MAX_VALUES:,}")
    message = kind()
    try:
        if as_json:
            Parse(body or b"{}", message)
        else:
            message.ParseFromString(body)
    except ParseError as error:
        # JSON can spell half a character, which cannot be told back.
        why = str(error).encode(errors="backslashreplace").decode()
        raise InvalidField("request", body[:1000].decode(errors="replace"), why) from None
    except (DecodeError, UnicodeError, RecursionError):
        raise MalformedRequest(kind.DESCRIPTOR.name) from None
    return message


def _encoded(message: Message, *, as_json: bool, gzipped: bool) -> tuple[bytes, bool]:
    data = MessageToJson(message, indent=None).encode() if as_json else message.SerializeToString()
    if gzipped and len(data) >= framing.MIN_PACKED:
        return framing.packed(data), True
    return data, False
