"""The store of access in the database itself, which all of its servers share.

Each method is one round trip. What the tables hold is proved as that of a file is: see `storage/access.py`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import psycopg

from tallymark_server.domain.errors import StorageUnavailable
from tallymark_server.storage.access import Entry, RevisionTakenError, Session
from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.database_url import shown
from tallymark_server.storage.postgres.attempts import ask, repeated
from tallymark_server.storage.postgres.connections import UNBOUNDED, Connection, connect
from tallymark_server.storage.postgres.durability import check_settings
from tallymark_server.storage.postgres.errors import told, translated_errors, unavailable_if_lost
from tallymark_server.storage.postgres.exchange import BEGIN, COMMIT, Answer, Call
from tallymark_server.storage.postgres.lending import Connections
from tallymark_server.storage.postgres.migrate import check, prepare, steps

# Each use is one round trip, and servers share the connections that the database allows.
CONNECTIONS = 1
# How often to look whether access was set up, in seconds.
LOOK_EVERY = 1.0
# Made together with the tables of access, so that those are missing only if somebody removed them.
_IS_READY = b"SELECT to_regclass('projects') IS NOT NULL"
# A log whose id was removed is damaged: nobody may be let in as if there were none.
_IS_SET_UP = b"SELECT EXISTS (SELECT FROM access_log) OR EXISTS (SELECT FROM access_events)"
_LOG_ID = b"SELECT id FROM access_log"
_SET_UP = b"INSERT INTO access_log (place, id) VALUES (1, $1) ON CONFLICT DO NOTHING"
_ENTRIES = b"SELECT revision, time, actor, content, hash FROM access_events WHERE revision > $1 ORDER BY revision"
# A statement of its own, so that the next one reads what was there after the wait.
_LOCK = Call(b"SELECT 1 FROM access_log FOR UPDATE")
_APPEND = b"""
INSERT INTO access_events (revision, time, actor, content, hash)
SELECT * FROM unnest($2::text[]::bigint[], $3::text[]::bigint[], $4::text[], $5::text[], $6::bytea[])
WHERE (SELECT coalesce(max(revision), 0) FROM access_events) = $1
"""
_REMOVE_EXPIRED = Call(
    b"DELETE FROM access_sessions WHERE expire_time <= floor(extract(epoch FROM clock_timestamp()))::bigint * 1000000"
)
_PUT_SESSION = b"""
INSERT INTO access_sessions (hash, caller, expire_time) VALUES ($1, $2, $3)
ON CONFLICT (hash) DO UPDATE SET caller = excluded.caller, expire_time = excluded.expire_time
"""
_SESSION = b"SELECT hash, caller, expire_time FROM access_sessions WHERE hash = $1 AND expire_time > $2"
_REMOVE_SESSION = b"DELETE FROM access_sessions WHERE hash = $1"
_REMOVE_SESSIONS = b"DELETE FROM access_sessions WHERE caller = $1"
# In order, so that servers that note the same tokens wait for each other.
_NOTE_USES = b"""
INSERT INTO access_uses (token, day) SELECT * FROM unnest($1::text[], $2::text[]::bigint[])
ON CONFLICT (token) DO UPDATE SET day = greatest(access_uses.day, excluded.day)
"""
_LAST_USES = Call(b"SELECT token, day FROM access_uses")


async def has_access(url: str) -> bool:
    """Return whether access to the database was set up. Raises CannotOpenError."""
    try:
        async with await connect(url, read_only=True) as connection:
            return await _holds(connection, _IS_READY) and await _holds(connection, _IS_SET_UP)
    except psycopg.errors.UndefinedTable:
        raise CannotOpenError(
            f"{shown(url)} lacks the tables of access, without which nobody can be told apart; restore them from a"
            " backup, or name another database with --db"
        ) from None
    except psycopg.Error as error:
        raise CannotOpenError(f"cannot open {shown(url)}: {told(error)}") from None


async def wait_for_access(url: str) -> None:
    """Return once access to the database, which has its tables, was set up.

    Raises CannotOpenError if they cannot be read any more, though the database answers.
    """
    connections = Connections(url, 1, read_only=True)
    try:
        while True:
            with suppress(StorageUnavailable):
                (answer,) = await repeated(lambda: ask(connections, Call(_IS_SET_UP)))
                if answer.rows[0][0]:
                    return
            await asyncio.sleep(LOOK_EVERY)
    except psycopg.Error as error:
        raise CannotOpenError(f"cannot see whether {shown(url)} has access control: {told(error)}") from None
    finally:
        await connections.close()


async def create_access_tables(url: str, entries: Callable[[str], Iterable[Entry]]) -> None:
    """Set access up with the first entries, which `entries` makes for the id of the log; as a whole, or not at all.

    An empty database is made ready. Raises CannotOpenError, also if access was set up before.
    """
    name, log_id = shown(url), secrets.token_hex(16)
    try:
        async with await connect(url, bounds=UNBOUNDED) as connection:
            await check_settings(connection, name)
            await prepare(connection, name, await asyncio.to_thread(steps))
            async with connection.transaction():
                created = (await connection.execute(_SET_UP, (log_id,))).rowcount
                if not created or await _holds(connection, b"SELECT EXISTS (SELECT FROM access_events)"):
                    raise CannotOpenError(
                        f"{name} has access control already: log in with its first token, or, if that is lost, make"
                        " another one with --recover"
                    )
                if first := list(entries(log_id)):
                    await connection.execute(_APPEND, (0, *_columns(first)))
    except psycopg.Error as error:
        raise CannotOpenError(f"cannot open {name}: {told(error)}") from None


async def open_access_tables(url: str) -> AccessTables:
    """Open the store. Raises CannotOpenError, which says what to do, if access was not set up or has lost its log."""
    name = shown(url)
    try:
        async with await connect(url, read_only=True) as connection:
            await check(connection, name, await asyncio.to_thread(steps))
            row = await (await connection.execute(_LOG_ID)).fetchone()
            if row is None and await _holds(connection, _IS_SET_UP):
                raise CannotOpenError(f"{name} has lost the id of its log of access; restore it from a backup")
    except psycopg.Error as error:
        raise CannotOpenError(f"cannot open {name}: {told(error)}") from None
    if row is None:
        raise CannotOpenError(f"{name} has no access control yet; turn it on with tallymark access init --db URL")
    return AccessTables(url, str(row[0]))


class AccessTables:
    """The store on a connection of its own, so that no check of a caller waits for the registry's work."""

    def __init__(self, url: str, log_id: str) -> None:
        self._connections = Connections(url, CONNECTIONS, read_only=False)
        self._log_id = log_id

    @property
    def log_id(self) -> str:
        return self._log_id

    async def read(self, after: int) -> list[Entry]:
        (answer,) = await self._ask(Call(_ENTRIES, (after,)))
        return [Entry(*row) for row in answer.rows]

    async def append(self, expected_revision: int, entries: Sequence[Entry]) -> None:
        added = Call(_APPEND, (expected_revision, *_columns(entries)))
        # Not attempted again: what a commit without an answer was to append may be there.
        with _any_unavailable(), unavailable_if_lost(), translated_errors():
            answers = await ask(self._connections, BEGIN, _LOCK, added, COMMIT)
        if not answers[2].found:
            raise RevisionTakenError

    async def put_session(self, session: Session) -> None:
        await self._ask(BEGIN, _REMOVE_EXPIRED, Call(_PUT_SESSION, session), COMMIT)

    async def session(self, hash_: bytes, now: int) -> Session | None:
        (answer,) = await self._ask(Call(_SESSION, (hash_, now)))
        return Session(*answer.rows[0]) if answer.rows else None

    async def remove_session(self, hash_: bytes) -> None:
        await self._ask(Call(_REMOVE_SESSION, (hash_,)))

    async def remove_sessions(self, caller: str) -> None:
        await self._ask(Call(_REMOVE_SESSIONS, (caller,)))

    async def note_uses(self, days: Mapping[str, int]) -> None:
        if days:
            noted = sorted(days.items())
            await self._ask(Call(_NOTE_USES, ([token for token, _ in noted], [str(day) for _, day in noted])))

    async def last_uses(self) -> dict[str, int]:
        (answer,) = await self._ask(_LAST_USES)
        return dict(answer.rows)

    async def close(self) -> None:
        await self._connections.close()

    async def _ask(self, *calls: Call) -> list[Answer]:
        """Send statements that may be executed twice."""
        with _any_unavailable():
            return await repeated(lambda: ask(self._connections, *calls))


@contextmanager
def _any_unavailable() -> Iterator[None]:
    """Raise StorageUnavailable for all other errors, such as a missing privilege: reading must go on."""
    try:
        yield
    except psycopg.Error as error:
        raise StorageUnavailable(told(error)) from error


def _columns(entries: Sequence[Entry]) -> tuple[list[str] | list[bytes], ...]:
    # Numbers as text: psycopg would give an array of them a type for its largest number.
    revisions, times = [str(entry.revision) for entry in entries], [str(entry.time) for entry in entries]
    actors, contents = [entry.actor for entry in entries], [entry.content for entry in entries]
    return revisions, times, actors, contents, [entry.hash for entry in entries]


async def _holds(connection: Connection, question: bytes) -> bool:
    row = await (await connection.execute(question, prepare=False)).fetchone()
    return row is not None and bool(row[0])
