"""Fixtures: a real server, with both ports, for the clients of a module."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from grpc_calls import Calls

from tallymark.testing import Server


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server in which each client has a project of its own."""
    with Server(tmp_path_factory.mktemp("clients") / "tallymark.db", http="127.0.0.1:0") as running:
        yield running


@pytest.fixture(scope="module")
def asking(serving: Server) -> Iterator[Calls]:
    """Calls to that server, to see what the clients have done."""
    with grpc.insecure_channel(serving.address) as channel:
        yield Calls(channel)
