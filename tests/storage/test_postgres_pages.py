"""Pages of large rows from PostgreSQL, which are read as far as they fit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from postgres_server import Databases

from storage.commands import create_model, create_versions, write
from tallymark_server.storage.postgres import session
from tallymark_server.storage.postgres.engine import open_postgres
from tallymark_server.storage.sql.pages import MAX_PAGE_SIZE

# More than fit into a page.
COUNT = 3 * session.FETCHED


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    """The URL of an empty database."""
    with postgres.new() as name:
        yield postgres.url(name)


async def test_pages_follow_each_other_without_a_gap(url: str) -> None:
    """However many events a reader wants, large and small ones: each page goes on where the one before has ended."""
    async with open_postgres(url, ("default",)) as storage:
        await write(storage, create_model())
        large = create_versions(None)
        text = "x" * (MAX_PAGE_SIZE // 50)
        versions = [replace(large, versions=(replace(large.versions[0], description=text),)) for _ in range(COUNT)]
        await write(storage, *versions, *[create_versions(None)] * COUNT)
        revisions: list[int] = []
        sizes: list[int] = []
        while events := (await storage.events("default", len(revisions), 1000)).items:
            revisions += [event.revision for event in events]
            sizes.append(len(events))
        assert revisions == list(range(1, 2 * COUNT + 2))
        assert max(sizes[:2]) < session.FETCHED < max(sizes)
