"""What every store of access promises, on every engine; and the file, which is one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from databases import changed_rows

from tallymark_server.domain.access.events import AccessEvent, GrantAdded
from tallymark_server.domain.access.members import Member, MemberKind
from tallymark_server.domain.access.state import AccessState
from tallymark_server.domain.errors import DataDamaged
from tallymark_server.domain.roles import Role
from tallymark_server.storage.access import AccessStore, Entry, RevisionTakenError, Session, entries_of, folded
from tallymark_server.storage.access_opening import access_place, open_access, set_up_access
from tallymark_server.storage.atomic_files import CannotPlaceError
from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.sqlite.access_file import access_file, create_access_file, open_access_file

NOW = 1_800_000_000_000_000
DAY = 86_400_000_000
ANN = Member(MemberKind.USER, "ann")
OpenStore = Callable[[], Awaitable[AccessStore]]


def granted(role: Role, project: str = "lab") -> GrantAdded:
    return GrantAdded(member=str(ANN), project=project, role=role)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tallymark.access.db"


@pytest.fixture
async def open_store(database: str) -> OpenStore:
    """Open the store of a fresh database of the engine, each time as another process would."""
    assert await access_place(database) is None
    await set_up_access(database, lambda log_id: entries_of(log_id, None, [granted(Role.READER)], "operator", NOW))
    place = await access_place(database)
    assert place is not None
    return lambda: open_access(place)


@pytest.fixture
async def store(open_store: OpenStore) -> AsyncIterator[AccessStore]:
    """The store, open, with one event."""
    opened = await open_store()
    yield opened
    await opened.close()


async def append(store: AccessStore, *events: AccessEvent) -> list[Entry]:
    """Append the events, and return the whole log."""
    log = await store.read(0)
    await store.append(len(log), list(entries_of(store.log_id, log[-1], events, "root", NOW + len(log))))
    return await store.read(0)


async def test_the_log_is_read_as_it_was_appended(store: AccessStore, open_store: OpenStore) -> None:
    """Entries come back in order, from any revision on, also to another process, and prove each other."""
    written = await append(store, granted(Role.WRITER), granted(Role.ADMIN, "shop"))
    other = await open_store()
    assert await other.read(0) == written
    assert await other.read(2) == written[2:]
    assert [entry.revision for entry in written] == [1, 2, 3]
    state = AccessState()
    assert folded(state, other.log_id, None, written) == written[-1]
    assert state.roles(ANN) == {"lab": Role.WRITER, "shop": Role.ADMIN}
    await other.close()


async def test_of_two_changes_after_one_revision_one_is_made(store: AccessStore, open_store: OpenStore) -> None:
    """When several processes append after the same revision, one does, and the others are refused as a whole."""
    others = [await open_store() for _ in range(4)]
    log = await store.read(0)

    async def attempt(each: AccessStore, role: Role) -> bool:
        try:
            entries = entries_of(each.log_id, log[-1], [granted(role), granted(role, "shop")], "root", NOW)
            await each.append(1, list(entries))
        except RevisionTakenError:
            return False
        return True

    done = await asyncio.gather(*(attempt(each, role) for each, role in zip(others, Role, strict=True)))
    assert sorted(done) == [False, False, False, True]
    assert len(await store.read(0)) == 3
    for each in others:
        await each.close()


async def test_sessions_are_kept_until_they_end(store: AccessStore, open_store: OpenStore) -> None:
    """A session is found by its hash, also by another process, until it expires or is removed."""
    ends = 4_000_000_000_000_000
    sessions = [Session(bytes([number] * 32), caller, ends) for number, caller in enumerate(["ann", "ann", "bo"])]
    for session in sessions:
        await store.put_session(session)
    other = await open_store()
    assert [await other.session(each.hash, NOW) for each in sessions] == sessions
    assert await other.session(sessions[0].hash, ends) is None
    await store.remove_session(sessions[0].hash)
    assert await other.session(sessions[0].hash, NOW) is None
    await store.remove_sessions("ann")
    assert [await other.session(each.hash, NOW) for each in sessions] == [None, None, sessions[2]]
    await other.close()


async def test_the_last_day_of_use_never_runs_back(store: AccessStore) -> None:
    """Of two processes that note uses of one token, the later day stays."""
    await store.note_uses({"a": 20_000, "b": 20_000})
    await store.note_uses({"a": 19_999, "b": 20_001})
    assert await store.last_uses() == {"a": 20_000, "b": 20_001}


LONG = [granted(role, f"p{number}") for number in range(200) for role in Role]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {events} SET content = replace(content, 'p1', 'p2') WHERE revision = 7",
        "UPDATE {events} SET actor = 'mallory' WHERE revision = 2",
        "UPDATE {events} SET time = time + 1 WHERE revision = 2",
        "UPDATE {events} SET hash = (SELECT hash FROM {events} WHERE revision = 1) WHERE revision = 2",
        "DELETE FROM {events} WHERE revision = 2",
        "UPDATE {log} SET id = 'another'",
    ],
)
async def test_a_changed_log_is_noticed(database: str, change: str) -> None:
    """Whatever is changed in the log behind the store's back, its chain of hashes shows."""
    await set_up_access(database, lambda log_id: entries_of(log_id, None, LONG, "root", NOW))
    place = await access_place(database)
    assert place is not None
    store = await open_access(place, read_only=True)
    folded(AccessState(), store.log_id, None, await store.read(0))
    await store.close()
    in_file = place != database
    sql = change.format(events="events" if in_file else "access_events", log="log" if in_file else "access_log")
    assert await asyncio.to_thread(changed_rows, place, sql) == 1
    changed = await open_access(place, read_only=True)
    with pytest.raises(DataDamaged):
        folded(AccessState(), changed.log_id, None, await changed.read(0))
    await changed.close()


@pytest.fixture
def log(path: Path) -> list[Entry]:
    """The log of a new file, long enough for several pages."""
    create_access_file(path, lambda log_id: entries_of(log_id, None, LONG, "root", NOW))
    return opened_log(path)


def opened_log(path: Path) -> list[Entry]:
    """Open the file, prove its log, and return it."""
    return asyncio.run(_opened_log(path))


async def _opened_log(path: Path) -> list[Entry]:
    opened = open_access_file(path, read_only=True)
    try:
        entries = await opened.read(0)
        folded(AccessState(), opened.log_id, None, entries)
    finally:
        await opened.close()
    return entries


@pytest.mark.parametrize("page", range(6, 12))
def test_a_damaged_file_is_said_to_be_damaged(path: Path, log: list[Entry], page: int) -> None:
    """When a page of the log is overwritten, reading the log raises DataDamaged, or opening the file is refused."""
    content = bytearray(path.read_bytes())
    assert len(content) > 20 * 4096
    content[page * 4096 : (page + 1) * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    with pytest.raises((DataDamaged, CannotOpenError)):
        opened_log(path)


def test_the_file_is_beside_that_of_the_registry(tmp_path: Path) -> None:
    """Its name follows from that of the registry's file."""
    assert access_file(tmp_path / "tallymark.db") == tmp_path / "tallymark.access.db"
    assert access_file(tmp_path / "models") == tmp_path / "models.access.db"


def test_the_file_is_made_once_and_for_its_owner(path: Path) -> None:
    """Only its owner can read it, and a second one never takes its place."""
    create_access_file(path, lambda _: [])
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CannotPlaceError):
        create_access_file(path, lambda _: [])
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_file_that_everybody_can_read_is_refused(path: Path) -> None:
    """The refusal says which command makes it private."""
    create_access_file(path, lambda _: [])
    path.chmod(0o604)
    with pytest.raises(CannotOpenError, match=f"chmod 600 {path}"):
        open_access_file(path)


@pytest.mark.parametrize("content", [b"", b"no database at all, but more than a hundred bytes" * 10])
def test_a_file_that_is_none_of_access_is_refused(path: Path, content: bytes) -> None:
    """Another file, an empty one and a missing one are refused with what to do."""
    with pytest.raises(CannotOpenError, match="access init"):
        open_access_file(path)
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(CannotOpenError, match="--access-db|restore it"):
        open_access_file(path)


async def test_access_is_set_up_once(database: str, open_store: OpenStore) -> None:
    """A second first token is refused, with how to get another one, and changes nothing."""
    store = await open_store()
    log = await store.read(0)
    with pytest.raises(CannotOpenError, match="--recover"):
        await set_up_access(database, lambda log_id: entries_of(log_id, None, LONG, "mallory", NOW))
    assert await store.read(0) == log
    await store.close()
