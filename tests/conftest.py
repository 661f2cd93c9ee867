"""Fixtures: a real server on a real SQLite file, in a process of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_calls import Calls
from hypothesis import HealthCheck, settings

from tallymark.testing import Server, registry

__all__ = ["registry"]

# A shell that runs the suite in the background has it ignore SIGINT, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes is up to the machine, and what else it does.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True, scope="session")
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Folders of no person: neither the contexts nor the services of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            patch.setenv(variable, str(tmp_path_factory.mktemp(variable.lower())))
        yield


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which runs of this test, in whatever process, keep what is not sent yet."""
    folder = tmp_path / "spool"
    monkeypatch.setenv("TALLYMARK_SPOOL", str(folder))
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server on a fresh file."""
    with Server(tmp_path / "tallymark.db") as running:
        yield running


@pytest.fixture
def registry_env(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The same server, to which this process's SDK records."""
    monkeypatch.setenv("TALLYMARK_URL", server.address)
    return server


@pytest.fixture
def calls(server: Server) -> Iterator[Calls]:
    """Calls to the server over one channel."""
    with grpc.insecure_channel(server.address) as channel:
        yield Calls(channel)
