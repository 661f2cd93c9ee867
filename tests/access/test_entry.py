"""The entry to the pages cannot be passed by, however a request is written."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from web.http_client import ask

from first_tokens import first_token
from tallymark.testing import Server
from tallymark_server.web.entry import session_in


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server with access control, and no token for it."""
    db = tmp_path_factory.mktemp("entry") / "tallymark.db"
    first_token(db)
    with Server(db, http="127.0.0.1:0") as running:
        yield running


def status(server: Server, request: bytes) -> int:
    """Send the bytes, with the headers that each request needs, and return the status of the answer."""
    place = urlsplit(server.dashboard)
    assert place.hostname is not None
    assert place.port is not None
    with socket.create_connection((place.hostname, place.port), timeout=60) as sending:
        sending.sendall(request + b"\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        with sending.makefile("rb") as answer:
            return int(answer.readline().split()[1])


@pytest.mark.parametrize(
    "path",
    [
        "/activity", "//activity", "/./activity", "/ACTIVITY", "/activity?then=/sign-in", "http://localhost/activity",
        "/sign-in/../activity", "/sign-in/%2e%2e/activity", "/sign-in%2f..%2factivity", "/sign-in/activity",
        "/static/../activity", "/static/%2e%2e/activity", "/static/..%2f..%2fserver.py", "/static//etc/passwd",
        "/static/%00", "/sign-inx", "*", "/favicon.ico/../activity", "/sign-in/%ff/callback", "/%ff",
        "/sign-in/tallymark.v1.ModelRegistry/GetModel", "/static/../tallymark.v1.ModelRegistry/GetModel",
    ],
)  # fmt: skip
def test_no_other_name_of_a_page_leads_past_the_entry(server: Server, path: str) -> None:
    """Dots, encodings and addresses that begin as open ones lead nobody to a page, to a method or to a file."""
    assert status(server, f"GET {path} HTTP/1.1".encode()) in (400, 401, 404)


@pytest.mark.parametrize(
    "header",
    [
        "x-original-url: /sign-in", "x-rewrite-url: /sign-in", "x-http-method-override: GET", "x-forwarded-user: root",
        "x-remote-user: root", "x-forwarded-for: 127.0.0.1", "forwarded: for=127.0.0.1",
    ],
)  # fmt: skip
def test_no_other_header_names_a_caller(server: Server, header: str) -> None:
    """Headers that some proxies set, to name the caller, the path or the verb, are not heard."""
    assert status(server, f"GET /activity HTTP/1.1\r\n{header}".encode()) == 401


@pytest.mark.parametrize(
    "name", ["tallymark_session", "\xa0__Host-tallymark", "\x85__Host-tallymark", "__host-tallymark"]
)
def test_only_the_exact_name_is_that_of_a_session(name: str) -> None:
    """With TLS, no name counts that another host could have set, as one with a blank that only some readers ignore."""
    scope = {"type": "http", "scheme": "https", "headers": [(b"cookie", f"{name}=planted".encode("latin-1"))]}
    assert session_in(scope) is None
    scope["headers"] = [(b"cookie", f"{name}=planted; a=b;\t__Host-tallymark=own; c".encode("latin-1"))]
    assert session_in(scope) == "own"


def test_an_empty_cookie_is_no_session(server: Server) -> None:
    """A cookie without a value is as none."""
    scope = {"type": "http", "scheme": "http", "headers": [(b"cookie", b"tallymark_session=; tallymark_session")]}
    assert session_in(scope) is None
    assert ask(server.dashboard, "/models.json", cookie="tallymark_session=").status == 401
