"""Imports a log from lines: replays it by the rules of the log, into the engine that the target writes to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

from tallymark_server.domain.errors import InvalidField
from tallymark_server.domain.events import Event
from tallymark_server.domain.naming import project_name
from tallymark_server.storage.contract import Problem
from tallymark_server.storage.log import lines
from tallymark_server.storage.log.chain import FORMAT, Row, chained, chained_by_format_1, digest_of, salts
from tallymark_server.storage.log.lines import LineError
from tallymark_server.storage.log.replay import Replay
from tallymark_server.storage.log.seals import Seal

_STRETCH = 1000


class ProjectTarget(Protocol):
    """The tables of a project that is imported."""

    async def project_event(self, event: Event) -> None:
        """Update the tables to the state after the event. Raise ImpossibleEventError if they do not allow it."""
        ...

    async def add_events(self, events: Sequence[tuple[Row, Seal]]) -> None:
        """Add events, with their erasures, to the log."""
        ...

    async def add_receipt(self, receipt: Sequence[object]) -> None:
        """Add a receipt, with the fields of `lines.RECEIPT`."""
        ...

    async def end(self, revision: int, time: int, last_model_id: int, last_hash: bytes) -> None:
        """Write where the log ends."""
        ...

    async def erasure_problems(self) -> list[Problem]:
        """Return every erasure that does not agree with the log."""
        ...


class ImportTarget(Protocol):
    """The storage into which projects are imported."""

    async def revision_of(self, project: str) -> int:
        """Return the revision of the project, 0 if it has no events or does not exist."""
        ...

    async def begin(self, project: str, log_id: str) -> ProjectTarget:
        """Create the project with this log, or set the log of the one without events."""
        ...


class _Project:
    """A project that is being imported."""

    def __init__(self, target: ProjectTarget, raw: dict[str, Any]) -> None:
        self.name, self.log_id, self.revision = raw["project"], raw["log_id"], raw["revision"]
        self._of_format_1 = raw["format"] != FORMAT
        self._old_hash = b""
        self._target = target
        self._replay = Replay(self.name, self.log_id, self._target.project_event)
        self._events: list[tuple[Row, Seal]] = []

    async def event(self, raw: dict[str, Any]) -> None:
        row = Row(*(raw[name] for name in lines.COLUMNS))
        if raw["revision"] > self.revision:
            raise LineError(f"its revision is {raw['revision']}, and its project ends with {self.revision}")
        seal = self._sealed_anew(row, raw) if self._of_format_1 else self._seal(row, raw)
        columns = (*row[:5], *row[7:11], raw["number"], raw["image"], None, seal.erased_at)
        for problem in await self._replay.event(columns, raw["model"], seal):
            raise LineError(f"{problem.where}: {problem.what}")
        self._events.append((row, seal))
        if len(self._events) >= _STRETCH:
            await self._write()

    def _seal(self, row: Row, raw: dict[str, Any]) -> Seal:
        if raw["salt"] is None:
            raise LineError("it lacks 'salt'")
        return Seal(raw["salt"], digest_of(raw["salt"], row), raw["hash"], raw["erased"])

    def _sealed_anew(self, row: Row, raw: dict[str, Any]) -> Seal:
        """Return the seal of the event in this format, if it has the hash of the format before. Raises LineError."""
        self._old_hash = chained_by_format_1(self._old_hash, self.log_id, row)
        if raw["hash"] != self._old_hash or raw["salt"] is not None or raw["erased"]:
            where = f"project {self.name}, revision {row.revision}"
            raise LineError(f"{where}: its hash does not follow from the event and the hash before it")
        (salt,) = salts(1)
        digest = digest_of(salt, row)
        return Seal(salt, digest, chained(self._replay.hash, self.log_id, row, digest))

    async def receipt(self, raw: dict[str, Any]) -> None:
        if not 1 <= raw["first_revision"] <= raw["last_revision"] == self._replay.revision:
            raise LineError(f"request {raw['request_id']} had its effect elsewhere")
        await self._target.add_receipt([raw[name] for name in lines.RECEIPT])

    async def end(self) -> None:
        replay = self._replay
        if replay.revision != self.revision:
            raise LineError(f"project {self.name} has {self.revision} events, and only {replay.revision} are told")
        await self._write()
        for problem in await self._target.erasure_problems():
            raise LineError(f"{problem.where}: {problem.what}")
        await self._target.end(replay.revision, replay.time, replay.last_model_id, replay.hash)

    async def _write(self) -> None:
        await self._target.add_events(self._events)
        self._events.clear()


class LogImporter:
    """Imports line after line. `lines` counts them, `ended` says whether the last one has come."""

    def __init__(self, target: ImportTarget) -> None:
        self._target = target
        self._digest = hashlib.sha256()
        self._project: _Project | None = None
        self.revisions: dict[str, int] = {}
        self.lines = 0
        self.ended = False

    async def add(self, line: bytes) -> None:
        """Import the next line. Raise LineError if it is wrong."""
        if self.ended:
            raise LineError("it comes after the end")
        raw = lines.parsed(line)
        if "project" in raw:
            await self._begin(raw)
        elif "end" in raw:
            await self._end(raw)
        elif self._project is None:
            raise LineError("it belongs to no project")
        elif "kind" in raw:
            await self._project.event(raw)
        else:
            await self._project.receipt(raw)
        self._digest.update(line)
        self.lines += 1

    async def _begin(self, raw: dict[str, Any]) -> None:
        if not 1 <= raw["format"] <= FORMAT:
            raise LineError(f"it has format {raw['format']}, and this program knows {FORMAT}: install a newer one")
        try:
            name = project_name(raw["project"])
        except InvalidField as error:
            raise LineError(str(error)) from None
        if self._project is not None:
            await self._project.end()
        if name in self.revisions:
            raise LineError(f"project {name} comes twice")
        if revision := await self._target.revision_of(name):
            raise LineError(f"project {name} is there already, with {revision:,} events")
        self._project = _Project(await self._target.begin(name, raw["log_id"]), raw)
        self.revisions[name] = raw["revision"]

    async def _end(self, raw: dict[str, Any]) -> None:
        if self._project is not None:
            await self._project.end()
        if (raw["end"], raw["sha256"]) != (self.lines, self._digest.hexdigest()):
            raise LineError("the lines before it are not those that were exported")
        self.ended = True
