"""A service at Unix sockets: private to its owner, reached by every client, and not replaced while a server uses it."""

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
    """A server with two sockets, which is not started yet."""
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
    """TALLYMARK_URL, `configure`, the command line, gRPC and HTTP reach a socket, whose file is private and removed."""
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


def test_sockets_of_a_crashed_server_are_replaced(server: Server, tmp_path: Path) -> None:
    """After a crash, the next server replaces the remaining socket files."""
    server.start()
    server.kill()
    assert len(list(tmp_path.glob("*.sock"))) == 2
    with server:
        assert Client(server.address).newest_revision() == 0


@pytest.mark.parametrize("option", ["address", "http"])
def test_a_socket_in_use_and_other_files_are_not_replaced(server: Server, tmp_path: Path, option: str) -> None:
    """A socket in use, a file that is no socket, a missing folder and a path that is too long are refused."""
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


def test_an_address_without_a_server_fails_at_once(tmp_path: Path) -> None:
    """A missing socket and an address without a path are reported with the cause."""
    with pytest.raises(Unavailable, match=r"nothing\.sock.*No such file"):
        Client(f"unix:{tmp_path}/nothing.sock", timeout=2).newest_revision()
    with pytest.raises(InvalidSetting, match="unix:"):
        Client("unix:")


def test_the_service_in_the_background_listens_at_a_socket(tmp_path: Path) -> None:
    """`up`, `status` and `stop` work with a socket."""
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    database = ["--db", str(tmp_path / "t.db")]
    started = run("up", *database, "--listen", f"unix:{tmp_path}/up.sock", "--no-ui", "-o", "json", **state)
    try:
        assert f"unix:{tmp_path}/up.sock" in started
        assert '"revision": "0"' in run("status", *database, "-o", "json", **state)
    finally:
        run("stop", *database, **state)
    assert not (tmp_path / "up.sock").exists()


def test_connections_are_closed_at_the_maximum_age(tmp_path: Path) -> None:
    """With --max-connection-age a client reconnects, as load balancers need it, and no call fails."""
    with Server(tmp_path / "t.db", ["--max-connection-age", "1"]) as server, Client(server.address) as client:
        client.create_model("churn")
        seen: set[str] = set()
        while len(seen) < 2:
            assert client.get_model("churn").name == "churn"
            seen |= _peers(server)


def _peers(server: Server) -> set[str]:
    """Return the ports of the connections to the server, as the system has them."""
    port = f":{int(server.address.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    rows += [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[2].endswith(port) and row[3] == "01"}
