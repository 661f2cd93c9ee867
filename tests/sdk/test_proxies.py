"""Proxies: not used for this machine and private networks, and named in errors when they fail."""

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tallymark import AsyncClient, Client, errors
from tallymark.client import first_contact
from tallymark.client.proxies import VARIABLES, proxy_of, why_direct
from tallymark.testing import Server

NOBODY = "http://127.0.0.1:9"
# Calls that succeed need a fraction of this; a call through a dead proxy would take its whole timeout.
DEADLINE = 60.0
SOON = 20.0
PUBLIC = "registry.invalid:50051"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the proxy settings of the environment in each test."""
    for name in (*VARIABLES, "all_proxy", "no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)


class FakeProxy:
    """A proxy that gives every CONNECT request the same response, or connects all to one address."""

    def __init__(self, answer: str, to: str = "") -> None:
        self.answer, self.to = answer, to
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._taken: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def _start(self, work: Callable[..., object], *given: Any) -> None:
        self._threads.append(threading.Thread(target=work, args=given))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._taken.append(connection)
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        said = b""
        with suppress(OSError):
            while b"\r\n\r\n" not in said and (more := connection.recv(4096)):
                said += more
            self.asked.append(said.decode())
            connection.sendall(f"HTTP/1.1 {self.answer}\r\n\r\n".encode())
            if not self.to:
                connection.shutdown(socket.SHUT_WR)
                return
            host, _, port = self.to.rpartition(":")
            beyond = socket.create_connection((host, int(port)))
            self._taken.append(beyond)
            self._start(self._copy, connection, beyond)
            self._copy(beyond, connection)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while more := source.recv(65536):
                target.sendall(more)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for each in (self._listener, *self._taken):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def start_proxy() -> Iterator[Callable[..., FakeProxy]]:
    """Start proxies, which end with the test."""
    made: list[FakeProxy] = []

    def play(answer: str = "200 OK", to: str = "") -> FakeProxy:
        made.append(FakeProxy(answer, to))
        return made[-1]

    yield play
    for each in made:
        each.close()


def ask_async(url: str, timeout: float = DEADLINE) -> int:
    async def ask() -> int:
        async with AsyncClient(url, timeout=timeout) as client:
            return await client.newest_revision()

    return asyncio.run(ask())


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `tallymark` in a process of its own, with this process's environment."""
    tallymark = Path(sys.executable).with_name("tallymark")
    return subprocess.run([tallymark, *words], capture_output=True, text=True, check=False, timeout=DEADLINE)


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_local_service_is_reached_without_the_proxy(
    server: Server, monkeypatch: pytest.MonkeyPatch, variable: str, host: str
) -> None:
    """With a dead proxy, both clients connect to a service on this machine at once, by address and by name."""
    monkeypatch.setenv(variable, NOBODY)
    monkeypatch.setenv("all_proxy", NOBODY)
    url = server.address.replace("127.0.0.1", host)
    begun = time.monotonic()
    with Client(url, timeout=DEADLINE) as client:
        assert client.newest_revision() == 0
    assert ask_async(url) == 0
    assert time.monotonic() - begun < SOON


def test_the_command_line_does_not_use_the_proxy_for_a_local_service(
    registry_env: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a dead proxy, `tallymark model list` works, and `doctor` explains why the proxy is not used."""
    monkeypatch.setenv("http_proxy", NOBODY)
    assert command("model", "list").returncode == 0
    done = command("doctor", "-o", "json")
    assert done.returncode == 0
    assert "not used: the host is this machine or in a private network" in done.stdout
    assert "http_proxy" in done.stdout


def test_a_public_host_is_reached_through_the_proxy(
    server: Server, start_proxy: Callable[..., FakeProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that only the proxy can resolve is reached, with the proxy's credentials, which are never shown."""
    proxy = start_proxy(to=server.address)
    monkeypatch.setenv("https_proxy", f"http://ana:s3cret@{proxy.address}")
    with Client(PUBLIC, timeout=DEADLINE) as client:
        assert client.newest_revision() == 0
    assert ask_async(PUBLIC) == 0
    assert first_contact.probe(PUBLIC) is None
    assert len(proxy.asked) >= 3
    for asked in proxy.asked:
        assert asked.startswith(f"CONNECT {PUBLIC} HTTP/1.1")
        assert "Basic YW5hOnMzY3JldA==" in asked
    done = command("--url", PUBLIC, "doctor")
    assert done.returncode == 0
    assert f"http://{proxy.address}" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr


def test_a_proxy_that_refuses_is_named(start_proxy: Callable[..., FakeProxy], monkeypatch: pytest.MonkeyPatch) -> None:
    """Both clients and the command line report the proxy, its response, and the variable that names it."""
    proxy = start_proxy("403 Forbidden by policy")
    monkeypatch.setenv("https_proxy", f"http://{proxy.address}")
    told = []
    begun = time.monotonic()
    with pytest.raises(errors.Unavailable) as caught:
        Client(PUBLIC, timeout=DEADLINE).newest_revision()
    told.append(str(caught.value))
    with pytest.raises(errors.Unavailable) as caught:
        ask_async(PUBLIC)
    told.append(str(caught.value))
    done = command("--url", PUBLIC, "--timeout", str(DEADLINE), "doctor")
    assert done.returncode == 8
    assert f"http://{proxy.address}" in done.stdout
    told.append(done.stderr)
    assert time.monotonic() - begun < SOON
    for text in told:
        assert f"through the proxy http://{proxy.address} (https_proxy): the proxy makes no connection" in text
        assert "'403 Forbidden by policy'" in text
        assert "no_proxy" in text


def test_a_dead_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the proxy does not listen, the error says so, and not that the service is down."""
    monkeypatch.setenv("grpc_proxy", NOBODY)
    with pytest.raises(errors.Unavailable) as caught:
        Client(PUBLIC, timeout=1.5).newest_revision()
    text = str(caught.value)
    assert f"through the proxy {NOBODY} (grpc_proxy): the proxy: nothing listens there (connection refused)" in text
    assert "tallymark serve" not in text


def test_a_wrong_port_behind_a_proxy_is_reported(
    start_proxy: Callable[..., FakeProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The protocol of the port is detected through the proxy."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = start_proxy(to=f"127.0.0.1:{listener.getsockname()[1]}")

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        greeting = threading.Thread(target=greet)
        greeting.start()
        monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
        finding = first_contact.probe(PUBLIC)
        greeting.join()
    assert finding is not None
    assert (finding.cause, finding.final) == ("it answers HTTP, not gRPC", True)


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("127.8.9.10", True), ("10.1.2.3", True), ("172.16.0.1", True), ("192.168.1.9", True), ("169.254.1.1", True),
        ("100.64.0.9", True), ("[::1]", True), ("[fd00::9]", True), ("[fe80::1]", True), ("[::ffff:10.0.0.1]", True),
        ("localhost", True), ("Registry.Localhost", True), ("0.0.0.0", True),
        ("8.8.8.8", False), ("172.32.0.1", False), ("[2001:4860:4860::8888]", False), ("registry.invalid", False),
    ],
)  # fmt: skip
def test_private_addresses_are_reached_directly(monkeypatch: pytest.MonkeyPatch, host: str, near: bool) -> None:
    """Loopback, link-local and private addresses of both families use no proxy; public ones do."""
    monkeypatch.setenv("http_proxy", NOBODY)
    assert (proxy_of(f"{host}:50051") is None) is near


@pytest.mark.parametrize(
    ("addresses", "near"),
    [(["10.0.0.1"], True), (["10.0.0.1", "fd00::1"], True), (["10.0.0.1", "8.8.8.8"], False), (["8.8.8.8"], False)],
)
def test_a_name_is_reached_like_its_addresses(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], near: bool
) -> None:
    """A name with a private address is reached directly; one with a public address through the proxy."""
    monkeypatch.setenv("http_proxy", NOBODY)
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert (proxy_of("registry.internal:50051") is None) is near


@pytest.mark.parametrize(
    ("exempt", "direct"),
    [
        ("", False), ("other.invalid", False), ("registry.invalid", True), (".invalid", True), ("*.invalid", True),
        ("*", True), (" a.b , INVALID ", True), ("8.8.0.0/16", False),
    ],
)  # fmt: skip
def test_exempt_hosts_are_reached_directly(monkeypatch: pytest.MonkeyPatch, exempt: str, direct: bool) -> None:
    """no_proxy exempts names and domains."""
    monkeypatch.setenv("http_proxy", NOBODY)
    monkeypatch.setenv("no_proxy", exempt)
    assert (proxy_of(PUBLIC) is None) is direct
    assert (why_direct(PUBLIC) != "") is direct


def test_exempt_networks_are_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """no_proxy exempts networks, and no_grpc_proxy takes precedence over it."""
    monkeypatch.setenv("http_proxy", NOBODY)
    monkeypatch.setenv("no_proxy", "8.8.0.0/16")
    assert proxy_of("8.8.4.4:50051") is None
    assert proxy_of("9.9.9.9:50051") is not None
    monkeypatch.setenv("no_grpc_proxy", "9.9.9.9")
    assert proxy_of("8.8.4.4:50051") is not None
    assert proxy_of("9.9.9.9:50051") is None


@pytest.mark.parametrize(
    "value", ["", "socks5://127.0.0.1:9", "https://127.0.0.1:9", "127.0.0.1:9", "http://[", "http://a:x"]
)
def test_proxy_variables_are_read_as_grpc_reads_them(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """The first variable that is set decides, and only proxies with plain HTTP are used."""
    monkeypatch.setenv("grpc_proxy", value)
    monkeypatch.setenv("http_proxy", NOBODY)
    assert proxy_of(PUBLIC) is None
