"""A service at Unix sockets: for its owner alone, reached by every client, and not taken from a server that answers."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import grpc
import pytest
from grpc_calls import Calls

import tallymark
from tallymark import Client
from tallymark.errors import InvalidSetting, Unavailable
from tallymark.settings import unconfigured
from tallymark.testing import Server, ServerError


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """A server that is not started yet, at two sockets."""
    return Server(tmp_path / "t.db", address=f"unix:{tmp_path}/grpc.sock", http=f"unix:{tmp_path}/http.sock")


class LocalConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def run(*arguments: str, **environment: str) -> str:
    command = [str(Path(sys.executable).with_name("tallymark")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=True)
    return done.stdout


def test_every_client_reaches_a_socket(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By TALLYMARK_URL, `configure`, command line, gRPC and HTTP; the files are their owner's, and gone at the end."""
    with server:
        assert server.address == f"unix:{tmp_path}/grpc.sock"
        assert server.dashboard == f"unix:{tmp_path}/http.sock"
        for name in ("grpc.sock", "http.sock"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        with grpc.insecure_channel(server.address) as channel:
            Calls(channel).create_model("churn")
        monkeypatch.setenv("TALLYMARK_URL", server.address)
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        assert Client().create_version("churn").number == 1
        monkeypatch.delenv("TALLYMARK_URL")
        monkeypatch.chdir(tmp_path)
        with unconfigured():
            tallymark.configure(url="unix:grpc.sock")
            assert Client().create_version("churn").number == 2
        with Client(f"unix://{tmp_path}/grpc.sock") as client:
            assert client.get_version("churn/2").number == 2
        assert "churn" in run("--url", server.address, "model", "list")
        with closing(LocalConnection(tmp_path / "http.sock")) as page:
            page.request("GET", "/models/churn/versions/2")
            assert "churn" in page.getresponse().read().decode()
    assert not list(tmp_path.glob("*.sock"))


def test_what_a_dead_server_has_left_is_replaced(server: Server, tmp_path: Path) -> None:
    """After a crash the socket files are there, and nobody answers: the next server takes their places."""
    server.start()
    server.kill()
    assert len(list(tmp_path.glob("*.sock"))) == 2
    with server:
        assert Client(server.address).newest_revision() == 0


@pytest.mark.parametrize("option", ["address", "http"])
def test_a_socket_that_answers_or_is_none_is_not_taken(server: Server, tmp_path: Path, option: str) -> None:
    """Another server's socket, a file that is no socket and a path that is too long are refused, and stay."""
    (tmp_path / "letter").write_text("dear reader")
    with server:
        taken = server.address if option == "address" else server.dashboard
        for address, why in (
            (taken, "another server answers"),
            (f"unix:{tmp_path}/letter", "no socket"),
            (f"unix:{tmp_path}/none/x.sock", "make it first"),
            (f"unix:/tmp/{'x' * 100}", "shorter"),
        ):
            where = {"address": "127.0.0.1:0", "http": "127.0.0.1:0", option: address}
            other = Server(tmp_path / "other.db", **where)
            with pytest.raises(ServerError, match=why):
                other.start()
        assert Client(server.address).newest_revision() == 0
    assert (tmp_path / "letter").read_text() == "dear reader"


def test_an_address_without_a_server_is_told_at_once(tmp_path: Path) -> None:
    """A socket that is not there, or answers something else, is named with its cause."""
    with pytest.raises(Unavailable, match=r"nothing\.sock.*No such file"):
        Client(f"unix:{tmp_path}/nothing.sock", timeout=2).newest_revision()
    with pytest.raises(InvalidSetting, match="unix:"):
        Client("unix:")


def test_the_service_in_the_background_listens_at_a_socket(tmp_path: Path) -> None:
    """`up` starts it, `status` finds it, `stop` ends it."""
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    database = ["--db", str(tmp_path / "t.db")]
    started = run("up", *database, "--listen", f"unix:{tmp_path}/up.sock", "--no-ui", "-o", "json", **state)
    try:
        assert f"unix:{tmp_path}/up.sock" in started
        assert '"revision": "0"' in run("status", *database, "-o", "json", **state)
    finally:
        run("stop", *database, **state)
    assert not (tmp_path / "up.sock").exists()


def test_connections_end_at_the_age_that_is_set(tmp_path: Path) -> None:
    """With --max-connection-age a client connects anew, as a balancer needs it, and no call fails by it."""
    with Server(tmp_path / "t.db", ["--max-connection-age", "1"]) as server, Client(server.address) as client:
        client.create_model("churn")
        seen = set()
        while len(seen) < 2:
            assert client.get_model("churn").name == "churn"
            seen |= _peers(server)


def _peers(server: Server) -> set[str]:
    """Return the ports of the connections to the server, as the system has them."""
    port = f":{int(server.address.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    rows += [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[2].endswith(port) and row[3] == "01"}
