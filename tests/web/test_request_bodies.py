"""Bodies of requests over HTTP: each is bounded in size, time and memory, whatever its headers declare."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send
from web.http_client import FORM, ask, call, connected
from web.envelopes import envelope

from tallymark.testing import Server
from tallymark_server.web.actions.forms import sent
from tallymark_server.web.request_bodies import MAX_BODIES, MAX_BODY, SMALL, Bodies

METHOD = "/tallymark.v1.ModelRegistry/CreateModel"
JSON = b"content-type: application/json"


def status_of(url: str, headers: Iterable[bytes], chunks: Iterable[bytes] = (), begin: str = f"POST {METHOD}") -> int:
    """Send the bytes of a request, and return the status of the response; 0 if the server closes the connection."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as sent:
        sent.sendall(b"\r\n".join([f"{begin} HTTP/1.1\r\nhost: 127.0.0.1".encode(), *headers, b"", b""]))
        try:
            for chunk in chunks:
                sent.sendall(chunk)
            line = sent.makefile("rb").readline()
        except (BrokenPipeError, ConnectionResetError):
            return 0
        return int(line.split()[1]) if line else 0


def chunked(data: bytes, times: int) -> Iterable[bytes]:
    yield from [b"%x\r\n%b\r\n" % (len(data), data)] * times
    yield b"0\r\n\r\n"


def test_a_chunked_request_is_answered_like_any_other(standing: Server) -> None:
    """A client that sends in chunks, as Connect's for Node.js does, receives the method's response."""
    body = b'{"parent": "projects/default", "modelId": "in chunks"}'
    assert status_of(standing.dashboard, [JSON, b"transfer-encoding: chunked"], chunked(body, 1)) == 200


def test_a_chunked_request_is_cut_off_at_the_bound(standing: Server) -> None:
    """More than 4 MiB in chunks is refused when the bound is reached, not when everything has arrived."""
    flood = chunked(b"x" * 2**20, 200)
    assert status_of(standing.dashboard, [JSON, b"transfer-encoding: chunked"], flood) in (413, 0)
    assert ask(standing.dashboard, "/").status == 200


@pytest.mark.parametrize("path", ["/tallymark.v1.ModelRegistry/GetModel?encoding=json&message=%7B%7D", "/"])
@pytest.mark.parametrize("header", [b"transfer-encoding: chunked", b"content-length: 9"])
def test_a_get_has_no_body(standing: Server, path: str, header: bytes) -> None:
    """A GET with a body is refused before any of it is read, however long it is."""
    flood = chunked(b"x" * 2**20, 200)
    assert status_of(standing.dashboard, [header], flood, f"GET {path}") in (400, 0)
    assert status_of(standing.dashboard, [b"content-length: 0"], begin="GET /") == 200


def test_a_request_for_a_stream_is_kept_no_longer_than_it_is_read(standing: Server) -> None:
    """Watches with requests of the largest size leave the room for requests to other calls."""
    request = json.dumps({"parent": "projects/default", "afterRevision": 0}).encode()
    body = envelope(request + b" " * (MAX_BODY - 5 - len(request)))
    with ExitStack() as open_connections:
        for _ in range(MAX_BODIES // MAX_BODY + 1):
            watch = open_connections.enter_context(connected(standing.dashboard))
            watch.request("POST", "/tallymark.v1.EventLog/Watch", body, {"content-type": "application/connect+json"})
            # A message means that the watch has begun.
            assert watch.getresponse().read(1) == b"\0"
        found = call(standing.dashboard, "ModelRegistry/GetModel", {"name": "projects/default/models/churn"})
    assert found.status == 200


async def test_small_requests_are_taken_while_large_ones_are_half_sent() -> None:
    """Half-sent requests that fill the bound together keep out a large request, but no small one."""
    answered: list[int] = []
    held = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def sent_by(data: bytes, *, whole: bool) -> None:
        async def receive() -> Message:
            if parts:
                return {"type": "http.request", "body": parts.pop(), "more_body": not whole}
            await held.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            answered.extend([message["status"]] if "status" in message else [])

        parts = [data]
        length = (b"content-length", b"%d" % MAX_BODY)
        await bodies({"type": "http", "method": "POST", "path": METHOD, "headers": [length]}, receive, send)

    bodies = Bodies(app, deadline=600)
    halves = [asyncio.ensure_future(sent_by(b"x" * MAX_BODY, whole=False)) for _ in range(MAX_BODIES // MAX_BODY)]
    await asyncio.sleep(0)
    await sent_by(b"x" * SMALL, whole=True)
    await sent_by(b"x" * MAX_BODY, whole=True)
    assert answered == [200, 503]
    held.set()
    await asyncio.gather(*halves)


def test_two_lengths_are_refused(standing: Server) -> None:
    """A request with a length and in chunks is refused: a proxy may read it as another request than the server."""
    headers = [JSON, b"content-length: 2", b"transfer-encoding: chunked"]
    assert status_of(standing.dashboard, headers, chunked(b"{}", 1)) in (400, 0)


@pytest.mark.parametrize(
    "body", ['{"modelVersions": [%s]}', '{"modelVersion": {"metadata": {"a": {"list": {"values": [%s]}}}}}']
)
def test_a_request_of_very_many_values_is_refused_before_it_is_parsed(standing: Server, body: str) -> None:
    """A million empty entries, which would take protobuf's JSON parser many seconds, are refused by their number."""
    text = body % ",".join(["{}"] * 1_000_000)
    answer = ask(
        standing.dashboard,
        "/tallymark.v1.ModelRegistry/BatchCreateModelVersions",
        "POST",
        text,
        content_type="application/json",
    )
    assert answer.status == 400
    assert "200,000" in answer.json["message"]


def test_a_caller_that_leaves_in_the_middle_is_no_incident(standing: Server) -> None:
    """A connection that ends within a body leaves nothing in the log, and the server goes on."""
    address = urlsplit(standing.dashboard)
    for _ in range(20):
        with socket.create_connection((address.hostname, address.port)) as sent:
            sent.sendall(f"POST {METHOD} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{{".encode())
    assert call(standing.dashboard, "ModelRegistry/GetModel", {"name": "projects/default/models/none"}).status == 404
    assert "incident" not in standing.log_file.read_text()


async def test_others_have_their_turn_while_a_long_form_is_read() -> None:
    """A form of the largest size, all of it escaped, does not block the server while it is parsed."""
    body = b"description=" + b"%41" * ((MAX_BODY - 12) // 3)

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", FORM.encode())],
    }
    turn = asyncio.Event()
    asyncio.get_running_loop().call_soon(turn.set)
    form = await sent(Request(scope, receive))
    assert turn.is_set()
    assert form.text("description").startswith("AAA")


async def test_a_body_that_does_not_arrive_is_given_up() -> None:
    """After the deadline the request is refused with the reason, and what it held is free again."""
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("the handler never sees half a body")

    async def receive() -> Message:
        if first:
            return first.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    first: list[Message] = [{"type": "http.request", "body": b"x" * (MAX_BODY // 2), "more_body": True}]
    bodies = Bodies(app, deadline=0.01)
    length = (b"content-length", b"%d" % MAX_BODY)
    scope: Scope = {"type": "http", "method": "POST", "path": METHOD, "headers": [length]}
    await bodies(scope, receive, send)
    assert sent[0]["status"] == 408
    assert bodies._held == 0
