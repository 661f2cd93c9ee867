"""Proves a file: replays the log into fresh tables, compares them with the file's, and follows the chain of hashes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Model, ModelVersion
from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.sqlite.appending import chained, row_of
from tallymark_server.storage.sqlite.migrate import migrate, steps
from tallymark_server.storage.sqlite.projecting import tell_tables
from tallymark_server.storage.sqlite.rows import EVENT, event_of

_TABLES = (
    "models",
    "renames",
    "versions",
    "aliases",
    "runs",
    "run_versions",
    "run_steps",
    "artifacts",
    "points",
    "facts",
)
_STRETCH = 1000
_SHOWN = 20
_PROJECTS = "SELECT id, name, log_id, revision, time, last_model_id, hash FROM found.projects ORDER BY id"
# The model's name is that of the replayed table: the file's own is still to be proved.
_EVENTS = f"""
SELECT events.hash, events.model, events.number, events.image, {EVENT} FROM found.events AS events
LEFT JOIN main.models ON models.project = events.project AND models.id = events.model
WHERE events.project = ? AND events.revision > ? ORDER BY events.revision LIMIT {_STRETCH}
"""
_BROKEN_RECEIPTS = """
SELECT request_id FROM found.receipts
WHERE project = ? AND NOT (first_revision BETWEEN 1 AND last_revision AND last_revision <= ?)
"""


class Problem(NamedTuple):
    """What is wrong, and where."""

    where: str
    what: str


@dataclass
class Proof:
    """What was looked at. `heads` has the last hash of each project's log, by which the log can be known again."""

    events: int
    heads: dict[str, str]
    problems: list[Problem]


class _Project(NamedTuple):
    id: int
    name: str
    log_id: str
    revision: int
    time: int
    last_model_id: int
    hash: bytes


def verify(path: Path) -> Proof:
    """The proof of a file, also while a server writes to it; CannotOpenError."""
    if not path.is_file():
        raise CannotOpenError(f"there is no file {path}; name one with --db")
    with closing(sqlite3.connect("", isolation_level=None, uri=True)) as scratch:
        try:
            _check_schema(path)
            migrate(scratch, "the scratch database")
            scratch.execute("ATTACH ? AS found", (f"{path.absolute().as_uri()}?mode=ro",))
            scratch.execute("BEGIN")
            return _prove(scratch)
        except sqlite3.DatabaseError as error:
            raise CannotOpenError(f"cannot read {path}: {error}; restore a backup") from None


def _check_schema(path: Path) -> None:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as found:
        (version,) = found.execute("PRAGMA user_version").fetchone()
    if version != steps()[-1][0]:
        raise CannotOpenError(
            f"{path} has schema {version}, and this program proves {steps()[-1][0]}: serve it once first"
        )


def _prove(scratch: sqlite3.Connection) -> Proof:
    proof = Proof(0, {}, [])
    for row in scratch.execute(_PROJECTS).fetchall():
        project = _Project(*row)
        replay = _Replay(scratch, project)
        proof.problems += replay.problems()
        proof.problems += _against_receipts(scratch, project)
        proof.events += replay.revision
        proof.heads[project.name] = replay.hash.hex()
    for table in _TABLES:
        proof.problems += _against_table(scratch, table)
    return proof


class _Replay:
    """Goes through one project's log, and builds the tables that it makes true."""

    def __init__(self, scratch: sqlite3.Connection, project: _Project) -> None:
        self._scratch = scratch
        self._project = project
        self._time = 0
        self._last_numbers: dict[int, int] = {}
        self._last_model_id = 0
        self.revision = 0
        self.hash = b""

    def problems(self) -> Iterator[Problem]:
        """Everything that is wrong with the log, in its order."""
        while rows := self._scratch.execute(_EVENTS, (self._project.id, self.revision)).fetchall():
            for row in rows:
                yield from self._event(row)
        head = self._project
        told = (self.revision, self._time, self._last_model_id, self.hash)
        if (head.revision, head.time, head.last_model_id, head.hash) != told:
            yield Problem(f"project {head.name}", "its head is not the last event of its log")

    def _event(self, row: Sequence[Any]) -> Iterator[Problem]:
        found_hash, model, number, image, *columns = row
        revision = columns[0]
        where = f"project {self._project.name}, revision {revision}"
        if revision != self.revision + 1:
            yield Problem(where, f"the event before it is {self.revision}: events are missing")
        self.revision = revision
        try:
            event = event_of(columns)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            yield Problem(where, f"its image cannot be read: {error!r}")
            self.hash = found_hash
            return
        yield from self._in_order(event, where)
        told = row_of(event, model, number, image)
        self.hash = chained(self.hash, self._project.log_id, told)
        if self.hash != found_hash:
            yield Problem(where, "its hash does not follow from the event and the hash before it")
            self.hash = found_hash
        try:
            tell_tables(self._scratch, self._project.id, [event])
        except sqlite3.IntegrityError as error:
            yield Problem(where, f"it cannot have happened after the events before it: {error}")

    def _in_order(self, event: Event, where: str) -> Iterator[Problem]:
        if event.time < self._time:
            yield Problem(where, "its time is before that of the event before it")
        self._time = event.time
        if getattr(event.image, "mod_revision", None) != event.revision:
            yield Problem(where, "its image is of another revision")
        if isinstance(event.image, Model):
            self._last_model_id = max(self._last_model_id, event.image.id)
        if event.kind is Kind.VERSION_CREATED and isinstance(event.image, ModelVersion):
            version = event.image
            expected = self._last_numbers.get(version.model_id, 0) + 1
            if version.number != expected:
                yield Problem(where, f"it gives number {version.number}, and {expected} is next in the model's line")
            self._last_numbers[version.model_id] = version.number


def _against_table(scratch: sqlite3.Connection, table: str) -> Iterator[Problem]:
    for one, other, what in (("found", "main", "has, and the log does not tell"), ("main", "found", "lacks")):
        rows = scratch.execute(f"SELECT * FROM {one}.{table} EXCEPT SELECT * FROM {other}.{table} LIMIT {_SHOWN}")
        for row in rows:
            yield Problem(f"table {table}", f"{what}: {row}")


def _against_receipts(scratch: sqlite3.Connection, project: _Project) -> Iterator[Problem]:
    for (request_id,) in scratch.execute(_BROKEN_RECEIPTS, (project.id, project.revision)):
        yield Problem(f"project {project.name}, request {request_id}", "its effect is not in the log")
