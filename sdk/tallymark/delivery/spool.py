"""The spool: the folder in which the journals of runs are kept until the registry has them.

It has a folder for each registry and project, and in it, for each process and run, a journal, its companion, and a
folder with files that are still to be uploaded. A process holds a lock on its journals, which ends with it, however it
ends; a journal that nobody holds is one to deliver. What could not be read or delivered is put aside in the spool, and
never removed.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from tallymark.delivery.journal import FORMAT, Journal, Kind
from tallymark.runtime.machine import host_name
from tallymark.settings import Settings

try:
    import fcntl
except ImportError:  # a system without these locks keeps journals in memory
    fcntl = None  # type: ignore[assignment]  # whether it is there is asked before each use - mypy knows but one type

_JOURNAL, _SENT, _FILES = ".journal", ".sent", ".files"
ASIDE = "aside"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Header:
    """Whose journal it is: of which run, recorded by which process, for which registry.

    `run` is empty for what was recorded outside runs. `owned` tells whether the process started the run, and so
    finishes it. `start` is the start of the run, `created` that of the journal, both in microseconds. `model` and
    `version` are what the run's own model was given, None where it has none.
    """

    id: str
    run: str
    url: str
    project: str
    actor: str
    owned: bool
    start: int
    created: int
    host: str = ""
    pid: int = 0
    model: str | None = None
    version: str | None = None
    format: int = FORMAT


class Claimed:
    """A journal that this process holds, with where it lies."""

    def __init__(self, header: Header, journal: Journal, path: Path | None) -> None:
        self.header = header
        self.journal = journal
        self.path = path

    @property
    def files(self) -> Path | None:
        """The folder with files that are still to be uploaded; None when the journal is kept in memory."""
        return None if self.path is None else self.path.with_suffix(_FILES)

    def release(self) -> None:
        """Close the journal, and leave it to whoever claims it next."""
        self.journal.close()

    def remove(self) -> None:
        """Remove the journal, all of which is delivered."""
        if self.path is not None:
            for path in (self.path, self.path.with_suffix(_SENT)):
                path.unlink(missing_ok=True)
            if self.files is not None and self.files.exists():
                shutil.rmtree(self.files, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.path.parent.rmdir()  # works when it was the last
        self.journal.close()

    def put_aside(self) -> Path | None:
        """Keep the journal where nobody delivers it, since it has what could not be read or delivered."""
        if self.path is None:
            self.journal.close()
            return None
        aside = self.path.parent.parent / ASIDE
        _make_folder(aside)
        for path in (self.path, self.path.with_suffix(_SENT), self.path.with_suffix(_FILES)):
            if path.exists():
                path.rename(aside / path.name)
        self.journal.close()
        return aside / self.path.name


def new_header(
    settings: Settings, run: str, start: datetime, *, owned: bool, model: str | None, version: str | None
) -> Header:
    """Return the header of a journal of the run in this process."""
    return Header(
        id=secrets.token_hex(8),
        run=run,
        url=settings.url,
        project=settings.project,
        actor=settings.actor,
        owned=owned,
        start=(start - EPOCH) // timedelta(microseconds=1),
        created=time.time_ns() // 1000,
        host=host_name(),
        pid=os.getpid(),
        model=model,
        version=version,
    )


def create(settings: Settings, header: Header) -> tuple[Claimed, str]:
    """Create a journal; where the spool cannot be written, one in memory, with the reason. Never raises."""
    body = json.dumps(asdict(header)).encode()
    try:
        try:
            claimed, why = _created(folder_of(settings), header), ""
        except FileNotFoundError:  # another process has removed the folder, which was empty, in this moment
            claimed, why = _created(folder_of(settings), header), ""
    except OSError as error:
        claimed, why = Claimed(header, Journal(None, None), None), f"{error.strerror or error}: {settings.spool}"
    claimed.journal.append(Kind.HEADER, 0, body)
    claimed.journal.mark(claimed.journal.end, 0)  # there is nothing to send yet
    return claimed, why


def _created(folder: Path, header: Header) -> Claimed:
    if fcntl is None:
        raise OSError("this system has no locks of files")
    _make_folder(folder)
    path = folder / f"{header.created:016d}.{header.run}.{header.id}{_JOURNAL}"
    # Locked under another name first, so that nobody takes it for one that was left behind.
    early = path.with_suffix(".new")
    fd = _opened(early, os.O_CREAT | os.O_EXCL)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        companion = _opened(path.with_suffix(_SENT), os.O_CREAT)
        early.rename(path)
    except OSError:
        os.close(fd)
        early.unlink(missing_ok=True)
        raise
    return Claimed(header, Journal(fd, companion, str(path)), path)


def _opened(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_RDWR | os.O_APPEND | flags, 0o600)


def _make_folder(folder: Path) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def folder_of(settings: Settings) -> Path:
    """Return the folder of the journals for the registry and project of the settings."""
    place = f"{settings.url}/{settings.project}"
    digest = base64.b32encode(hashlib.sha256(place.encode()).digest())[:8].decode().lower()
    return Path(settings.spool, f"{re.sub(r'[^A-Za-z0-9.-]+', '_', place)[:80]}-{digest}")


class Unreadable(Exception):
    """A file in the spool is no journal that this release can read."""


class TooNew(Unreadable):
    """A journal was written by a later release, which can deliver it."""


class Kept(NamedTuple):
    """What a journal keeps: how many records, since when (in microseconds), and how many bytes."""

    path: Path
    header: Header
    records: int
    oldest: int
    size: int


def header_of(path: Path) -> Header:
    """Return the header of the journal; Unreadable, OSError."""
    with _looking_at(path) as journal:
        return _header(journal, path)


def kept_in(path: Path) -> Kept:
    """Return what the journal keeps, whoever holds it; Unreadable, OSError."""
    with _looking_at(path) as journal:
        header = _header(journal, path)
        waiting = path.with_suffix(_FILES)
        files = sum(each.stat().st_size for each in waiting.rglob("*") if each.is_file()) if waiting.exists() else 0
        return Kept(path, header, *journal.pending(), path.stat().st_size + files)


@contextlib.contextmanager
def _looking_at(path: Path) -> Iterator[Journal]:
    fd = os.open(path, os.O_RDONLY)
    companion = None
    with contextlib.suppress(FileNotFoundError):
        companion = os.open(path.with_suffix(_SENT), os.O_RDONLY)
    journal = Journal(fd, companion, str(path))
    try:
        yield journal
    finally:
        journal.close()


def _header(journal: Journal, path: Path) -> Header:
    records, _, _ = journal.read(0)
    if not records or records[0].kind != Kind.HEADER:
        raise Unreadable(f"{path} is no journal, or its beginning is damaged")
    try:
        told: dict[str, Any] = json.loads(records[0].body)
        if told["format"] > FORMAT:
            raise TooNew(f"{path} was written by a later release of Tallymark; update this one")
        names = {field.name for field in fields(Header)}
        return Header(**{name: value for name, value in told.items() if name in names})
    except (ValueError, TypeError, KeyError):
        raise Unreadable(f"{path} is no journal, or its beginning is damaged") from None


def journals(spool: str) -> list[Path]:
    """Return the journals of the spool, of every registry, the oldest first."""
    return sorted(Path(spool).glob(f"*/*{_JOURNAL}"), key=lambda path: (path.parent.name == ASIDE, path.name))


def journals_of(settings: Settings, run: str = "") -> list[Path]:
    """Return the journals for the registry and project of the settings, or those of one run, the oldest first."""
    pattern = f"*.{run}.*{_JOURNAL}" if run else f"*{_JOURNAL}"
    found = sorted(folder_of(settings).glob(pattern))
    return [path for path in found if not run or path.name.split(".", 1)[1].rsplit(".", 2)[0] == run]


def claim(path: Path) -> Claimed | None:
    """Return the journal, now held by this process; None while another process holds it. Unreadable, OSError."""
    if fcntl is None:
        return None
    try:
        fd = _opened(path)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held it may have delivered and removed it, or put it aside, in between.
        if os.fstat(fd).st_nlink == 0 or not path.exists():
            os.close(fd)
            return None
        journal = Journal(fd, _opened(path.with_suffix(_SENT), os.O_CREAT), str(path))
    except BlockingIOError:
        os.close(fd)
        return None
    try:
        return Claimed(_header(journal, path), journal, path)
    except TooNew:
        journal.close()
        raise
    except Unreadable:
        Claimed(Header("", "", "", "", "", owned=False, start=0, created=0), journal, path).put_aside()
        raise


def is_held(path: Path) -> bool:
    """Return whether a living process holds the journal."""
    if fcntl is None:
        return False
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDONLY)
        try:
            # Shared, so that two who look at once do not take each other for the holder. NFS, too, gives whoever only
            # reads a file no other lock.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
    return False


def abandoned(settings: Settings, run: str = "") -> Iterator[Path]:
    """Yield the journals for the registry of the settings that no process holds, the oldest first."""
    for path in journals_of(settings, run):
        if not is_held(path):
            yield path


def is_live(settings: Settings, run: str) -> bool:
    """Return whether a living process of this machine records in the run."""
    return any(is_held(path) for path in journals_of(settings, run))


def is_anything_on_its_way(settings: Settings, run: str, *, but: Path | None) -> bool:
    """Return whether other processes of the run, which live, have records that they have not sent yet."""
    for path in journals_of(settings, run):
        if path == but:
            continue
        with contextlib.suppress(OSError), _looking_at(path) as journal:
            if journal.progress().sent < journal.end and is_held(path):
                return True
    return False


def run_header(settings: Settings, run: str) -> Header | None:
    """Return the header of the run's own journal, or else of any of its journals; None if there is none."""
    found = None
    for path in journals_of(settings, run):
        with contextlib.suppress(OSError, Unreadable):
            header = header_of(path)
            if header.owned:
                return header
            found = found or header
    return found


def inherits(settings: Settings, run: str) -> bool:
    """Return whether this process takes over a run whose own process ended without finishing it."""
    header = run_header(settings, run)
    return header is not None and header.owned and not is_live(settings, run)
