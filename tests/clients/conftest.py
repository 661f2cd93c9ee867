"""Fixtures: a real server with both ports, which the tests of a module share."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from grpc_calls import Calls

from tallymark.testing import Server


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start a server, in which each client gets its own project."""
    with Server(tmp_path_factory.mktemp("clients") / "tallymark.db", http="127.0.0.1:0") as running:
        yield running


@pytest.fixture(scope="module")
def shared_calls(shared_server: Server) -> Iterator[Calls]:
    """Return calls to that server, to check what the clients did."""
    with grpc.insecure_channel(shared_server.address) as channel:
        yield Calls(channel)
