"""Fixtures: a real server on a real SQLite file, in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from calling import Calls

from tallymark.testing import Server, registry

__all__ = ["registry"]


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
