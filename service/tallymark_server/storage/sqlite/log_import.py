"""Takes logs in from lines: replays them by the rules of the log, as a whole or not at all."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tallymark_server.domain.errors import InvalidField
from tallymark_server.domain.naming import project_name
from tallymark_server.storage.log import lines
from tallymark_server.storage.log.chain import FORMAT, Row, chained, chained_by_format_1, digest_of, salts
from tallymark_server.storage.log.lines import LineError
from tallymark_server.storage.log.replay import Replay
from tallymark_server.storage.sqlite.erasures import Seal, erasure_problems
from tallymark_server.storage.sqlite.offline_access import changed, revision_of
from tallymark_server.storage.sqlite.run_states import add_run_states

_STRETCH = 1000
_PROJECT = (
    "INSERT OR REPLACE INTO projects (id, name, log_id) VALUES ((SELECT id FROM projects WHERE name = ?1), ?1, ?2)"
)
_ID = "SELECT id FROM projects WHERE name = ?"
_COLUMNS = ("project", *lines.COLUMNS, "hash", "salt", "digest", "erased")
_EVENT = f"INSERT INTO events ({', '.join(_COLUMNS)}) VALUES (?{', ?' * (len(_COLUMNS) - 1)})"
_ERASURE = "INSERT INTO erasures VALUES (?, ?, ?, ?)"
_RECEIPT = "INSERT INTO receipts VALUES (?, ?, ?, ?, ?)"
_HEAD = "UPDATE projects SET revision = ?, time = ?, last_model_id = ?, hash = ? WHERE id = ?"


class CannotImportError(Exception):
    """The lines are not those of an export, or their projects are there already; the message says which and why."""


def import_log(path: Path, source: BinaryIO, tell: Callable[[int], None]) -> dict[str, int]:
    """Take in all projects of an export, and give back the revision of each.

    `tell` is called with the bytes of each line. CannotOpenError, CannotPlaceError, CannotImportError.
    """
    with changed(path) as connection:
        intake = _Intake(connection)
        for number, line in enumerate(_read(source), 1):
            try:
                intake.take(line)
            except LineError as error:
                raise CannotImportError(f"line {number}: {error}; nothing was imported") from None
            except (sqlite3.IntegrityError, ValueError, TypeError, OverflowError) as error:
                # An export that somebody has made up may hold whatever its hashes allow.
                raise CannotImportError(f"line {number}: {error}; nothing was imported") from None
            tell(len(line))
        if not intake.ended:
            raise CannotImportError(f"it is cut off after line {intake.lines}: no end is told; nothing was imported")
        add_run_states(connection)
        return {name: revision_of(connection, name) or 0 for name in intake.revisions}


def _read(source: BinaryIO) -> Iterator[bytes]:
    while line := source.readline(lines.MAX_LINE):
        yield line


class _Project:
    """A project that is being taken in."""

    def __init__(self, connection: sqlite3.Connection, raw: dict[str, Any]) -> None:
        self.name, self.log_id, self.revision = raw["project"], raw["log_id"], raw["revision"]
        self._of_format_1 = raw["format"] != FORMAT
        self._old_hash = b""
        self._connection = connection
        connection.execute(_PROJECT, (self.name, self.log_id))
        ((self._id,),) = connection.execute(_ID, (self.name,)).fetchall()
        self._replay = Replay(connection, self._id, self.name, self.log_id)
        self._rows: list[tuple[object, ...]] = []

    def event(self, raw: dict[str, Any]) -> None:
        row = Row(*(raw[name] for name in lines.COLUMNS))
        if raw["revision"] > self.revision:
            raise LineError(f"its revision is {raw['revision']}, and its project ends with {self.revision}")
        seal = self._sealed_anew(row, raw) if self._of_format_1 else self._seal(row, raw)
        told = (*row[:5], *row[7:11], raw["number"], raw["image"], None, seal.erased_at)
        for problem in self._replay.event(told, raw["model"], seal):
            raise LineError(f"{problem.where}: {problem.what}")
        self._rows.append((self._id, *row, seal.hash, seal.salt, seal.digest, seal.erased_at))
        self._connection.executemany(_ERASURE, [(self._id, row.revision, *mark) for mark in seal.marks])
        if len(self._rows) >= _STRETCH:
            self._write()

    def _seal(self, row: Row, raw: dict[str, Any]) -> Seal:
        if raw["salt"] is None:
            raise LineError("it lacks 'salt'")
        return Seal(raw["salt"], digest_of(raw["salt"], row), raw["hash"], raw["erased"])

    def _sealed_anew(self, row: Row, raw: dict[str, Any]) -> Seal:
        """The seal that the event has in this format, if it has the hash of the format before."""
        self._old_hash = chained_by_format_1(self._old_hash, self.log_id, row)
        if raw["hash"] != self._old_hash or raw["salt"] is not None or raw["erased"]:
            where = f"project {self.name}, revision {row.revision}"
            raise LineError(f"{where}: its hash does not follow from the event and the hash before it")
        (salt,) = salts(1)
        digest = digest_of(salt, row)
        return Seal(salt, digest, chained(self._replay.hash, self.log_id, row, digest))

    def receipt(self, raw: dict[str, Any]) -> None:
        if not 1 <= raw["first_revision"] <= raw["last_revision"] == self._replay.revision:
            raise LineError(f"request {raw['request_id']} had its effect elsewhere")
        self._connection.execute(_RECEIPT, (self._id, *(raw[name] for name in lines.RECEIPT)))

    def end(self) -> None:
        replay = self._replay
        if replay.revision != self.revision:
            raise LineError(f"project {self.name} has {self.revision} events, and only {replay.revision} are told")
        self._write()
        for problem in erasure_problems(self._connection, "main", self._id, self.name):
            raise LineError(f"{problem.where}: {problem.what}")
        self._connection.execute(_HEAD, (replay.revision, replay.time, replay.last_model_id, replay.hash, self._id))

    def _write(self) -> None:
        self._connection.executemany(_EVENT, self._rows)
        self._rows.clear()


class _Intake:
    """Takes line after line. `lines` counts them, `ended` is whether the last one has come."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._digest = hashlib.sha256()
        self._project: _Project | None = None
        self.revisions: dict[str, int] = {}
        self.lines = 0
        self.ended = False

    def take(self, line: bytes) -> None:
        """What the line tells; LineError."""
        if self.ended:
            raise LineError("it comes after the end")
        raw = lines.parsed(line)
        if "project" in raw:
            self._begin(raw)
        elif "end" in raw:
            self._end(raw)
        elif self._project is None:
            raise LineError("it belongs to no project")
        elif "kind" in raw:
            self._project.event(raw)
        else:
            self._project.receipt(raw)
        self._digest.update(line)
        self.lines += 1

    def _begin(self, raw: dict[str, Any]) -> None:
        if not 1 <= raw["format"] <= FORMAT:
            raise LineError(f"it has format {raw['format']}, and this program knows {FORMAT}: install a newer one")
        try:
            name = project_name(raw["project"])
        except InvalidField as error:
            raise LineError(str(error)) from None
        if self._project is not None:
            self._project.end()
        if name in self.revisions:
            raise LineError(f"project {name} comes twice")
        if revision := revision_of(self._connection, name):
            raise LineError(f"project {name} is there already, with {revision:,} events")
        self._project = _Project(self._connection, raw)
        self.revisions[name] = raw["revision"]

    def _end(self, raw: dict[str, Any]) -> None:
        if self._project is not None:
            self._project.end()
        if (raw["end"], raw["sha256"]) != (self.lines, self._digest.hexdigest()):
            raise LineError("the lines before it are not those that were exported")
        self.ended = True
