"""Requests and answers in envelopes, as clients of Connect's streams and of gRPC-Web send and read them."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from web.http_client import Answer, ask

PACKED, END, TRAILERS = 1, 2, 128
WEB, WEB_TEXT = "application/grpc-web+proto", "application/grpc-web-text+proto"


def envelope(data: bytes, flags: int = 0) -> bytes:
    return struct.pack(">BI", flags, len(data)) + data


def envelopes(body: bytes) -> Iterator[tuple[int, bytes]]:
    while body:
        flags, length = struct.unpack_from(">BI", body)
        assert len(body) >= 5 + length, "an envelope is cut off"
        content, body = body[5 : 5 + length], body[5 + length :]
        yield flags, gzip.decompress(content) if flags & PACKED else content


def streamed(url: str, method: str, request: dict[str, Any], **headers: str) -> tuple[list[Any], dict[str, Any]]:
    """Return the messages of a stream of Connect as JSON, and its last envelope."""
    body = envelope(json.dumps(request).encode())
    headers = {"content_type": "application/connect+json", **headers}
    answer = ask(url, f"/tallymark.v1.{method}", "POST", body, **headers)
    assert (answer.status, answer.headers["content-type"]) == (200, headers["content_type"])
    *messages, (flags, end) = envelopes(answer.body)
    assert flags == END
    return [json.loads(content) for _, content in messages], json.loads(end)


def by_grpc_web(url: str, method: str, request: Message, **headers: str) -> tuple[list[bytes], dict[str, str]]:
    """Return the messages of a call by gRPC-Web, and its trailers."""
    kind = headers.setdefault("content_type", WEB)
    body = envelope(request.SerializeToString())
    body = base64.b64encode(body) if kind == WEB_TEXT else body
    answer = ask(url, f"/tallymark.v1.{method}", "POST", body, **headers)
    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    return grpc_web(answer)


def grpc_web(answer: Answer) -> tuple[list[bytes], dict[str, str]]:
    body = answer.body
    if answer.headers["content-type"].startswith("application/grpc-web-text"):
        # Each envelope is in base64 by itself.
        parts = body.replace(b"=", b"= ").replace(b"= =", b"==").split()
        body = b"".join(base64.b64decode(part) for part in parts)
    *messages, (flags, end) = envelopes(body)
    assert flags == TRAILERS
    return [content for _, content in messages], dict(line.split(": ", 1) for line in end.decode().splitlines())


def info_of(details: list[dict[str, str]]) -> ErrorInfo:
    """Return the reason in an error of Connect."""
    [found] = [detail["value"] for detail in details if detail["type"] == "google.rpc.ErrorInfo"]
    return ErrorInfo.FromString(base64.b64decode(found + "=" * (-len(found) % 4)))


def status_of(trailers: dict[str, str]) -> Status:
    """Return the status in the trailers of gRPC-Web."""
    found = trailers["grpc-status-details-bin"]
    return Status.FromString(base64.b64decode(found + "=" * (-len(found) % 4)))
