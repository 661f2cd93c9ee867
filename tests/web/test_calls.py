"""The Connect protocol over HTTP, byte by byte: compression, deadlines, GET, streams, and refusals."""

from __future__ import annotations

import base64
import gzip
import json
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from grpc_calls import PROJECT, Calls
from rpc.test_proofs import batch, children_of, export, until
from web.http_client import Answer, ask, call, connected
from web.envelopes import PACKED, envelope, info_of, streamed
from google.protobuf.json_format import MessageToDict

from tallymark.testing import Server
from tallymark.v1 import event_log_pb2, model_pb2, model_registry_pb2

pytestmark = pytest.mark.timeout(600)

GET_MODEL = "/tallymark.v1.ModelRegistry/GetModel"
JSON, CONNECT = "application/json", "application/connect+json"
MIB = 1024 * 1024


def refused(answer: Answer, status: int, code: str, reason: str) -> str:
    """Check the status, the code and the reason of a refusal, and return its sentence."""
    assert (answer.status, answer.headers["content-type"]) == (status, JSON), answer.text
    assert (answer.json["code"], info_of(answer.json["details"]).reason) == (code, reason)
    assert info_of(answer.json["details"]).domain == "tallymark.dev"
    return str(answer.json["message"])


def test_a_compressed_request_is_taken(server: Server, calls: Calls) -> None:
    """A request in gzip, JSON or protobuf, small or large, has the effect of the same plain request."""
    calls.create_model("churn")
    text = json.dumps({"parent": f"{PROJECT}/models/churn", "modelVersion": {"description": "x" * 60_000}})
    large = json.dumps({"parent": f"{PROJECT}/models/churn", "modelVersion": {"tags": ["t" * 255] * 100}})
    proto = model_registry_pb2.CreateModelVersionRequest(parent=f"{PROJECT}/models/churn")
    for body, kind in (
        (text.encode(), JSON),
        (large.encode() + b" " * MIB, JSON),
        (proto.SerializeToString(), "application/proto"),
    ):
        path, packed = "/tallymark.v1.ModelRegistry/CreateModelVersion", gzip.compress(body)
        answer = ask(server.dashboard, path, "POST", packed, content_type=kind, content_encoding="gzip")
        assert answer.status == 200, answer.text
    assert calls.version("churn", "1").description == "x" * 60_000
    assert calls.model("churn").last_number == 3


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (gzip.compress(b"0" * 100 * MIB), "more bytes when decompressed"),
        (gzip.compress(b"{}")[:-4], "one whole gzip member"),
        (gzip.compress(b"{}") * 100_000, "one whole gzip member"),
        (b"{}", "no gzip"),
        (b"", "one whole gzip member"),
    ],
    ids=["bomb", "cut", "many", "plain", "empty"],
)
def test_a_damaged_or_endless_gzip_is_refused(standing: Server, body: bytes, told: str) -> None:
    """Invalid gzip, and gzip of more than 4 MiB, is refused before it takes memory or time."""
    answer = ask(standing.dashboard, GET_MODEL, "POST", body, content_type=JSON, content_encoding="gzip")
    reason = "VALUE_TOO_LARGE" if "decompressed" in told else "INVALID_FIELD"
    assert told in refused(answer, 400, "invalid_argument", reason)


def test_another_compression_is_refused_with_what_is_taken(standing: Server) -> None:
    """The refusal of another compression names those that are accepted."""
    answer = ask(standing.dashboard, GET_MODEL, "POST", b"x", content_type=JSON, content_encoding="br")
    assert "gzip" in refused(answer, 501, "unimplemented", "UNSUPPORTED_CALL")
    assert answer.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("gzip; q=0.0", False), ("identity", False)],
)
def test_a_large_answer_is_compressed_when_it_may_be(server: Server, calls: Calls, accepted: str, packed: bool) -> None:
    """A client that accepts gzip receives it, unless the response is short; others receive a plain response."""
    calls.create_model("churn", description="x" * 5000)
    body = json.dumps({"name": f"{PROJECT}/models/churn"})
    answer = ask(server.dashboard, GET_MODEL, "POST", body, content_type=JSON, accept_encoding=accepted)
    assert answer.headers.get("content-encoding") == ("gzip" if packed else None)
    data = gzip.decompress(answer.body) if packed else answer.body
    assert json.loads(data) == MessageToDict(calls.model("churn"))
    calls.create_model("small")
    body = json.dumps({"name": f"{PROJECT}/models/small"})
    short = ask(server.dashboard, GET_MODEL, "POST", body, content_type=JSON, accept_encoding=accepted)
    assert "content-encoding" not in short.headers


def test_the_work_ends_with_the_time_that_the_caller_gave(server: Server, calls: Calls) -> None:
    """After Connect-Timeout-Ms the call fails with DEADLINE_EXCEEDED, and its work ends."""
    calls.create_model("churn")
    request = {"parent": PROJECT}
    for given in ("1", "0"):
        answer = call(server.dashboard, "EventLog/Verify", request, connect_timeout_ms=given)
        assert "request_id" in refused(answer, 504, "deadline_exceeded", "CALL_TIMED_OUT")
    until(lambda: not children_of(server), calls)
    assert call(server.dashboard, "EventLog/Verify", request, connect_timeout_ms="600000").status == 200


@pytest.mark.parametrize("given", ["", "x", "-1", "+1", "1.5", "1e3", "1_0", "12345678901", " 1 1"])
def test_a_timeout_that_is_none_is_refused(standing: Server, given: str) -> None:
    """A value that is no number of milliseconds is refused, and does not mean no timeout."""
    answer = call(standing.dashboard, "ModelRegistry/GetModel", {}, connect_timeout_ms=given)
    assert "connect-timeout-ms" in refused(answer, 400, "invalid_argument", "INVALID_FIELD")


def test_another_version_of_the_protocol_is_refused(standing: Server) -> None:
    """A client with another version of the protocol is refused."""
    request = {"name": f"{PROJECT}/models/churn"}
    assert call(standing.dashboard, "ModelRegistry/GetModel", request, connect_protocol_version="1").status == 200
    answer = call(standing.dashboard, "ModelRegistry/GetModel", request, connect_protocol_version="9")
    refused(answer, 400, "invalid_argument", "INVALID_FIELD")


def got(url: str, method: str = "ModelRegistry/GetModel", **query: str) -> Answer:
    return ask(url, f"/tallymark.v1.{method}?{urlencode(query, quote_via=quote)}")


def test_what_only_reads_can_be_asked_by_get(standing: Server) -> None:
    """A read responds to GET as to POST: as JSON, as protobuf in base64 with or without padding, and compressed."""
    text = json.dumps({"name": f"{PROJECT}/models/churn"})
    asked = model_registry_pb2.GetModelRequest(name=f"{PROJECT}/models/churn").SerializeToString()
    posted = call(standing.dashboard, "ModelRegistry/GetModel", json.loads(text))
    padded = base64.urlsafe_b64encode(asked).decode()
    packed = base64.urlsafe_b64encode(gzip.compress(text.encode())).decode()
    url = standing.dashboard
    for answer in (
        got(url, connect="v1", encoding="json", message=text),
        got(url, encoding="json", message=packed, base64="1", compression="gzip"),
    ):
        assert (answer.status, answer.json) == (200, posted.json)
    for message in (padded, padded.rstrip("=")):
        answer = got(url, connect="v1", encoding="proto", message=message, base64="1")
        assert answer.headers["content-type"] == "application/proto"
        assert MessageToDict(model_pb2.Model.FromString(answer.body)) == posted.json
    binary = ask(url, f"{GET_MODEL}?encoding=proto&message={quote(asked)}")
    assert MessageToDict(model_pb2.Model.FromString(binary.body)) == posted.json


@pytest.mark.parametrize(
    "query",
    [
        {"encoding": "json"},
        {"connect": "v2", "encoding": "json", "message": "{}"},
        {"encoding": "json", "message": "{"},
        {"encoding": "json", "message": "!", "base64": "1"},
        {"encoding": "json", "message": "e30", "base64": "1", "compression": "gzip"},
        {"encoding": "json", "message": "{}", **{f"p{number}": "" for number in range(30)}},
    ],
)
def test_a_get_that_says_too_little_is_refused(standing: Server, query: dict[str, str]) -> None:
    """A GET with an incomplete request is refused with what is missing or wrong."""
    refused(got(standing.dashboard, **query), 400, "invalid_argument", "INVALID_FIELD")


def test_nothing_is_changed_by_get(server: Server, calls: Calls) -> None:
    """Methods that change something, and streams, accept only POST, and say so."""
    message = json.dumps({"parent": PROJECT, "modelId": "churn"})
    for method in ("ModelRegistry/CreateModel", "EventLog/Watch", "EventLog/Export"):
        answer = got(server.dashboard, method, connect="v1", encoding="json", message=message)
        refused(answer, 405, "unimplemented", "UNSUPPORTED_CALL")
        assert answer.headers["allow"] == "POST"
    assert calls.events() == []


def test_every_refusal_is_an_error_of_connect(standing: Server) -> None:
    """Whatever part of the server refuses a call, the client receives a code, a sentence and a reason, and no page."""
    url = standing.dashboard
    unsupported = ("unimplemented", "UNSUPPORTED_CALL")
    foreign = ("permission_denied", "FOREIGN_ORIGIN")
    many = str(5 * MIB)
    refused(ask(url, GET_MODEL, "POST", "{}", content_type=JSON, host="evil.example"), 421, *foreign)
    refused(ask(url, GET_MODEL, "POST", "{}", content_type=JSON, origin="https://evil.example"), 403, *foreign)
    refused(ask(url, GET_MODEL, "PUT", "{}", content_type=JSON), 405, *unsupported)
    refused(ask(url, GET_MODEL, "POST", "{}", content_type="text/plain"), 415, *unsupported)
    refused(ask(url, GET_MODEL, "POST", "{}", content_type="application/grpc"), 415, *unsupported)
    refused(ask(url, "/tallymark.v1.ModelRegistry/No", "POST", "{}", content_type=JSON), 501, *unsupported)
    refused(ask(url, "/grpc.health.v1.Health/Check", "POST", "{}", content_type=JSON), 501, *unsupported)
    refused(
        ask(url, GET_MODEL, "POST", content_type=JSON, content_length=many), 413, "invalid_argument", "VALUE_TOO_LARGE"
    )
    with connected(url) as connection:
        connection.putrequest("POST", GET_MODEL)
        connection.endheaders()
        refused(Answer(connection.getresponse()), 411, "invalid_argument", "INVALID_FIELD")


@pytest.mark.parametrize("accepted", ["", "gzip"])
def test_a_stream_is_answered_in_envelopes(server: Server, calls: Calls, accepted: str) -> None:
    """Export over Connect returns what it returns over gRPC, compressed if the client accepts that, and ends well."""
    calls.create_model("churn")
    batch(calls, 1000)
    messages, end = streamed(server.dashboard, "EventLog/Export", {"parent": PROJECT}, connect_accept_encoding=accepted)
    assert b"".join(base64.b64decode(message["lines"]) for message in messages) == export(calls)
    assert end == {}


def test_a_stream_can_be_asked_for_as_protobuf_and_compressed(server: Server, calls: Calls) -> None:
    """A request in a compressed envelope is accepted, and has a response in its own format."""
    calls.create_model("churn")
    request = event_log_pb2.ExportRequest(parent=PROJECT).SerializeToString()
    headers = {"content_type": "application/connect+proto", "connect_content_encoding": "gzip"}
    path, body = "/tallymark.v1.EventLog/Export", envelope(gzip.compress(request), PACKED)
    answer = ask(server.dashboard, path, "POST", body, **headers)
    assert answer.headers["content-type"] == "application/connect+proto"
    assert answer.body.count(b"churn") >= 1
    plain = {**headers, "connect_content_encoding": "identity"}
    assert b"invalid_argument" in ask(server.dashboard, path, "POST", body, **plain).body


def test_a_watch_ends_with_the_time_that_the_caller_gave(server: Server, calls: Calls) -> None:
    """A watch over Connect returns the events, and ends with the reason at the caller's deadline."""
    calls.create_model("churn")
    request = {"parent": PROJECT, "afterRevision": "0"}
    # A busy server may need more of the time to begin.
    for given in ("200", "2000", "20000"):
        messages, end = streamed(server.dashboard, "EventLog/Watch", request, connect_timeout_ms=given)
        events = [event["kind"] for message in messages for event in message.get("events", ())]
        if events:
            break
    assert events == [event["kind"] for event in map(MessageToDict, calls.events())]
    assert (end["error"]["code"], info_of(end["error"]["details"]).reason) == ("deadline_exceeded", "CALL_TIMED_OUT")


@pytest.mark.parametrize(
    ("method", "request_", "code", "reason"),
    [
        ("EventLog/Watch", {"parent": "projects/none"}, "not_found", "PROJECT_NOT_FOUND"),
        ("EventLog/Watch", {"parent": PROJECT, "afterRevision": "99"}, "out_of_range", "REVISION_IN_FUTURE"),
        ("EventLog/Export", {"parrot": ""}, "invalid_argument", "INVALID_FIELD"),
        ("EventLog/Nothing", {}, "unimplemented", "UNSUPPORTED_CALL"),
        ("ModelRegistry/GetModel", {}, "unimplemented", "UNSUPPORTED_CALL"),
    ],
)
def test_a_refused_stream_says_why_at_its_end(
    standing: Server, method: str, request_: dict[str, Any], code: str, reason: str
) -> None:
    """A stream that is refused ends with the error in its last envelope, where clients read it."""
    messages, end = streamed(standing.dashboard, method, request_)
    assert messages == []
    assert (end["error"]["code"], info_of(end["error"]["details"]).reason) == (code, reason)


@pytest.mark.parametrize(
    "body", [b"", b"\0\0\0", envelope(b"{}") + b"x", envelope(b"{}") * 2, envelope(b"{}")[:-1], envelope(b"{}", 2)]
)
def test_a_request_that_is_no_envelope_is_refused(standing: Server, body: bytes) -> None:
    """A request for a stream is one whole envelope; anything else is refused, and no incident."""
    answer = ask(standing.dashboard, "/tallymark.v1.EventLog/Watch", "POST", body, content_type=CONNECT)
    assert b'"invalid_argument"' in answer.body
    assert "incident" not in standing.log_file.read_text()


def test_a_stream_goes_as_fast_as_its_reader_and_ends_when_that_leaves(server: Server, calls: Calls) -> None:
    """Exports that nobody reads wait, and release what they hold as soon as their callers leave."""
    calls.create_model("churn")
    batch(calls, 20_000, "x" * 500)
    address = urlsplit(server.dashboard)
    body = envelope(json.dumps({"parent": PROJECT}).encode())
    head = (
        f"POST /tallymark.v1.EventLog/Export HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-type: {CONNECT}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )

    def free() -> bool:
        _, end = streamed(server.dashboard, "EventLog/Export", {"parent": PROJECT, "readRevision": "1"})
        if end:
            assert info_of(end["error"]["details"]).reason == "OVERLOADED"
        return not end

    with ExitStack() as stack:
        unread = []
        for _ in range(8):
            opened = stack.enter_context(socket.socket())
            # A small window, so that the export cannot end in the buffers of the system.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            opened.connect((address.hostname, address.port))
            opened.sendall(head.encode() + body)
            unread.append(opened)
        for opened in unread:
            assert opened.recv(12) == b"HTTP/1.1 200"
        until(lambda: not free(), calls)
    until(free, calls)


def test_a_watch_of_who_has_left_ends(server: Server, calls: Calls) -> None:
    """A watch whose caller has left leaves nothing open in the server."""
    calls.create_model("churn")
    body = envelope(json.dumps({"parent": PROJECT, "afterRevision": "0"}).encode())
    for _ in range(20):
        with connected(server.dashboard) as connection:
            connection.request("POST", "/tallymark.v1.EventLog/Watch", body=body, headers={"content-type": CONNECT})
            assert connection.getresponse().read(1) == b"\0"
    until(lambda: _sockets(server) < 20, calls)


def _sockets(server: Server) -> int:
    found = 0
    for link in Path(f"/proc/{server.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found += "socket" in str(link.readlink())
    return found


def test_a_header_that_is_no_name_is_refused(standing: Server) -> None:
    """An actor over HTTP is percent-encoded UTF-8, as over gRPC."""
    request = {"parent": PROJECT, "modelId": "churn"}
    for actor in ("%FF", "Zo\xeb", ""):
        answer = call(standing.dashboard, "ModelRegistry/CreateModel", request, tallymark_actor=actor)
        refused(answer, 400, "invalid_argument", "INVALID_FIELD")
