"""How a database of PostgreSQL is made ready, checked, and brought to a newer schema."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from postgres_server import Databases, PostgresServer

from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.database_url import is_url, shown
from tallymark_server.storage.postgres.connections import Connection, connect
from tallymark_server.storage.postgres.durability import check_settings
from tallymark_server.storage.postgres.migrate import Step, migrate, prepare, steps
from tallymark_server.storage.sql.tables import PROJECTION

NOW = steps()
LAST = NOW[-1].number
FURTHER = Step(LAST + 1, LAST, "CREATE TABLE further (x bigint); CREATE TABLE beyond (x bigint)")
BREAKING = Step(LAST + 1, LAST + 1, "CREATE TABLE further (x bigint)")


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    """The URL of an empty database."""
    with postgres.new() as name:
        yield postgres.url(name)


@pytest.fixture
async def connection(url: str) -> AsyncIterator[Connection]:
    """A connection to it."""
    async with await connect(url) as opened:
        yield opened


async def tables(connection: Connection) -> set[str]:
    found = await connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    return {name for (name,) in await found.fetchall()}


async def test_an_empty_database_is_made_ready(connection: Connection) -> None:
    """An empty database gets its tables when it is first served, and keeps them the next time."""
    await prepare(connection, "it", NOW)
    made = await tables(connection)
    assert {"events", "projects"} <= made
    await prepare(connection, "it", NOW)
    assert await tables(connection) == made


async def test_servers_may_start_at_the_same_time(url: str) -> None:
    """Of servers that start together on an empty database, one makes it ready, and all can serve."""

    async def start() -> None:
        async with await connect(url) as one:
            await prepare(one, "it", NOW)

    await asyncio.gather(*(start() for _ in range(16)))
    async with await connect(url) as connection:
        found = await connection.execute("SELECT number FROM schema_steps ORDER BY number")
        assert [number for (number,) in await found.fetchall()] == [0, *(step.number for step in NOW)]


async def test_another_programs_database_is_refused(connection: Connection) -> None:
    """A database with tables of another program is left as it is."""
    await connection.execute("CREATE TABLE theirs (x bigint)")
    for open_it in (prepare, migrate):
        with pytest.raises(CannotOpenError, match="another program's"):
            await open_it(connection, "it", NOW)
    assert await tables(connection) == {"theirs"}


async def test_an_older_database_waits_for_its_operator(connection: Connection) -> None:
    """Tables of an earlier release are not changed by serving, but by `migrate`, once."""
    await prepare(connection, "it", NOW)
    newer = [*NOW, FURTHER]
    with pytest.raises(CannotOpenError, match="tallymark migrate --db URL"):
        await prepare(connection, "it", newer)
    assert "further" not in await tables(connection)
    assert await migrate(connection, "it", newer) == 1
    assert await migrate(connection, "it", newer) == 0
    await prepare(connection, "it", newer)
    assert {"further", "beyond"} <= await tables(connection)


async def test_a_step_is_done_as_a_whole(connection: Connection) -> None:
    """A step that fails leaves nothing behind."""
    await prepare(connection, "it", NOW)
    broken = Step(LAST + 1, 1, f"{FURTHER.sql}; CREATE TABLE further (x bigint)")
    with pytest.raises(psycopg.errors.DuplicateTable):
        await migrate(connection, "it", [*NOW, broken])
    assert not {"further", "beyond"} & await tables(connection)
    assert await migrate(connection, "it", [*NOW, FURTHER]) == 1


async def test_servers_are_renewed_one_by_one(connection: Connection) -> None:
    """An earlier release goes on with newer tables that it can read, and refuses those that it cannot."""
    await migrate(connection, "it", [*NOW, FURTHER])
    await prepare(connection, "it", NOW)
    await connection.execute("UPDATE schema_steps SET readable_from = number")
    with pytest.raises(CannotOpenError, match="newer Tallymark"):
        await prepare(connection, "it", NOW)


async def test_the_tables_are_those_that_the_program_knows(connection: Connection) -> None:
    """Each table of the projection has the columns and the key that `tables.py` says, in order."""
    await prepare(connection, "it", NOW)
    for table in PROJECTION:
        found = await connection.execute(f"SELECT * FROM {table.name} LIMIT 0".encode())
        assert tuple(column.name for column in found.description or ()) == table.columns
        keys = await connection.execute(
            "SELECT attname FROM pg_index, unnest(indkey) WITH ORDINALITY AS key (attnum, place)"
            " JOIN pg_attribute ON attrelid = $1::text::regclass AND pg_attribute.attnum = key.attnum"
            " WHERE indrelid = $1::text::regclass AND indisprimary ORDER BY place",
            (table.name,),
        )
        assert tuple(name for (name,) in await keys.fetchall()) == table.columns[: table.key]


async def test_text_is_compared_by_code_point(connection: Connection) -> None:
    """No column of text has a collation other than C, whatever that of the database is."""
    await prepare(connection, "it", NOW)
    found = await connection.execute(
        "SELECT table_name, column_name, collation_name FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND data_type = 'text'"
    )
    rows = await found.fetchall()
    assert len(rows) > 20
    assert [row for row in rows if row[2] != "C"] == []


@pytest.fixture(scope="module")
def safe() -> Iterator[Databases]:
    """A server with the settings of a fresh installation."""
    with PostgresServer() as server:
        yield Databases(server.url())


@pytest.mark.parametrize(
    ("setting", "value"), [("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "local")]
)
async def test_a_server_that_may_lose_changes_is_refused(safe: Databases, setting: str, value: str) -> None:
    """A server whose settings break a promise is refused, with the setting and what to change."""
    async with await connect(safe.url("postgres")) as connection:
        await check_settings(connection, "it")
        await connection.execute(f"ALTER SYSTEM SET {setting} = {value}")
        try:
            await _reloaded(connection, setting, value)
            with pytest.raises(CannotOpenError, match=f"{setting} = {value}.*ALTER SYSTEM SET {setting} = on"):
                await check_settings(connection, "it")
        finally:
            await connection.execute(f"ALTER SYSTEM RESET {setting}")
            await _reloaded(connection, setting, "on")


async def _reloaded(connection: Connection, setting: str, value: str) -> None:
    """Wait until the server has the setting."""
    await connection.execute("SELECT pg_reload_conf()")
    while True:
        row = await (await connection.execute("SELECT current_setting($1)", (setting,))).fetchone()
        if row == (value,):
            return


async def test_a_server_of_tests_may_lose_changes(postgres: Databases) -> None:
    """A server that says of itself that it may lose data is accepted as it is."""
    async with await connect(postgres.url("postgres")) as connection:
        await check_settings(connection, "it")


async def test_a_database_that_cannot_hold_every_text_is_refused(postgres: Databases) -> None:
    """A database of another encoding than UTF-8 is refused."""
    postgres.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        async with await connect(postgres.url("latin")) as connection:
            with pytest.raises(CannotOpenError, match="has the encoding LATIN1"):
                await check_settings(connection, "it")
    finally:
        postgres.execute("DROP DATABASE latin WITH (FORCE)")


@pytest.mark.parametrize(
    ("url", "visible"),
    [
        ("tallymark.db", "tallymark.db"),
        ("postgresql://ann@db1,db2:5433/name", "postgresql://ann@db1,db2:5433/name"),
        ("postgresql:///name?host=/run", "postgresql:///name"),
        ("postgres://ann:se%40cret@db/name", "postgres://ann@db/name"),
        ("postgresql://ann:secret@db/name?sslpassword=secret", "postgresql://ann@db/name"),
        ("postgresql://db/name?user=ann&password=secret", "postgresql://db/name"),
        ("postgresql://ann:se/c?re@t@db/name", "postgresql://ann@db/name"),
        ("postgresql://ann:secret@db?password=secret@secret", "postgresql://ann@secret"),
        ("postgresql+psycopg://ann:secret@db/name", "postgresql+psycopg://ann@db/name"),
        ("mysql://ann:secret@db/name", "mysql://ann@db/name"),
    ],
)
def test_no_password_is_shown(url: str, visible: str) -> None:
    """What is shown of a URL has its user, its hosts and its database, and no password."""
    assert shown(url) == visible


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:sec%ret@db/name", "postgresql://ann:p@sec@db/name", "postgresql+psycopg://ann:sec@db/name",
        "POSTGRESQL://ann:sec@db/name", "mysql://ann:sec@db/name",
    ],
)  # fmt: skip
async def test_a_wrong_url_is_refused_without_its_password(url: str) -> None:
    """A URL that cannot be read is refused with the shape that it should have, and without its password."""
    assert is_url(url)
    with pytest.raises(CannotOpenError, match="postgresql://USER@HOST1,HOST2/NAME") as refused:
        await connect(url)
    assert "sec" not in str(refused.value)
