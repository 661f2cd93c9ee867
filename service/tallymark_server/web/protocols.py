"""The protocols of calls over HTTP: Connect, plain or in envelopes, and gRPC-Web.

See https://connectrpc.com/docs/protocol and https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from starlette.datastructures import Headers
from starlette.requests import Request

from tallymark_server.domain.errors import InvalidField, UnsupportedCall
from tallymark_server.rpc.decoder import decoder_of
from tallymark_server.web import envelopes
from tallymark_server.web.codecs import decoded, encoded
from tallymark_server.web.protocol_errors import JSON, media_type

PROTO = "application/proto"
# The content types, and whether they are JSON. Pages of other sites can send none of them without a preflight.
UNARY = {JSON: True, PROTO: False}
STREAM = {f"{envelopes.CONNECT}json": True, f"{envelopes.CONNECT}proto": False}
GRPC_WEB = {
    f"{base}{format_}": format_ == "+json"
    for base in (envelopes.GRPC_WEB, envelopes.GRPC_WEB_TEXT)
    for format_ in ("", "+proto", "+json")
}
_UNITS = {"H": 3_600_000.0, "M": 60_000.0, "S": 1000.0, "m": 1.0, "u": 1e-3, "n": 1e-6}
_GRPC_TIMEOUT = re.compile(r"(\d{1,8})([HMSmun])", re.ASCII)
_CONNECT_TIMEOUT = re.compile(r"\d{1,10}", re.ASCII)
_MAX_PARAMETERS = 20


class NotTakenError(Exception):
    """A call is not valid in HTTP. `error` says why; `status` and `headers` are those of the response."""

    def __init__(self, error: UnsupportedCall, status: int, headers: dict[str, str]) -> None:
        super().__init__(str(error))
        self.error, self.status, self.headers = error, status, headers


@dataclass(frozen=True, slots=True)
class Dialect:
    """The protocol of a call. `kind` is the content type of its answer, `timeout` is in milliseconds or None."""

    method: MethodDescriptor
    kind: str
    as_json: bool
    gzipped: bool
    takes_gzip: bool
    timeout: int | None
    message: bytes | None = field(default=None, repr=False)

    @property
    def enveloped(self) -> bool:
        """Whether messages have envelopes, and the outcome follows them."""
        return self.kind not in UNARY

    async def read(self, body: bytes) -> Message:
        """Return the request message. Raises InvalidField, ValueTooLarge or MalformedRequest."""
        data, gzipped = body if self.message is None else self.message, self.gzipped
        if self.enveloped:
            data = envelopes.from_text(data) if self.kind.startswith(envelopes.GRPC_WEB_TEXT) else data
            data, packed = envelopes.opened(data)
            if packed and not gzipped:
                raise InvalidField("request", "compressed", "no header says how it is compressed")
            gzipped = packed
        return await decoded(decoder_of(self.method), data, as_json=self.as_json, gzipped=gzipped)

    async def write(self, message: Message) -> tuple[bytes, bool]:
        """Return the bytes of the message in the answer, and whether they are gzip as a whole."""
        data, gzipped = await encoded(message, as_json=self.as_json, gzipped=self.takes_gzip)
        if not self.enveloped:
            return data, gzipped
        return envelopes.as_text(self.kind, envelopes.enveloped(data, envelopes.PACKED if gzipped else 0)), False

    def headers(self, *, gzipped: bool = False) -> dict[str, str]:
        """Return the headers of a successful answer."""
        found = {"content-type": self.kind, "cache-control": "no-cache"}
        if not self.enveloped:
            found["vary"] = "accept-encoding"
            if gzipped:
                found["content-encoding"] = "gzip"
        elif self.takes_gzip:
            found[_encoding(self.kind)] = "gzip"
        return found


def dialect_of(request: Request, method: MethodDescriptor) -> Dialect:
    """Return the protocol of the request. Raises NotTakenError or InvalidField."""
    options = method.GetOptions()
    free = options.idempotency_level == options.NO_SIDE_EFFECTS and not method.server_streaming
    verbs = ("POST", "GET") if free else ("POST",)
    if request.method not in verbs:
        rule = f"{method.name} is called by {' or '.join(verbs)}"
        raise NotTakenError(UnsupportedCall("verb", request.method, rule), 405, {"allow": ", ".join(verbs)})
    if request.method == "GET":
        return _asked_by_get(request, method)
    kind, headers = media_type(request.headers), request.headers
    types = (STREAM if method.server_streaming else UNARY) | GRPC_WEB
    if kind not in types:
        rule = f"send it with one of these headers: {', '.join(f'Content-Type: {each}' for each in types)}"
        if method.server_streaming and kind in UNARY:
            rule = f"{method.name} is a stream, whose messages are in envelopes; {rule}"
        raise NotTakenError(UnsupportedCall("content-type", kind, rule), 415, {"accept-post": ", ".join(types)})
    if kind in GRPC_WEB:
        timeout = _grpc_timeout(headers)
    else:
        _check_version(headers.get("connect-protocol-version", "1"), "1")
        timeout = _connect_timeout(headers)
    gzipped = _is_gzip(headers.get(_encoding(kind), ""), _encoding(kind))
    accepted = headers.getlist(_accepting(kind))
    return Dialect(method, kind, types[kind], gzipped, _takes_gzip(accepted), timeout)


def _asked_by_get(request: Request, method: MethodDescriptor) -> Dialect:
    try:
        pairs = parse_qsl(request.scope["query_string"], keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        raise InvalidField("query", "", f"it has more than {_MAX_PARAMETERS} parameters") from None
    query = {name.decode("latin-1"): value for name, value in pairs}
    given = {name: value.decode("latin-1") for name, value in query.items()}
    _check_version(given.get("connect", "v1"), "v1")
    _check_version(request.headers.get("connect-protocol-version", "1"), "1")
    kind = f"application/{given.get('encoding', '')}"
    if kind not in UNARY:
        rule = "a GET says encoding=json or encoding=proto"
        raise NotTakenError(UnsupportedCall("encoding", given.get("encoding", ""), rule), 415, {})
    if "message" not in query:
        raise InvalidField("message", "", "a GET has the request in the parameter `message`")
    message = query["message"]
    if given.get("base64", "") == "1":
        message = _from_base64(message)
    return Dialect(
        method,
        kind,
        UNARY[kind],
        _is_gzip(given.get("compression", ""), "compression"),
        _takes_gzip(request.headers.getlist("accept-encoding")),
        _connect_timeout(request.headers),
        message,
    )


def _from_base64(text: bytes) -> bytes:
    plain = text.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except ValueError:
        raise InvalidField("message", text.decode("latin-1"), "it is not base64") from None


def _check_version(found: str, known: str) -> None:
    if found != known:
        raise InvalidField("connect-protocol-version", found, f"this service supports only {known}")


def _connect_timeout(headers: Headers) -> int | None:
    text = headers.get("connect-timeout-ms")
    if text is None:
        return None
    if not _CONNECT_TIMEOUT.fullmatch(text):
        raise InvalidField("connect-timeout-ms", text, "it is a whole number of milliseconds, of at most 10 digits")
    return int(text)


def _grpc_timeout(headers: Headers) -> int | None:
    text = headers.get("grpc-timeout")
    if text is None:
        return None
    found = _GRPC_TIMEOUT.fullmatch(text)
    if found is None:
        raise InvalidField("grpc-timeout", text, "it is a number of at most 8 digits and one of the units HMSmun")
    return int(int(found[1]) * _UNITS[found[2]])


def _encoding(kind: str) -> str:
    if kind in UNARY:
        return "content-encoding"
    return "grpc-encoding" if kind in GRPC_WEB else "connect-content-encoding"


def _accepting(kind: str) -> str:
    if kind in UNARY:
        return "accept-encoding"
    return "grpc-accept-encoding" if kind in GRPC_WEB else "connect-accept-encoding"


def _is_gzip(encoding: str, where: str) -> bool:
    if encoding.lower() in ("", "identity"):
        return False
    if encoding.lower() != "gzip":
        rule = "a request is compressed by gzip, or not at all"
        raise NotTakenError(
            UnsupportedCall(where, encoding, rule), 501, {"accept-encoding": "gzip", "grpc-accept-encoding": "gzip"}
        )
    return True


def _takes_gzip(values: Iterable[str]) -> bool:
    """Return whether the lists of encodings have gzip with a quality above 0."""
    for value in ",".join(values).lower().split(","):
        name, _, parameters = value.partition(";")
        if name.strip() == "gzip":
            return re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", parameters) is None
    return False
