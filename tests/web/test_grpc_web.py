"""gRPC-Web over HTTP, byte by byte, and which sites' pages may call."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_calls import PROJECT, Calls
from web.http_client import Answer, ask, call
from web.envelopes import PACKED, WEB, WEB_TEXT, by_grpc_web, envelope, grpc_web, status_of
from google.rpc.error_details_pb2 import ErrorInfo

from tallymark.testing import Server
from tallymark.v1 import event_log_pb2, model_pb2, model_registry_pb2
from tallymark_server.settings import InvalidSettingError, parse_origin

pytestmark = pytest.mark.timeout(600)

GET_MODEL, WATCH = "ModelRegistry/GetModel", "EventLog/Watch"
CHURN = model_registry_pb2.GetModelRequest(name=f"{PROJECT}/models/churn")
ALLOWED = "https://app.example"


@pytest.mark.parametrize("kind", ["application/grpc-web", WEB, "application/grpc-web-text", WEB_TEXT])
def test_a_call_by_grpc_web_is_answered(standing: Server, kind: str) -> None:
    """A method responds to gRPC-Web with its message and the trailers, in base64 if the request is in base64."""
    text = "text" in kind
    body = envelope(CHURN.SerializeToString())
    answer = ask(
        standing.dashboard,
        f"/tallymark.v1.{GET_MODEL}",
        "POST",
        base64.b64encode(body) if text else body,
        content_type=kind,
    )
    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    [message], trailers = grpc_web(answer)
    assert model_pb2.Model.FromString(message).name == CHURN.name
    assert trailers == {"grpc-status": "0"}


def test_a_body_of_several_padded_parts_is_one_body(standing: Server) -> None:
    """A body that is encoded piece by piece is accepted, and invalid base64 is refused."""
    body = envelope(CHURN.SerializeToString())
    pieces = b"".join(base64.b64encode(body[start : start + 4]) for start in range(0, len(body), 4))
    for sent, status in ((pieces, "0"), (b"!!!", "3"), (b"=" * 1000, "3"), (b"AAAA " * 1000, "3")):
        answer = ask(standing.dashboard, f"/tallymark.v1.{GET_MODEL}", "POST", sent, content_type=WEB_TEXT)
        assert grpc_web(answer)[1]["grpc-status"] == status


@pytest.mark.parametrize(
    ("method", "name", "status", "reason"),
    [
        (GET_MODEL, f"{PROJECT}/models/nö%", grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
        (GET_MODEL, "x", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        ("ModelRegistry/Nothing", "x", grpc.StatusCode.UNIMPLEMENTED, "UNSUPPORTED_CALL"),
    ],
)
def test_a_refusal_is_in_the_trailers(
    standing: Server, method: str, name: str, status: grpc.StatusCode, reason: str
) -> None:
    """A refused call has the status, the sentence and the details that it has over gRPC."""
    messages, trailers = by_grpc_web(standing.dashboard, method, model_registry_pb2.GetModelRequest(name=name))
    info = ErrorInfo()
    assert status_of(trailers).details[0].Unpack(info)
    assert (messages, trailers["grpc-status"], info.reason) == ([], str(status.value[0]), reason)
    assert trailers["grpc-message"].isascii()


def test_a_watch_by_grpc_web_gives_the_events_and_ends_in_time(server: Server, calls: Calls) -> None:
    """A watch returns each event once, and ends with a status at the caller's deadline."""
    calls.create_model("churn")
    request = event_log_pb2.WatchRequest(parent=PROJECT, after_revision=0)
    for kind in (WEB, WEB_TEXT):
        # A busy server may need more of the time to begin.
        for given in ("200m", "2S", "20S"):
            messages, trailers = by_grpc_web(server.dashboard, WATCH, request, content_type=kind, grpc_timeout=given)
            events = [event for message in messages for event in event_log_pb2.WatchResponse.FromString(message).events]
            if events:
                break
        assert events == calls.events()
        assert trailers["grpc-status"] == str(grpc.StatusCode.DEADLINE_EXCEEDED.value[0])


@pytest.mark.parametrize("given", ["", "1", "S", "-1S", "123456789S", "1s", "1.5S"])
def test_a_timeout_that_is_none_is_refused(standing: Server, given: str) -> None:
    """A value that is no time is refused, and does not mean no timeout."""
    _, trailers = by_grpc_web(standing.dashboard, GET_MODEL, CHURN, grpc_timeout=given)
    assert trailers["grpc-status"] == str(grpc.StatusCode.INVALID_ARGUMENT.value[0])


def test_messages_are_compressed_both_ways(server: Server, calls: Calls) -> None:
    """A compressed message is accepted, and a large response is compressed if the client accepts that."""
    calls.create_model("churn", description="x" * 5000)
    body = envelope(gzip.compress(CHURN.SerializeToString()), PACKED)
    path, headers = f"/tallymark.v1.{GET_MODEL}", {"content_type": WEB, "grpc_encoding": "gzip"}
    answer = ask(server.dashboard, path, "POST", body, grpc_accept_encoding="identity,gzip", **headers)
    assert (answer.headers["grpc-encoding"], answer.body[0]) == ("gzip", PACKED)
    assert [model_pb2.Model.FromString(each) for each in grpc_web(answer)[0]] == [calls.model("churn")]
    plain = ask(server.dashboard, path, "POST", body, **headers)
    assert ("grpc-encoding" in plain.headers, plain.body[0]) == (False, 0)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server that the pages of one other site may call."""
    options = ["--http-origin", ALLOWED, "--http-origin", "HTTP://Localhost:80"]
    with Server(tmp_path_factory.mktemp("shared") / "t.db", options, http="127.0.0.1:0") as running:
        yield running


def preflight(url: str, origin: str, path: str = f"/tallymark.v1.{GET_MODEL}") -> Answer:
    wanted = {"access_control_request_method": "POST", "access_control_request_headers": "content-type,x-grpc-web"}
    return ask(url, path, "OPTIONS", origin=origin, sec_fetch_site="cross-site", **wanted)


def test_pages_of_an_allowed_site_may_call(shared: Server) -> None:
    """A preflight request from an allowed site is accepted, and its pages can read responses and refusals."""
    for origin in (ALLOWED, "http://localhost"):
        asked = preflight(shared.dashboard, origin)
        assert (asked.status, asked.headers["access-control-allow-origin"]) == (200, origin)
        assert "POST" in asked.headers["access-control-allow-methods"]
        assert "x-grpc-web" in asked.headers["access-control-allow-headers"]
        headers = {"origin": origin, "sec_fetch_site": "cross-site"}
        for request, status in (({"parent": PROJECT}, 200), ({"parent": "x"}, 400)):
            answer = call(shared.dashboard, "ModelRegistry/ListModels", request, **headers)
            assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, origin)
            assert "grpc-status" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://app.example", f"{ALLOWED}:8443", "null", f"{ALLOWED}.evil.example"]
)
def test_pages_of_no_other_site_may_call(shared: Server, origin: str) -> None:
    """A preflight request from any other site is refused, and its calls are not made."""
    asked = preflight(shared.dashboard, origin)
    answer = call(shared.dashboard, "ModelRegistry/ListModels", {"parent": PROJECT}, origin=origin)
    _, trailers = by_grpc_web(shared.dashboard, GET_MODEL, CHURN, origin=origin)
    assert (asked.status, answer.status, trailers["grpc-status"]) == (403, 403, "7")
    for each in (asked, answer):
        assert not [name for name in each.headers if name.startswith("access-control")]


def test_other_sites_do_not_even_read(shared: Server) -> None:
    """An image or a link on a page of another site cannot start a proof; a typed address can."""
    path = "/tallymark.v1.EventLog/Verify?encoding=json&message=%7B%22parent%22%3A%22projects%2Fdefault%22%7D"
    for site, status in (("cross-site", 403), ("same-site", 403), ("none", 200), ("same-origin", 200)):
        assert ask(shared.dashboard, path, sec_fetch_site=site).status == status


def test_an_allowed_site_may_call_and_no_more(shared: Server) -> None:
    """Pages and forms of the dashboard stay out of reach of the site whose pages may call."""
    headers = {"origin": ALLOWED, "sec_fetch_site": "cross-site"}
    assert preflight(shared.dashboard, ALLOWED, "/projects").status == 403
    page = ask(shared.dashboard, "/models.json", **headers)
    assert "access-control-allow-origin" not in page.headers
    form = ask(
        shared.dashboard, "/projects", "POST", "name=x", content_type="application/x-www-form-urlencoded", **headers
    )
    assert form.status == 403


@pytest.mark.parametrize(
    "text",
    ["*", "null", "", "app.example", "https://", "https://app.example/", "https://app.example/path", "ftp://app.example",
     "https://*.example", "https://me@app.example", "https://app.example:port", "https://app.example?x", "https://ä.example"],
)  # fmt: skip
def test_a_site_is_named_by_its_origin(text: str) -> None:
    """An invalid origin, and one that means every site, are refused when the server starts."""
    with pytest.raises(InvalidSettingError, match="not the origin of a site"):
        parse_origin(text)


def test_origins_are_compared_as_browsers_write_them() -> None:
    """Capitals and the default port of a scheme do not make another origin."""
    assert parse_origin("HTTPS://App.Example:443") == "https://app.example"
    assert parse_origin("http://[::1]:3000") == "http://[::1]:3000"


def test_the_server_says_what_is_no_origin(tmp_path: Path) -> None:
    """A server with an origin that means every site does not start, and says what to write."""
    with pytest.raises(Exception, match="not the origin of a site"), Server(tmp_path / "t.db", ["--http-origin", "*"]):
        pass
