"""Access in a database of PostgreSQL: what only holds there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from databases import changed_rows
from postgres_server import Databases

from tallymark_server.domain.access.events import GrantAdded
from tallymark_server.domain.errors import StorageUnavailable
from tallymark_server.domain.roles import Role
from tallymark_server.storage.access import entries_of
from tallymark_server.storage.access_opening import access_place, open_access, set_up_access, wait_for_access
from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.opening import open_storage

NOW = 1_800_000_000_000_000
FIRST = [GrantAdded(member="user:ann", project="lab", role=Role.ADMIN)]


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    """The URL of an empty database."""
    with postgres.new() as name:
        yield postgres.url(name)


async def set_up(url: str) -> None:
    await set_up_access(url, lambda log_id: entries_of(log_id, None, FIRST, "operator", NOW))


async def test_a_served_database_is_open_until_access_is_set_up(url: str) -> None:
    """A database that was served before has no access control; who waits for it learns when it begins."""
    async with open_storage(url, ("default",)):
        assert await access_place(url) is None
        with pytest.raises(CannotOpenError, match="access init --db URL"):
            await open_access(url)
        waiting = asyncio.create_task(wait_for_access(url))
        await set_up(url)
        await waiting
        assert await access_place(url) == url


async def test_of_two_who_set_access_up_one_does(url: str) -> None:
    """When several operators set access up at the same moment, one first token counts, and the others are refused."""
    done = await asyncio.gather(*(set_up(url) for _ in range(4)), return_exceptions=True)
    assert sum(each is None for each in done) == 1
    assert {type(each) for each in done} == {type(None), CannotOpenError}
    store = await open_access(url)
    assert [entry.revision for entry in await store.read(0)] == [1]
    await store.close()


async def test_a_log_that_has_lost_its_id_lets_nobody_in(url: str) -> None:
    """A database from which the id of the log was removed is not taken for one without access control."""
    await set_up(url)
    assert await asyncio.to_thread(changed_rows, url, "DELETE FROM access_log") == 1
    assert await access_place(url) == url
    with pytest.raises(CannotOpenError, match="has lost the id of its log of access"):
        await open_access(url)
    with pytest.raises(CannotOpenError, match="has access control already"):
        await set_up(url)


async def test_a_database_that_does_not_answer_is_not_taken_for_open(url: str) -> None:
    """Whether access was set up is an error while nobody can know."""
    with pytest.raises(CannotOpenError, match="cannot open"):
        await access_place(f"{url}_that_is_not_there")


async def test_a_database_without_the_tables_of_access_is_not_taken_for_open(url: str) -> None:
    """A database from which the tables were removed, or restored without them, is refused."""
    await set_up(url)
    await asyncio.to_thread(changed_rows, url, "DROP TABLE access_events")
    with pytest.raises(CannotOpenError, match="lacks the tables of access"):
        await access_place(url)


async def test_tables_that_cannot_be_read_are_unavailable(url: str) -> None:
    """When tables are gone while servers run, a store says so as for any outage, and who looks for access gives up."""
    async with open_storage(url, ("default",)):
        await set_up(url)
        store = await open_access(url)
        log = await store.read(0)
        await asyncio.to_thread(changed_rows, url, "DROP TABLE access_events")
        with pytest.raises(StorageUnavailable):
            await store.read(0)
        with pytest.raises(StorageUnavailable):
            await store.append(1, list(entries_of(store.log_id, log[-1], FIRST, "root", NOW)))
        with pytest.raises(CannotOpenError, match="cannot see whether"):
            await wait_for_access(url)
        await store.close()
