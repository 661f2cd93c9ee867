"""What every store of access promises, and how the events of its log prove each other.

The log of access is apart from those of projects, so that no export or backup of a registry has it. An engine stores
rows, and this module makes and proves them: an engine needs neither to know events nor hashes.

Order      Revisions go 1, 2, 3, … without a gap.
Atomicity  What `append` receives is stored as a whole, or not at all; of two that expect the same revision, one is.
Durability When `append` or a method about sessions returns, its changes survive the loss of power.
Sharing    Several processes may use a store at the same time; each read sees what any of them has committed.
Failure    When the engine cannot work now, StorageUnavailable is raised; damaged data raises DataDamaged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from tallymark_server.domain.access.events import AccessEvent
from tallymark_server.domain.access.state import AccessState
from tallymark_server.domain.errors import DataDamaged

FIRST_HASH = bytes(32)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AccessEvent).decode


class RevisionTakenError(Exception):
    """Raised when another process has appended meanwhile: read what it has appended, and decide again."""


class Entry(NamedTuple):
    """An event as the log keeps it: who did it and when, its content as JSON, and the hash that proves it.

    `time` is in microseconds since 1970.
    """

    revision: int
    time: int
    actor: str
    content: str
    hash: bytes


class Session(NamedTuple):
    """A session of a browser: the SHA-256 of its cookie, whose it is, and its end in microseconds since 1970."""

    hash: bytes
    caller: str
    expire_time: int


class AccessStore(Protocol):
    """A store of access: the log, the sessions, and the days on which tokens were last used."""

    @property
    def log_id(self) -> str:
        """The id of the log, on which every hash depends."""
        ...

    async def read(self, after: int) -> list[Entry]:
        """Return the entries after that revision, in order."""
        ...

    async def append(self, expected_revision: int, entries: Sequence[Entry]) -> None:
        """Append the entries after the expected revision. Raises RevisionTakenError if that is not the last."""
        ...

    async def put_session(self, session: Session) -> None:
        """Keep the session, and remove those that have expired by its beginning."""
        ...

    async def session(self, hash_: bytes, now: int) -> Session | None:
        """Return the session of that hash, None if there is none or it has expired."""
        ...

    async def remove_session(self, hash_: bytes) -> None:
        """Remove the session of that hash, if there is one."""
        ...

    async def remove_sessions(self, caller: str) -> None:
        """Remove all sessions of the caller."""
        ...

    async def note_uses(self, days: Mapping[str, int]) -> None:
        """Note for ids of tokens the last day of their use, in days since 1970. A later day stays."""
        ...

    async def last_uses(self) -> dict[str, int]:
        """Return the last day on which each token was used, by the token's id."""
        ...

    async def close(self) -> None:
        """Let go of the store."""
        ...


def entries_of(
    log_id: str, last: Entry | None, events: Iterable[AccessEvent], actor: str, time: int
) -> Iterator[Entry]:
    """Yield the entries of events that follow the last entry, None for the first ones."""
    revision, hash_ = (0, FIRST_HASH) if last is None else (last.revision, last.hash)
    for event in events:
        revision += 1
        content = _encode(event).decode()
        hash_ = chained(hash_, log_id, Entry(revision, time, actor, content, b""))
        yield Entry(revision, time, actor, content, hash_)


def chained(last_hash: bytes, log_id: str, entry: Entry) -> bytes:
    """Return the hash of the entry, which follows one with the last hash."""
    revision, time, actor, content, _ = entry
    return hashlib.sha256(last_hash + _encode((log_id, revision, time, actor, content))).digest()


def folded(state: AccessState, log_id: str, last: Entry | None, entries: Iterable[Entry]) -> Entry | None:
    """Apply the entries that follow the last one to the state, and return the last one then.

    Raises DataDamaged at the first entry that the log does not prove, or that cannot be read.
    """
    for entry in entries:
        revision, hash_ = (0, FIRST_HASH) if last is None else (last.revision, last.hash)
        if entry.revision != revision + 1 or chained(hash_, log_id, entry) != entry.hash:
            raise DataDamaged(f"revision {revision + 1} of the log of access is missing or was changed", revision + 1)
        try:
            state.apply([_decode(entry.content)], entry.actor, entry.time)
        except (msgspec.MsgspecError, KeyError, ValueError) as error:
            problem = f"revision {entry.revision} of the log of access cannot be read ({type(error).__name__})"
            raise DataDamaged(problem, entry.revision) from None
        last = entry
    return last
