"""Signs of life of runs, which servers on one database share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import psycopg
import pytest
from msgspec.structs import replace
from postgres_server import Databases

from storage.commands import ATTEMPT, start_run
from tallymark_server.domain import commands as c
from tallymark_server.domain.decisions import AnyCommand
from tallymark_server.domain.model import RunState
from tallymark_server.storage.postgres.engine import PostgresStorage, open_postgres
from tallymark_server.writer import decide_batch

SECOND = 1_000_000
FIRST, SECOND_RUN = ("default", "r1"), ("default", "r2")
MADE_OLDER = b"UPDATE signs_of_life SET seen = seen - interval '40 seconds'"


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    """The URL of an empty database."""
    with postgres.new() as name:
        yield postgres.url(name)


@pytest.fixture
async def servers(url: str) -> AsyncIterator[list[PostgresStorage]]:
    """The storages of two servers on one database."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_postgres(url, ("default",))) for _ in range(2)]


async def write(storage: PostgresStorage, *commands: AnyCommand) -> None:
    await storage.write(lambda writing: decide_batch(writing, commands, lambda: SECOND))


async def start(storage: PostgresStorage, *runs: str) -> None:
    await write(storage, *(replace(start_run(run), heartbeat_timeout=90 * SECOND) for run in runs))


async def test_a_server_learns_what_another_has_heard(servers: list[PostgresStorage], url: str) -> None:
    """The silence of a run begins with the last sign that any server has noted; what was never noted has none."""
    one, other = servers
    await start(one, "r1", "r2")
    assert await other.signs.silences([FIRST, SECOND_RUN]) == {}
    assert await one.signs.note([FIRST]) == []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(MADE_OLDER)
    (silence,) = (await other.signs.silences([FIRST, SECOND_RUN])).values()
    assert silence >= 40
    assert await other.signs.note([FIRST]) == []
    assert (await one.signs.silences([FIRST]))[FIRST] < silence


async def test_runs_that_have_ended_elsewhere_are_returned(servers: list[PostgresStorage]) -> None:
    """Whoever notes a sign of a run that is lost, finished or unknown gets to know that."""
    one, other = servers
    await start(one, "r1", "r2")
    await write(one, c.FinishRun(**ATTEMPT, run="r1", state=RunState.SUCCEEDED))
    await write(one, c.LoseRun(project="default", actor="tallymark", run="r2", last_seen=1))
    assert sorted(await other.signs.note([FIRST, SECOND_RUN])) == [FIRST, SECOND_RUN]
    assert await other.signs.note([("default", "unknown"), ("nowhere", "r1")]) == [("default", "unknown")]


async def test_servers_note_the_same_runs_at_the_same_time(servers: list[PostgresStorage]) -> None:
    """Neither undoes, nor waits long for, what the other notes."""
    runs = [("default", f"r{number:03}") for number in range(100)]
    await start(servers[0], *(run for _, run in runs))
    noted = await asyncio.gather(*(storage.signs.note(runs) for storage in servers * 10))
    assert noted == [[]] * 20
    assert (await servers[1].signs.silences(runs)).keys() == set(runs)


async def test_signs_of_runs_that_have_ended_are_removed(url: str) -> None:
    """A server that starts removes what nobody looks up any more."""
    async with open_postgres(url, ("default",)) as storage:
        await start(storage, "r1", "r2")
        await storage.signs.note([FIRST, SECOND_RUN])
        await write(storage, c.FinishRun(**ATTEMPT, run="r1", state=RunState.SUCCEEDED))
    async with open_postgres(url, ("default",)) as storage:
        assert (await storage.signs.silences([FIRST, SECOND_RUN])).keys() == {SECOND_RUN}
