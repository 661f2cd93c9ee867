"""Decode and encode messages over HTTP: protobuf or JSON, plain or as gzip, without blocking other calls.

Long messages are parsed, encoded and compressed in a thread: protobuf needs a second for a megabyte of JSON.
"""

from __future__ import annotations

import asyncio
from functools import partial

import msgspec
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from google.protobuf.message import Message

from tallymark_server.domain.errors import InvalidField, MalformedRequest, ValueTooLarge
from tallymark_server.rpc.bounds import MAX_CUT, MAX_DEPTH
from tallymark_server.rpc.decoder import MAX_INLINE, Decoder
from tallymark_server.rpc.gzip_content import decompress
from tallymark_server.rpc.server import MAX_MESSAGE
from tallymark_server.web import envelopes

TOO_DEEP = f"lists and maps lie in each other at most {MAX_DEPTH} deep"
# The characters that begin a value in JSON, also counted in texts, and their limit, far above the need of any client.
VALUE_MARKS, MAX_VALUES = (b",", b"{", b"["), 200_000


async def decoded(decoder: Decoder, body: bytes, *, as_json: bool, gzipped: bool) -> Message:
    """Return the message in the body. Raises InvalidField, ValueTooLarge or MalformedRequest."""
    if gzipped:
        try:
            return await decoded(decoder, decompress(body, MAX_INLINE), as_json=as_json, gzipped=False)
        except ValueTooLarge:
            return await asyncio.to_thread(lambda: _decoded(decoder, decompress(body, MAX_MESSAGE), as_json=as_json))
    if len(body) > MAX_INLINE:
        return await asyncio.to_thread(_decoded, decoder, body, as_json=as_json)
    return _decoded(decoder, body, as_json=as_json)


async def encoded(message: Message, *, as_json: bool, gzipped: bool) -> tuple[bytes, bool]:
    """Return the bytes of the message, and whether they are gzip, which short messages are not."""
    work = partial(_encoded, message, as_json=as_json, gzipped=gzipped)
    if (as_json or gzipped) and message.ByteSize() > MAX_INLINE:
        return await asyncio.to_thread(work)
    return work()


def _decoded(decoder: Decoder, body: bytes, *, as_json: bool) -> Message:
    if not as_json:
        return decoder.decode(body)
    values = sum(map(body.count, VALUE_MARKS))
    if values > MAX_VALUES:
        raise InvalidField("request", f"{values:,} values", f"a request as JSON has at most {MAX_VALUES:,}")
    if len(body) > MAX_CUT:
        _check_texts(body)
    message = decoder.kind()
    try:
        Parse(body or b"{}", message)
    except RecursionError:
        raise InvalidField("request", "nested", TOO_DEEP) from None
    except ParseError as error:
        # JSON can spell half of a surrogate pair, which cannot be encoded.
        why = str(error).encode(errors="backslashreplace").decode()
        if "too deep" in why:
            raise InvalidField("request", "nested", TOO_DEEP) from None
        raise InvalidField("request", body[:1000].decode(errors="replace"), why) from None
    except UnicodeError:
        raise MalformedRequest(decoder.kind.DESCRIPTOR.name) from None
    decoder.check(message)
    return message


def _check_texts(body: bytes) -> None:
    """Raise ValueTooLarge if a text exceeds every bound: while protobuf scans a text, no other thread runs."""
    try:
        inside = [msgspec.json.decode(body)]
    except (msgspec.DecodeError, RecursionError):
        # Protobuf reports the error.
        return
    while inside:
        value = inside.pop()
        if isinstance(value, str) and len(value) > MAX_CUT:
            raise ValueTooLarge("request", MAX_CUT, "characters in one text", len(value))
        if isinstance(value, dict):
            inside += value
            inside += value.values()
        elif isinstance(value, list):
            inside += value


def _encoded(message: Message, *, as_json: bool, gzipped: bool) -> tuple[bytes, bool]:
    data = MessageToJson(message, indent=None).encode() if as_json else message.SerializeToString()
    if gzipped and len(data) >= envelopes.MIN_PACKED:
        return envelopes.packed(data), True
    return data, False
