"""Fixtures: an authority, and servers with TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from authorities import Authority
from tallymark.testing import Server


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return an authority that no machine trusts by itself."""
    return Authority(tmp_path)


@pytest.fixture
def server(tmp_path: Path, authority: Authority) -> Iterator[Server]:
    """Yield a server with TLS on both ports, for localhost and 127.0.0.1."""
    options = authority.issue().for_server
    with Server(tmp_path / "tallymark.db", options, http="127.0.0.1:0") as running:
        yield running


@pytest.fixture
def trusting(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the SDK of this process, and its commands, trust the authority."""
    monkeypatch.setenv("TALLYMARK_CA", str(authority.certificate))
