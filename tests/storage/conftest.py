"""Every storage engine, on a fresh place. A new engine joins here, and must keep every promise of the suite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from tallymark_server.storage.contract import Storage
from tallymark_server.storage.opening import open_storage as open_storage_of

Open = Callable[[], AbstractAsyncContextManager[Storage]]


@pytest.fixture(autouse=True)
def _event_loop(unblocked_event_loop: None) -> None:
    """Storage blocks no event loop but where `event_loop.py` gives a reason."""


@pytest.fixture
def open_storage(database: str) -> Open:
    """Opens the storage; what was written before is there again."""
    return lambda: open_storage_of(database, ("default", "other"))


@pytest.fixture
async def storage(open_storage: Open) -> AsyncIterator[Storage]:
    """The storage, open."""
    async with open_storage() as opened:
        yield opened
