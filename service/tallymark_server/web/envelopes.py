"""The envelopes of gRPC-Web and of the streams of Connect, and gzip within bounds.

An envelope is a byte of flags, four bytes of length, and the content: a message, or the end of the stream.
"""

from __future__ import annotations

import base64
import gzip
import json
import struct
from urllib.parse import quote

from tallymark_server.domain.errors import InvalidField, RegistryError
from tallymark_server.rpc.status import code_of, details_of
from tallymark_server.web.errors import as_connect

# The prefixes of the content types.
CONNECT, GRPC_WEB, GRPC_WEB_TEXT = "application/connect+", "application/grpc-web", "application/grpc-web-text"
PACKED = 0x01
_CONNECT_END, _GRPC_WEB_END = 0x02, 0x80
_HEAD = struct.Struct(">BI")
# Of 1 to 9; a higher level costs more time than it saves.
_LEVEL = 5
# Shorter messages are not compressed.
MIN_PACKED = 1000
_MAX_PARTS = 64


def enveloped(data: bytes, flags: int = 0) -> bytes:
    """Return the data in an envelope."""
    return _HEAD.pack(flags, len(data)) + data


def opened(body: bytes) -> tuple[bytes, bool]:
    """Return the one message of a request, and whether it is compressed. Raises InvalidField."""
    if len(body) < _HEAD.size:
        raise InvalidField("request", f"{len(body)} bytes", "it is one message in an envelope of 5 bytes and more")
    flags, length = _HEAD.unpack_from(body)
    if flags & ~PACKED or length != len(body) - _HEAD.size:
        what = f"flags {flags}, {length:,} of {len(body) - _HEAD.size:,} bytes"
        raise InvalidField("request", what, "it is one whole message in one envelope, and at most compressed")
    return body[_HEAD.size :], bool(flags & PACKED)


def end_of(kind: str, error: RegistryError | None = None) -> bytes:
    """Return the end of an answer of that media type, with the error if there is one."""
    if kind.startswith(CONNECT):
        end = {} if error is None else {"error": as_connect(error)}
        return enveloped(json.dumps(end).encode(), _CONNECT_END)
    return as_text(kind, enveloped(_trailers(error), _GRPC_WEB_END))


def as_text(kind: str, data: bytes) -> bytes:
    """Return the data in base64 if the media type requires it."""
    return base64.b64encode(data) if kind.startswith(GRPC_WEB_TEXT) else data


def from_text(body: bytes) -> bytes:
    """Return the data of a body in base64, with one or several padded parts. Raises InvalidField."""
    # Each part ends with its padding, or before white space, and is decoded alone.
    parts = body.replace(b"=", b"= ").replace(b"= =", b"==").split(maxsplit=_MAX_PARTS)
    if len(parts) > _MAX_PARTS:
        raise InvalidField("request", f"{len(body):,} bytes", "it is in too many parts; send it as one")
    try:
        return b"".join(base64.b64decode(part, validate=True) for part in parts)
    except ValueError:
        raise InvalidField("request", f"{len(body):,} bytes", "it is not base64") from None


def packed(data: bytes) -> bytes:
    """Return the data as gzip."""
    return gzip.compress(data, _LEVEL, mtime=0)


def _trailers(error: RegistryError | None) -> bytes:
    if error is None:
        return b"grpc-status: 0\r\n"
    lines = [f"grpc-status: {code_of(error).value[0]}", f"grpc-message: {quote(str(error), safe=_PLAIN)}"]
    lines += [f"{name}: {base64.b64encode(value).decode().rstrip('=')}" for name, value in details_of(error)]
    return "".join(f"{line}\r\n" for line in lines).encode()


# The characters that a message of gRPC does not encode: printable ASCII without the percent sign.
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
