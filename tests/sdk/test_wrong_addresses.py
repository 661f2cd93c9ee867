"""Addresses where no Tallymark service can be: the cause is reported long before the deadline."""

import asyncio
import logging
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tallymark import AsyncClient, Client, errors, step
from tallymark.client import first_contact
from tallymark.testing import Server

# Reports come in a fraction of this; waiting for the deadline fails the test.
DEADLINE = 60.0
SOON = 20.0


@contextmanager
def listening(serve: Callable[[socket.socket], object], host: str = "127.0.0.1") -> Iterator[str]:
    """Yield the address of a port whose connections are passed to `serve`, and closed at the end."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                taken.append(connection)
                with suppress(OSError):
                    serve(connection)

    with socket.create_server((host, 0), family=family) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        port = listener.getsockname()[1]
        try:
            yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in taken:
                connection.close()


def sends(text: bytes) -> Callable[[socket.socket], object]:
    """A service that sends a greeting, or a fixed response to any request."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)

    return serve


def speaks_tls(connection: socket.socket) -> None:
    """A TLS server: it closes connections without a handshake, and refuses handshakes."""
    connection.settimeout(5)
    with suppress(OSError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_socket(connection, server_side=True).close()


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[str]:
    """HOST:PORT of the dashboard of a running service."""
    with Server(tmp_path / "tallymark.db", http="127.0.0.1:0") as server:
        yield urlsplit(server.dashboard).netloc


def test_an_unknown_host_is_reported_soon() -> None:
    """Both clients and the command line report the unknown host, and where to set it."""
    url, told = "registry.invalid:50051", []
    begun = time.monotonic()
    with pytest.raises(errors.Unavailable) as caught:
        Client(url, timeout=DEADLINE).get_model("churn")
    told.append(str(caught.value))

    async def ask() -> None:
        async with AsyncClient(url, timeout=DEADLINE) as client:
            await client.get_model("churn")

    with pytest.raises(errors.Unavailable) as caught:
        asyncio.run(ask())
    told.append(str(caught.value))
    command: list[str | Path] = [Path(sys.executable).with_name("tallymark"), "--url", url, "model", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert done.returncode == 8
    told.append(done.stderr)
    assert time.monotonic() - begun < SOON
    for text in told:
        assert "no such host: registry.invalid" in text
        assert "TALLYMARK_URL" in text


def test_a_decorated_function_reports_an_unknown_host_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run does not start, and the error has the cause."""
    monkeypatch.setenv("TALLYMARK_URL", "registry.invalid:50051")
    begun = time.monotonic()
    with pytest.raises(errors.Unavailable, match=r"no such host: registry\.invalid"):
        step(lambda: None)()
    assert time.monotonic() - begun < SOON


def test_the_port_of_the_dashboard_is_recognised(dashboard: str) -> None:
    """The error says that the port serves HTTP, and where to read the right one."""
    begun = time.monotonic()
    for url in (dashboard, dashboard.replace("127.0.0.1", "localhost")):
        with pytest.raises(errors.Unavailable) as caught:
            Client(url, timeout=DEADLINE).get_model("churn")
        for word in (url, "answers HTTP, not gRPC", "dashboard's port", "tallymark serve", "TALLYMARK_URL"):
            assert word in str(caught.value)
    assert time.monotonic() - begun < SOON


async def test_the_port_of_the_dashboard_is_recognised_in_asyncio(dashboard: str) -> None:
    """Several concurrent calls get the error."""
    begun = time.monotonic()
    async with AsyncClient(dashboard, timeout=DEADLINE) as client:
        found = await asyncio.gather(client.get_model("churn"), client.get_model("fraud"), return_exceptions=True)
    assert ["answers HTTP, not gRPC" in str(error) for error in found] == [True] * 2
    assert time.monotonic() - begun < SOON


@pytest.mark.parametrize(
    ("serve", "cause"),
    [
        (speaks_tls, "it speaks TLS, and the address is without it"),
        (sends(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "it does not speak gRPC: it says b'SSH-2.0-OpenSSH_9.2"),
        (sends(b"HTTP/1.0 400 Bad Request\r\n\r\n"), "it answers HTTP, not gRPC"),
    ],
    ids=["TLS", "SSH", "HTTP"],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_with_another_protocol_is_reported(
    serve: Callable[[socket.socket], object], cause: str, host: str
) -> None:
    """A server that will never use gRPC is not waited for, over IPv4 and IPv6."""
    begun = time.monotonic()
    with listening(serve, host) as url, pytest.raises(errors.Unavailable) as caught:
        Client(url, timeout=DEADLINE).get_model("churn")
    assert f"cannot reach {url}: {cause}" in str(caught.value)
    assert time.monotonic() - begun < SOON


@pytest.mark.parametrize(
    "serve", [lambda connection: None, lambda connection: connection.close()], ids=["keeps silent", "closes at once"]
)
def test_a_silent_port_is_waited_for(
    serve: Callable[[socket.socket], object], caplog: pytest.LogCaptureFixture
) -> None:
    """A port that accepts connections for a service that may start is waited for; log and error describe it."""
    with listening(serve) as url, pytest.raises(errors.Unavailable) as caught:
        Client(url, timeout=2.5).get_model("churn")
    (record,) = [record for record in caplog.records if record.name == "tallymark"]
    assert record.levelno == logging.WARNING
    for text in (record.getMessage(), str(caught.value)):
        assert f"no answer from {url}" in text
        assert "it accepts connections, but does not answer" in text
        assert "2.5 s" in text


def test_a_closed_port_is_waited_for(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """A service that starts after its clients is reached; the wait is logged before that."""
    server.stop()
    told = threading.Event()

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.set()

    logger, handler = logging.getLogger("tallymark"), Told()
    logger.addHandler(handler)
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(Client(server.address).newest_revision()))
    try:
        asking.start()
        assert told.wait(DEADLINE)
        server.start()
        asking.join(DEADLINE)
    finally:
        logger.removeHandler(handler)
    assert answers == [0]
    (record,) = [record for record in caplog.records if record.name == "tallymark"]
    assert "nothing listens there (connection refused) - is `tallymark serve` running there?" in record.getMessage()


def test_the_error_at_the_deadline_has_the_cause() -> None:
    """It says what was found at the address."""
    with pytest.raises(errors.Unavailable, match=r"within 0\.5 s: nothing listens there"):
        Client("127.0.0.1:1", timeout=0.5).get_model("churn")


def test_a_wrong_port_takes_precedence_over_a_closed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several addresses of a host, one with gRPC is enough; otherwise a wrong one is reported."""
    with listening(sends(b"HTTP/1.0 400 Bad Request\r\n\r\n")) as url, listening(speaks_grpc) as good:
        port, good_port = int(url.split(":")[1]), int(good.split(":")[1])
        refused = ("127.0.0.1", 1)
        for addresses, cause in (
            ([refused, ("127.0.0.1", port)], "it answers HTTP, not gRPC"),
            ([("127.0.0.1", port), refused], "it answers HTTP, not gRPC"),
            ([refused, refused], "nothing listens there (connection refused)"),
            ([("127.0.0.1", port), ("127.0.0.1", good_port)], None),
        ):
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, found=found, **__: found)
            finding = first_contact.probe("registry.internal:50051")
            assert (finding and finding.cause) == cause
            assert finding is None or finding.final == ("HTTP" in finding.cause)


def speaks_grpc(connection: socket.socket) -> None:
    """The first bytes of a gRPC server: its SETTINGS frame."""
    connection.sendall(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")


def test_a_running_service_is_not_reported(server: Server) -> None:
    """A check of a running service finds no problem, by name, over IPv4."""
    assert first_contact.probe(server.address) is None
    assert first_contact.probe(server.address.replace("127.0.0.1", "localhost")) is None


def test_a_temporary_resolver_failure_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that is unavailable for a moment does not make a name unknown."""

    def away(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", away)
    finding = first_contact.probe("registry.internal:50051")
    assert finding is not None
    assert not finding.final
    assert "cannot be looked up now (Temporary failure in name resolution)" in finding.cause


@pytest.mark.parametrize(
    ("exempt", "final"),
    [("", False), ("other.invalid", False), ("localhost,.invalid", True), ("registry.invalid", True)],
)
def test_names_behind_a_proxy_are_not_checked_locally(
    monkeypatch: pytest.MonkeyPatch, exempt: str, final: bool
) -> None:
    """If gRPC uses a proxy, a name that is unknown here may be known there."""
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:3128")
    monkeypatch.setenv("no_proxy", exempt)
    finding = first_contact.probe("registry.invalid:50051")
    assert finding is not None
    assert finding.final is final


def test_a_service_that_has_responded_is_not_checked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a response, also a refusal, no call causes a check, however long it takes."""
    with Client(server.address, timeout=1) as client:
        with pytest.raises(errors.ModelNotFound):
            client.get_model("churn")
        monkeypatch.setattr(first_contact, "probe", lambda url: pytest.fail("probed"))
        server.stop()
        with pytest.raises(errors.Unavailable, match="within 1 s - is `tallymark serve` running"):
            client.get_model("churn")
