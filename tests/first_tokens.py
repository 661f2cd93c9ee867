"""Servers with access control: the first token of an admin, and programs that present a token."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tallymark import Client
from tallymark.credentials import presenting
from tallymark.testing import Server
from tallymark_server.access_commands import init_access


def first_token(db: Path | str) -> str:
    """Turn access control on for the file, or the database of that URL, and return the token of its admin."""
    # Not in this thread, which has an event loop already while a browser is driven.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(init_access, str(db), "root", 0, time.time_ns() // 1000, recover=False).result()


@contextmanager
def client_with(server: Server, token: str, project: str = "default") -> Iterator[Client]:
    """Yield a client that presents the token."""
    with Client(server.address, project=project) as client:
        # The token is read at the first call, and kept.
        with presenting(token):
            client.access.caller()
        yield client


def present(monkeypatch: pytest.MonkeyPatch, server: Server, token: str) -> None:
    """Set the service and the token for the SDK and the commands of this test."""
    monkeypatch.setenv("TALLYMARK_URL", server.address)
    monkeypatch.setenv("TALLYMARK_TOKEN", token)
