"""How several servers add to one log in PostgreSQL: in one line, whatever happens to one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from postgres_server import Databases

from storage.commands import create_model, create_versions, numbers_of, write
from tallymark_server.domain.commands import CreateProject, Keys
from tallymark_server.domain.errors import ProjectExists, StorageUnavailable
from tallymark_server.domain.model import Project
from tallymark_server.domain.state import State
from tallymark_server.storage.contract import Writing
from tallymark_server.storage.postgres.engine import PostgresStorage, open_postgres
from tallymark_server.storage.postgres.exchange import Call
from tallymark_server.writer import Answer, decide_batch

WAITING = b"SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')"
MODEL = create_model()


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    """The URL of an empty database."""
    with postgres.new() as name:
        yield postgres.url(name)


@pytest.fixture
async def servers(url: str) -> AsyncIterator[tuple[PostgresStorage, PostgresStorage]]:
    """The storages of two servers on one database."""
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(open_postgres(url, ("default", "other"))) for _ in range(2)]
        yield one, other


Servers = tuple[PostgresStorage, PostgresStorage]


async def state_of(storage: PostgresStorage, model: str = "churn") -> State:
    keys = Keys()
    keys.models.add(model)
    return await storage.write(lambda writing: writing.load("default", keys))


async def test_two_servers_give_each_number_once(servers: Servers) -> None:
    """Batches of several servers on one project are decided one after the other: no number is given twice."""
    await write(servers[0], MODEL)
    batches = [write(servers[place % 2], *[create_versions(None)] * 5) for place in range(20)]
    numbers = [numbers_of(*answers) for answers in await asyncio.gather(*batches)]
    assert sorted(number for batch in numbers for number in batch) == list(range(1, 101))
    assert all(batch == list(range(batch[0], batch[0] + 5)) for batch in numbers)
    state = await state_of(servers[1])
    assert (state.revision, state.last_numbers["churn"]) == (101, 100)


async def test_what_is_loaded_is_read_behind_the_lock(servers: Servers) -> None:
    """A server that has waited for the project sees all of what the one before it has committed, not only its head."""
    one, other = servers
    await write(one, MODEL)
    await state_of(other)
    holding, waiting = asyncio.Event(), asyncio.Event()

    async def hold(writing: Writing) -> None:
        keys = Keys()
        keys.models.add("churn")
        await writing.load("default", keys)
        holding.set()
        await waiting.wait()

    holder = asyncio.create_task(one.write(hold))
    await holding.wait()
    # All of these wait for the holder, and for each other.
    batches = [asyncio.create_task(write(server, create_versions(None))) for server in (other, one) for _ in range(3)]
    while await waiting_for_locks(one) < len(batches):
        pass
    waiting.set()
    await holder
    numbers = [number for answers in await asyncio.gather(*batches) for number in numbers_of(*answers)]
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]


async def waiting_for_locks(storage: PostgresStorage) -> int:
    """Return how many transactions of the database wait for one another."""
    async with storage._readers.lend() as exchange:
        ((row,),) = [answer.rows for answer in await exchange([Call(WAITING)])]
    return int(row[0])


async def test_projects_do_not_wait_for_each_other(servers: Servers) -> None:
    """While a transaction of one project is open, changes of other projects are committed."""
    one, other = servers

    async def nested(writing: Writing) -> list[int]:
        await writing.load("default", Keys())
        await write(other, create_model(project="other"))
        return numbers_of(*await write(one, create_versions(None, project="other")))

    assert await one.write(nested) == [1]


async def test_of_several_servers_one_creates_a_project(servers: Servers) -> None:
    """A project that servers create at the same time is created once, and the others find it."""
    creations = [write(server, CreateProject(project="new", actor="ana")) for server in servers * 4]
    answers = [answer for (answer,) in await asyncio.gather(*creations)]
    created = [answer for answer in answers if isinstance(answer, Project)]
    assert len(created) == 1
    assert [type(answer) for answer in answers if answer not in created] == [ProjectExists] * 7


async def test_who_holds_a_project_for_long_loses_it(servers: Servers) -> None:
    """A server that stops within a transaction holds its project up for some seconds, and then begins again."""
    one, other = servers
    await write(one, MODEL)
    holding, forever = asyncio.Event(), asyncio.Event()

    async def freeze(writing: Writing) -> int:
        await writing.load("default", Keys())
        holding.set()
        await forever.wait()
        return (await writing.load("default", Keys())).revision

    frozen = asyncio.create_task(one.write(freeze, brief=True))
    await holding.wait()
    assert numbers_of(*await write(other, create_versions(None))) == [1]
    forever.set()
    assert await frozen == 2
    assert numbers_of(*await write(one, create_versions(None))) == [2]


async def test_a_lost_connection_is_replaced(servers: Servers, postgres: Databases) -> None:
    """Connections that end before a commit are replaced, and nobody notices: the work is done on new ones."""
    one, other = servers
    await write(one, MODEL)
    await write(other, create_versions(None))
    ended = False

    async def lose(writing: Writing) -> list[Answer]:
        nonlocal ended
        await writing.load("default", Keys())
        if not ended:
            postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
            ended = True
        return await decide_batch(writing, [create_versions(None)], lambda: 1)

    assert numbers_of(*await one.write(lose)) == [2]
    assert numbers_of(*await write(other, create_versions(None))) == [3]
    assert (await state_of(other)).revision == 4


async def test_a_lost_commit_is_unavailable(servers: Servers, postgres: Databases) -> None:
    """A batch whose commit gets no answer is reported as unavailable, and is not done again: it may have been done."""
    one, other = servers
    await write(one, MODEL)

    async def lose(writing: Writing) -> list[Answer]:
        answers = await decide_batch(writing, [create_versions(None)], lambda: 1)
        postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        return answers

    with pytest.raises(StorageUnavailable):
        await one.write(lose)
    assert (await state_of(other)).revision == 1
    assert numbers_of(*await write(one, create_versions(None))) == [1]
