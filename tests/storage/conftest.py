"""Every storage engine, on a fresh place. A new engine joins here, and must keep every promise of the suite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tallymark_server.storage.contract import Storage
from tallymark_server.storage.sqlite.engine import open_sqlite

Open = Callable[[], AbstractAsyncContextManager[Storage]]


@pytest.fixture(autouse=True)
def _event_loop(unblocked_event_loop: None) -> None:
    """Storage blocks no event loop but where `event_loop.py` gives a reason."""


@pytest.fixture(params=["sqlite"])
def open_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the storage; what was written before is there again."""
    return lambda: open_sqlite(tmp_path / "tallymark.db", ("default", "other"))


@pytest.fixture
async def storage(open_storage: Open) -> AsyncIterator[Storage]:
    """The storage, open."""
    async with open_storage() as opened:
        yield opened
