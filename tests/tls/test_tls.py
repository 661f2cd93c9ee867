"""Both ports speak TLS, and every client says in plain words why it does not work."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from authorities import Authority, Issued
from system_programs import program
from tallymark import AsyncClient, Client, errors
from tallymark.testing import Server

# Errors come in a fraction of this; waiting for the deadline fails the test.
DEADLINE = 60.0
SOON = 20.0
TALLYMARK = Path(sys.executable).with_name("tallymark")


def named(server: Server, host: str = "localhost", scheme: str = "grpcs") -> str:
    """Return the server's address by another name."""
    return f"{scheme}://{host}:{server.address.rpartition(':')[2]}"


def context_of(authority: Authority, own: Issued | None = None) -> ssl.SSLContext:
    """Return a context of TLS that trusts the authority."""
    context = ssl.create_default_context(cafile=authority.certificate)
    if own is not None:
        context.load_cert_chain(own.certificate, own.key)
    return context


def failure(url: str) -> str:
    """Return the message of a call that fails soon."""
    begun = time.monotonic()
    with pytest.raises(errors.Unavailable) as caught, Client(url, timeout=DEADLINE) as client:
        client.newest_revision()
    assert time.monotonic() - begun < SOON
    return str(caught.value)


def test_programs_call_by_tls(server: Server, trusting: None) -> None:
    """Both clients and the command line reach a server by grpcs:// and https://, and its own word for its address."""
    assert server.address.startswith("grpcs://127.0.0.1:")
    for url in (server.address, named(server), named(server, scheme="https")):
        with Client(url) as client:
            assert client.newest_revision() == 0

    async def ask() -> int:
        async with AsyncClient(named(server)) as client:
            return await client.newest_revision()

    assert asyncio.run(ask()) == 0
    command: list[str | Path] = [TALLYMARK, "--url", named(server), "model", "create", "churn"]
    assert subprocess.run(command, capture_output=True, check=False, timeout=DEADLINE).returncode == 0


def test_ports_that_addresses_leave_out() -> None:
    """An address with grpcs:// has the port of the service by default, and one with https:// that of HTTPS."""
    for given, shown in (
        ("grpcs://registry.example", "grpcs://registry.example:50051"),
        ("https://registry.example/", "grpcs://registry.example:443"),
        ("https://[fd00::7]", "grpcs://[fd00::7]:443"),
        ("grpcs://[fd00::7]:7", "grpcs://[fd00::7]:7"),
        ("grpc://registry.example:7", "registry.example:7"),
    ):
        assert repr(Client(given)) == f"Client({shown!r}, project='default')"


def test_what_the_machine_trusts_is_trusted(server: Server, authority: Authority) -> None:
    """Without TALLYMARK_CA, the certificates count that the machine's administrator has added to its own."""
    command: list[str | Path] = [TALLYMARK, "--url", named(server), "--timeout", "20", "model", "list"]
    for known in (True, False):
        trusted = {"SSL_CERT_FILE": str(authority.certificate)} if known else {}
        # The machine of the tests may name its own for gRPC.
        env = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")} | trusted
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=DEADLINE)
        assert (done.returncode == 8) is not known, done.stderr


def test_the_dashboard_comes_by_tls(server: Server, authority: Authority) -> None:
    """Pages and calls as JSON come by TLS; browsers remember to come by nothing else, and send cookies so."""
    context = context_of(authority)
    assert server.dashboard.startswith("https://127.0.0.1:")
    # A browser remembers it for names of hosts, not for addresses.
    page = urllib.request.Request(server.dashboard + "settings", b"actor=ana&theme=dark", {"host": "127.0.0.1"})
    with urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _Staying()).open(page) as answer:
        cookies = answer.headers.get_all("set-cookie")
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert cookies
    assert all("secure" in cookie.lower().split("; ") for cookie in cookies)
    call = urllib.request.Request(
        server.dashboard + "tallymark.v1.ModelRegistry/ListModels",
        b'{"parent": "projects/default"}',
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(call, context=context) as answer:
        assert json.load(answer) == {}


def test_curl_calls_by_tls(server: Server, authority: Authority) -> None:
    """curl with the certificate of the authority calls a method, and without it refuses the server."""
    curl = program("curl", packages=("curl",))
    url = f"{server.dashboard}tallymark.v1.ModelRegistry/ListModels"
    call = [curl, "--silent", "-H", "Content-Type: application/json", "-d", '{"parent": "projects/default"}', url]
    for known in (True, False):
        command = [*call, "--cacert", str(authority.certificate)] if known else call
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE)
        # 60: the certificate cannot be verified.
        assert (done.returncode, done.stdout) == ((0, "{}") if known else (60, ""))


class _Staying(urllib.request.HTTPRedirectHandler):
    """Does not follow redirects, which have the cookies."""

    def http_error_303(self, req: object, fp: object, code: int, msg: str, headers: object) -> object:
        return fp


def test_a_port_without_tls_says_nothing_about_it(tmp_path: Path) -> None:
    """Without TLS, no answer requires TLS of browsers, which would lock them out."""
    with (
        Server(tmp_path / "tallymark.db", http="127.0.0.1:0") as plain,
        urllib.request.urlopen(plain.dashboard) as page,
    ):
        assert page.headers["strict-transport-security"] is None


@pytest.mark.parametrize(
    ("names", "days", "known", "words"),
    [
        (["localhost"], -1, True, ["its certificate has expired", "renewed"]),
        (["registry.example"], 1, True, ["its certificate is for other names, not for localhost"]),
        (["10.0.0.7"], 1, True, ["its certificate is for other names, not for localhost"]),
        (["localhost"], 1, False, ["an authority that this machine does not trust", "TALLYMARK_CA"]),
    ],
)
def test_a_bad_certificate_is_reported(
    tmp_path: Path,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    names: list[str],
    days: int,
    known: bool,
    words: list[str],
) -> None:
    """An expired certificate, one for other names, and one of an unknown authority are distinguished, soon."""
    trusted = authority if known else Authority(tmp_path, "other")
    monkeypatch.setenv("TALLYMARK_CA", str(trusted.certificate))
    with Server(tmp_path / "tallymark.db", authority.issue(*names, days=days).for_server) as server:
        said = failure(named(server))

        async def ask() -> None:
            async with AsyncClient(named(server), timeout=DEADLINE) as client:
                await client.newest_revision()

        with pytest.raises(errors.Unavailable) as caught:
            asyncio.run(ask())
    for word in words:
        assert word in said
        assert word in str(caught.value)


def test_the_reverse_of_tls_is_reported(server: Server, tmp_path: Path, trusting: None) -> None:
    """A client without TLS at a port with TLS, and the reverse, report how to write the address."""
    bare = named(server).removeprefix("grpcs://")
    assert f"it speaks TLS, and the address is without it - name it as grpcs://{bare}" in failure(bare)
    with Server(tmp_path / "plain.db", http="127.0.0.1:0") as plain:
        said = failure(f"grpcs://{plain.address}")
        assert "it speaks gRPC without TLS" in said
        assert f"as {plain.address}," in said
        assert "it answers HTTP, not gRPC" in failure(f"grpcs://{urlsplit(plain.dashboard).netloc}")


@pytest.mark.parametrize("text", ["hello", None])
def test_an_unusable_ca_is_reported(server: Server, tmp_path: Path, text: str | None) -> None:
    """The error names TALLYMARK_CA and the file."""
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    env = os.environ | {"TALLYMARK_CA": str(file)}
    command: list[str | Path] = [TALLYMARK, "--url", named(server), "model", "list"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert done.returncode == 2
    assert "TALLYMARK_CA" in done.stderr
    assert str(file) in done.stderr


@contextmanager
def using(monkeypatch: pytest.MonkeyPatch, own: Issued | None) -> Iterator[None]:
    """Have the SDK show a certificate, or none."""
    with monkeypatch.context() as patch:
        for name, path in zip(("CERT", "KEY"), own or (), strict=False):
            patch.setenv(f"TALLYMARK_CLIENT_{name}", str(path))
        yield


def test_only_callers_with_certificates_connect(
    tmp_path: Path, authority: Authority, trusting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --client-ca, both ports take only certificates of that authority that are valid now."""
    mine, late = authority.issue("ci", file="client"), authority.issue("ci", file="late", days=-1)
    foreign = Authority(tmp_path, "other").issue("ci", file="foreign")
    options = [*authority.issue().for_server, "--client-ca", str(authority.certificate)]
    with Server(tmp_path / "tallymark.db", options, http="127.0.0.1:0") as server:
        for own in (None, late, foreign):
            with using(monkeypatch, own):
                assert "accepts only clients with a certificate of an authority that it knows" in failure(named(server))
            with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
                urllib.request.urlopen(server.dashboard, context=context_of(authority, own), timeout=DEADLINE)
        with using(monkeypatch, mine), Client(named(server)) as client:
            assert client.newest_revision() == 0
        with urllib.request.urlopen(server.dashboard, context=context_of(authority, mine)) as page:
            assert page.status == 200


def test_half_a_client_certificate_is_reported(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, server: Server, trusting: None
) -> None:
    """A certificate without its key, or with one that others can read, is refused before a connection is made."""
    own = authority.issue("ci", file="client")
    monkeypatch.setenv("TALLYMARK_CLIENT_CERT", str(own.certificate))
    with pytest.raises(errors.InvalidSetting, match="TALLYMARK_CLIENT_KEY is not"), Client(named(server)) as client:
        client.newest_revision()
    monkeypatch.setenv("TALLYMARK_CLIENT_KEY", str(own.key))
    own.key.chmod(0o644)
    with pytest.raises(errors.InvalidSetting, match="chmod 600"), Client(named(server)) as client:
        client.newest_revision()
    own.key.chmod(0o600)
    own.key.write_bytes(authority.issue("ci", file="other").key.read_bytes())
    with pytest.raises(errors.InvalidSetting, match="no certificate with its key"), Client(named(server)) as client:
        client.newest_revision()


def shown(server: Server, authority: Authority) -> set[bytes]:
    """Return the certificates that the two ports show to new connections."""
    found = set()
    for address in (server.address, server.dashboard):
        place = urlsplit(address)
        found.add(ssl.get_server_certificate((place.hostname or "", place.port or 0)).encode())
    return found


def test_certificates_are_renewed_under_load(server: Server, authority: Authority, trusting: None) -> None:
    """No call fails while certificate and key are replaced; both ports show the latest to new connections."""
    done, problems, answered = threading.Event(), list[Exception](), [0] * 4

    def ask(number: int) -> None:
        url = named(server)
        try:
            with Client(url, timeout=DEADLINE) as kept:
                while not done.is_set():
                    kept.newest_revision()
                    if number % 2:
                        with Client(url, timeout=DEADLINE) as fresh:
                            fresh.newest_revision()
                    else:
                        with urllib.request.urlopen(server.dashboard + "models.json", context=context) as page:
                            page.read()
                    answered[number] += 1
        except (OSError, errors.TallymarkError) as problem:
            problems.append(problem)

    context = context_of(authority)
    asking = [threading.Thread(target=ask, args=(number,)) for number in range(len(answered))]
    for thread in asking:
        thread.start()
    for _ in range(10):
        before, seen = shown(server, authority), answered[:]
        # The files are replaced one after the other, so for a moment they do not fit each other.
        issued = authority.issue()
        while shown(server, authority) & before or min(map(int.__sub__, answered, seen)) < 1:
            assert not problems, problems
        assert shown(server, authority) == {issued.certificate.read_bytes().partition(b"-----END")[0] + END}
    done.set()
    for thread in asking:
        thread.join()
    assert problems == []


END = b"-----END CERTIFICATE-----\n"


def test_an_unusable_renewal_keeps_the_certificate(server: Server, authority: Authority, trusting: None) -> None:
    """If the new files cannot be used, the server goes on with the previous ones, and logs why."""
    before = shown(server, authority)
    (authority.folder / "server.crt").write_text("half a certificate")
    assert shown(server, authority) == before
    with Client(named(server)) as client:
        assert client.newest_revision() == 0
    assert "kept the previous certificate" in server.log_file.read_text()
    authority.issue()
    assert not shown(server, authority) & before
