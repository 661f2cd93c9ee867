"""Fixtures: a real server on a real SQLite file, in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tallymark.testing import Server, registry
from tallymark.v1.event_log_pb2_grpc import EventLogStub
from tallymark.v1.model_registry_pb2_grpc import ModelRegistryStub
from tallymark.v1.run_registry_pb2_grpc import RunRegistryStub

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


class Stubs:
    """The generated stubs on one channel, as a client in any language has them."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.models = ModelRegistryStub(channel)
        self.runs = RunRegistryStub(channel)
        self.log = EventLogStub(channel)


@pytest.fixture
def stubs(server: Server) -> Iterator[Stubs]:
    """The generated stubs on a channel to the server."""
    with grpc.insecure_channel(server.address) as channel:
        yield Stubs(channel)
