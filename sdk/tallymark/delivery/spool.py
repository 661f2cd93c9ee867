"""The spool: the folder that stores the journals of runs until the registry has them.

It has a folder for each registry and project, and in it, for each process and run, a journal, its companion file, and a
folder with files that wait for their upload. A process locks its journals, and the lock ends with the process; a
journal without a lock is abandoned, and any process may deliver it. A journal that could not be read or delivered
completely is quarantined: moved to the folder `aside`, and never removed.
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
except ImportError:  # without file locks, journals are kept in memory
    fcntl = None  # type: ignore[assignment]  # checked before each use - mypy knows only the module's type

_JOURNAL, _SENT, _FILES = ".journal", ".sent", ".files"
QUARANTINE = "aside"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Header:
    """The header of a journal: its run, the process that writes it, and the registry that will receive it.

    `run` is empty for records outside runs. `owned` is True if the process started the run, and so finishes it. `start`
    is the start of the run, `created` that of the journal, both in microseconds. `model` and `version` are the
    arguments of the run's own `Model`, None if it has none.
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


class ClaimedJournal:
    """A journal that this process holds, with its path; the path is None for a journal in memory."""

    def __init__(self, header: Header, journal: Journal, path: Path | None) -> None:
        self.header = header
        self.journal = journal
        self.path = path

    @property
    def files(self) -> Path | None:
        """The folder with files that wait for their upload; None for a journal in memory."""
        return None if self.path is None else self.path.with_suffix(_FILES)

    def release(self) -> None:
        """Close the journal, so that another process can claim it."""
        self.journal.close()

    def remove(self) -> None:
        """Remove the journal, which is delivered."""
        if self.path is not None:
            for path in (self.path, self.path.with_suffix(_SENT)):
                path.unlink(missing_ok=True)
            if self.files is not None and self.files.exists():
                shutil.rmtree(self.files, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.path.parent.rmdir()  # fails unless this was the last journal in it
        self.journal.close()

    def quarantine(self) -> Path | None:
        """Move the journal to the quarantine folder, because a part of it could not be read or delivered.

        Return its new path, None for a journal in memory.
        """
        if self.path is None:
            self.journal.close()
            return None
        folder = self.path.parent.parent / QUARANTINE
        _make_folder(folder)
        for path in (self.path, self.path.with_suffix(_SENT), self.path.with_suffix(_FILES)):
            if path.exists():
                path.rename(folder / path.name)
        self.journal.close()
        return folder / self.path.name


def new_header(
    settings: Settings, run: str, start: datetime, *, owned: bool, model: str | None, version: str | None
) -> Header:
    """Return the header of a new journal of the run in this process."""
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


def create(settings: Settings, header: Header) -> tuple[ClaimedJournal, str]:
    """Create a journal. If the spool cannot be written, create it in memory, and return the reason. Never raises."""
    body = json.dumps(asdict(header)).encode()
    try:
        try:
            claimed, why = _create_locked(folder_of(settings), header), ""
        except FileNotFoundError:  # another process has just removed the empty folder
            claimed, why = _create_locked(folder_of(settings), header), ""
    except OSError as error:
        claimed, why = ClaimedJournal(header, Journal(None, None), None), f"{error.strerror or error}: {settings.spool}"
    claimed.journal.append(Kind.HEADER, 0, body)
    claimed.journal.mark(claimed.journal.end, 0)  # the header is not sent
    return claimed, why


def _create_locked(folder: Path, header: Header) -> ClaimedJournal:
    if fcntl is None:
        raise OSError("this system has no locks of files")
    _make_folder(folder)
    path = folder / f"{header.created:016d}.{header.run}.{header.id}{_JOURNAL}"
    # Locked before it has its name, so that no process takes it for abandoned.
    temporary = path.with_suffix(".new")
    fd = _open_for_writing(temporary, os.O_CREAT | os.O_EXCL)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        companion = _open_for_writing(path.with_suffix(_SENT), os.O_CREAT)
        temporary.rename(path)
    except OSError:
        os.close(fd)
        temporary.unlink(missing_ok=True)
        raise
    return ClaimedJournal(header, Journal(fd, companion, str(path)), path)


def _open_for_writing(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_RDWR | os.O_APPEND | flags, 0o600)


def _make_folder(folder: Path) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def folder_of(settings: Settings) -> Path:
    """Return the folder of the journals for the registry and project of the settings."""
    name = f"{settings.url}/{settings.project}"
    digest = base64.b32encode(hashlib.sha256(name.encode()).digest())[:8].decode().lower()
    return Path(settings.spool, f"{re.sub(r'[^A-Za-z0-9.-]+', '_', name)[:80]}-{digest}")


class UnreadableJournal(Exception):
    """A file in the spool is not a journal that this release can read."""


class NewerJournal(UnreadableJournal):
    """A journal was written by a later release, and only that can deliver it."""


class JournalSummary(NamedTuple):
    """The unsent contents of a journal: the number of records, the time of the oldest in microseconds, the bytes."""

    path: Path
    header: Header
    records: int
    oldest: int
    size: int


def header_of(path: Path) -> Header:
    """Return the header of the journal. Raises UnreadableJournal, OSError."""
    with _open_for_reading(path) as journal:
        return _header(journal, path)


def summary_of(path: Path) -> JournalSummary:
    """Return a summary of the journal, whichever process holds it. Raises UnreadableJournal, OSError."""
    with _open_for_reading(path) as journal:
        header = _header(journal, path)
        waiting = path.with_suffix(_FILES)
        files = sum(each.stat().st_size for each in waiting.rglob("*") if each.is_file()) if waiting.exists() else 0
        return JournalSummary(path, header, *journal.pending(), path.stat().st_size + files)


@contextlib.contextmanager
def _open_for_reading(path: Path) -> Iterator[Journal]:
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
        raise UnreadableJournal(f"{path} is no journal, or its beginning is damaged")
    try:
        content: dict[str, Any] = json.loads(records[0].body)
        if content["format"] > FORMAT:
            raise NewerJournal(f"{path} was written by a later release of Tallymark; update this one")
        names = {field.name for field in fields(Header)}
        return Header(**{name: value for name, value in content.items() if name in names})
    except (ValueError, TypeError, KeyError):
        raise UnreadableJournal(f"{path} is no journal, or its beginning is damaged") from None


def journals(spool: str) -> list[Path]:
    """Return the journals of the spool for all registries, the oldest first, quarantined ones last."""
    return sorted(Path(spool).glob(f"*/*{_JOURNAL}"), key=lambda path: (path.parent.name == QUARANTINE, path.name))


def journals_of(settings: Settings, run: str = "") -> list[Path]:
    """Return the journals for the registry and project of the settings, or of one run in it, the oldest first."""
    pattern = f"*.{run}.*{_JOURNAL}" if run else f"*{_JOURNAL}"
    found = sorted(folder_of(settings).glob(pattern))
    return [path for path in found if not run or path.name.split(".", 1)[1].rsplit(".", 2)[0] == run]


def claim(path: Path) -> ClaimedJournal | None:
    """Lock a journal, and return it; None while another process holds it, or if it is gone.

    An unreadable journal is quarantined, unless a later release has written it.

    Raises:
        UnreadableJournal: The file is not a journal that this release can read.
        OSError: The file cannot be opened.
    """
    if fcntl is None:
        return None
    try:
        fd = _open_for_writing(path)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its last holder may have removed or quarantined it between open and lock.
        if os.fstat(fd).st_nlink == 0 or not path.exists():
            os.close(fd)
            return None
        journal = Journal(fd, _open_for_writing(path.with_suffix(_SENT), os.O_CREAT), str(path))
    except BlockingIOError:
        os.close(fd)
        return None
    try:
        return ClaimedJournal(_header(journal, path), journal, path)
    except NewerJournal:
        journal.close()
        raise
    except UnreadableJournal:
        ClaimedJournal(Header("", "", "", "", "", owned=False, start=0, created=0), journal, path).quarantine()
        raise


def is_held(path: Path) -> bool:
    """Return whether a living process holds the journal."""
    if fcntl is None:
        return False
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDONLY)
        try:
            # A shared lock, so that two concurrent checks do not take each other for the holder. NFS also allows no
            # exclusive lock on a file that is open for reading only.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
    return False


def abandoned(settings: Settings, run: str = "") -> Iterator[Path]:
    """Yield the journals for the registry of the settings that no process holds, the oldest first.

    With `run`, only those of this run.
    """
    for path in journals_of(settings, run):
        if not is_held(path):
            yield path


def is_recording(settings: Settings, run: str) -> bool:
    """Return whether a running process on this machine records in the run."""
    return any(is_held(path) for path in journals_of(settings, run))


def has_unsent_records(settings: Settings, run: str, *, but: Path | None) -> bool:
    """Return whether other running processes of the run have unsent records. `but` is the caller's own journal."""
    for path in journals_of(settings, run):
        if path == but:
            continue
        with contextlib.suppress(OSError), _open_for_reading(path) as journal:
            if journal.progress().sent < journal.end and is_held(path):
                return True
    return False


def run_header(settings: Settings, run: str) -> Header | None:
    """Return the header of the journal of the run's owner, or else of any of its journals; None if there is none."""
    found = None
    for path in journals_of(settings, run):
        with contextlib.suppress(OSError, UnreadableJournal):
            header = header_of(path)
            if header.owned:
                return header
            found = found or header
    return found


def takes_over(settings: Settings, run: str) -> bool:
    """Return whether this process takes over the run, because its owner ended without finishing it."""
    header = run_header(settings, run)
    return header is not None and header.owned and not is_recording(settings, run)
