"""A server is open only to its own machine, unless its operator says otherwise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from authorities import Authority
from first_tokens import first_token
from postgres_server import Databases
from tallymark import Client
from tallymark.testing import Server, ServerError
from tallymark_server.exposure import is_local, missing_protection


def refusal(db: Path, *options: str) -> str:
    """Return what a server says that does not start because it is used wrongly."""
    command = [sys.executable, "-m", "tallymark_server", "--db", str(db), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert not db.exists()
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    return line


@pytest.mark.parametrize(
    "options",
    [["--listen", "0.0.0.0:0", "--no-ui"], ["--listen", "[::]:0", "--no-ui"], ["--http", "0.0.0.0:0"]],
)
def test_other_machines_are_not_served_in_the_open(tmp_path: Path, options: list[str]) -> None:
    """Neither port listens for other machines by itself; one sentence says how to go on."""
    said = refusal(tmp_path / "tallymark.db", *options)
    assert said.startswith(f"Error: {options[0]} {options[1].rpartition(':')[0].strip('[]')} reaches other machines")
    for way in ("--tls-cert and --tls-key", "tallymark access init", "--client-ca", "--trust-network"):
        assert way in said


def test_a_database_of_postgresql_is_not_served_in_the_open(
    tmp_path: Path, postgres: Databases, authority: Authority
) -> None:
    """Servers on PostgreSQL listen for other machines only with TLS, and once access was set up in the database."""
    options = authority.issue().for_server
    with postgres.new() as name:
        url = postgres.url(name)
        command = [sys.executable, "-m", "tallymark_server", "--db", url, "--listen", "0.0.0.0:0", "--no-ui"]
        for given, ways in ((), ("--tls-cert", "access init")), (options, ("access init",)):
            done = subprocess.run([*command, *given], capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode == 2
            assert all(way in done.stderr for way in ways)
        first_token(url)
        with Server(tmp_path / "tallymark.db", ["--db", url, *options], address="0.0.0.0:0") as server:
            assert server.running
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 2
        assert "--tls-cert" in done.stderr


def test_metrics_may_reach_other_machines(tmp_path: Path) -> None:
    """The port of metrics needs no word of the operator, since probes have no token, and it answers nothing else."""
    with Server(tmp_path / "tallymark.db", ["--metrics", "0.0.0.0:0"]) as server:
        assert server._process is not None
        assert server._process.stdout is not None
        port = urlsplit(server._process.stdout.readline().rsplit(" at ", 1)[1].strip()).port
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60) as alive:
            assert alive.status == 200
        for path in ("/", "/tallymark.v1.ModelRegistry/ListModels"):
            with pytest.raises(HTTPError, match="404"):
                urlopen(f"http://127.0.0.1:{port}{path}", timeout=60)


def test_tls_alone_does_not_tell_callers_apart(tmp_path: Path, authority: Authority) -> None:
    """A server with TLS that knows none of its callers does not listen for other machines."""
    said = refusal(tmp_path / "tallymark.db", "--listen", "0.0.0.0:0", "--no-ui", *authority.issue().for_server)
    assert "tallymark access init" in said
    assert "--tls-cert" not in said


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("unix:/run/t.sock", True),
        ("0.0.0.0", False), ("::", False), ("10.0.0.7", False), ("192.0.2.1", False), ("fd00::7", False),
    ],
)  # fmt: skip
def test_what_other_machines_reach(host: str, local: bool) -> None:
    """Only loopback addresses and sockets are of this machine alone."""
    assert is_local(host) is local
    assert (missing_protection("--listen", host, tls=False, access=False) == "") is local
    assert (missing_protection("--listen", host, tls=True, access=False) == "") is local
    assert (missing_protection("--listen", host, tls=False, access=True) == "") is local
    assert missing_protection("--listen", host, tls=True, access=True) == ""


def test_the_operator_can_trust_the_network(tmp_path: Path) -> None:
    """With --trust-network, a server listens everywhere without TLS or access control."""
    with Server(tmp_path / "tallymark.db", ["--trust-network"], address="0.0.0.0:0") as server:
        port = server.address.rpartition(":")[2]
        with Client(f"127.0.0.1:{port}") as client:
            assert client.newest_revision() == 0


def test_callers_with_certificates_are_known(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TLS in both directions, a server listens everywhere."""
    options = [*authority.issue().for_server, "--client-ca", str(authority.certificate)]
    mine = authority.issue("ci.lab.example", file="client")
    monkeypatch.setenv("TALLYMARK_CA", str(authority.certificate))
    monkeypatch.setenv("TALLYMARK_CLIENT_CERT", str(mine.certificate))
    monkeypatch.setenv("TALLYMARK_CLIENT_KEY", str(mine.key))
    with Server(tmp_path / "tallymark.db", options, address="0.0.0.0:0") as server:
        port = server.address.rpartition(":")[2]
        with Client(f"grpcs://localhost:{port}") as client:
            assert client.newest_revision() == 0


@pytest.mark.parametrize("options", [["--tls-cert", "a.pem"], ["--tls-key", "a.pem"], ["--client-ca", "a.pem"]])
def test_tls_needs_all_its_files(tmp_path: Path, options: list[str]) -> None:
    """A certificate without a key, or the reverse, does not start a server."""
    assert "TLS needs both --tls-cert and --tls-key" in refusal(tmp_path / "tallymark.db", *options)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path, authority: Authority) -> None:
    """A server does not use a key that every user of the machine can read, and says how to protect it."""
    issued = authority.issue()
    issued.key.chmod(0o644)
    with pytest.raises(ServerError, match=f"chmod o-r {issued.key}"), Server(tmp_path / "a.db", issued.for_server):
        pass


@pytest.mark.parametrize("change", ["missing", "not a certificate", "another key"])
def test_files_that_do_not_fit_are_refused(tmp_path: Path, authority: Authority, change: str) -> None:
    """A server with a certificate that it cannot use does not start; the error names the file."""
    issued = authority.issue()
    if change == "missing":
        issued.certificate.unlink()
    elif change == "not a certificate":
        issued.certificate.write_text("hello")
    else:
        issued.key.write_bytes(authority.issue(file="other").key.read_bytes())
    with pytest.raises(ServerError, match=str(issued.certificate)), Server(tmp_path / "a.db", issued.for_server):
        pass
