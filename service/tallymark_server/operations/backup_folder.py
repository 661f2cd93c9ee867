"""The place of backups: a folder, or the URL of one that fsspec reaches, such as s3://bucket/tallymark."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, NamedTuple

from tallymark_server.storage.atomic_files import CannotPlaceError, placed

# A backup is a database with the name of the file that it copies, and the time; its checkpoint has the name with
# `.json`. No other file is ever listed or removed.
_NAME = re.compile(r"(?P<stem>.+)-(?P<time>\d{8}T\d{6}Z)\.db")
_TIME = "%Y%m%dT%H%M%SZ"
# The name of a folder for a backup that is not verified yet begins so, and has a file that its process locks.
_STAGING, _LOCK = ".tallymark-", "lock"
_PIECE = 1 << 20


class BackupError(Exception):
    """A backup could not be made, found or restored. The message says why, and what to do next."""


class Backup(NamedTuple):
    """A backup in the folder: its time, and its name."""

    time: datetime
    name: str

    @property
    def stem(self) -> str:
        """The name of the file that it copies, without its ending."""
        return self.name.removesuffix(name_of("", self.time))

    @property
    def checkpoint(self) -> str:
        """The name of its checkpoint."""
        return checkpoint_of(self.name)


def name_of(stem: str, time: datetime) -> str:
    """Return the name of the backup of a file with that stem."""
    return f"{stem}-{time.astimezone(UTC).strftime(_TIME)}.db"


def checkpoint_of(name: str) -> str:
    """Return the name of the checkpoint of the backup."""
    return f"{name.removesuffix('.db')}.json"


class BackupFolder:
    """The backups in a folder or at a URL. Raises BackupError for one that no installed driver reaches."""

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        try:
            self._files, root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise BackupError(f"{url} cannot be reached: {error}; install the driver of fsspec for it") from None
        self._root: str = root.rstrip("/") or root
        self._local = Path(self._root) if _is_local(self._files) else None

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Yield a local folder for a backup that is not verified yet: on the disk of the backups, if that is local.

        What a process left there that was ended within a backup is removed.
        """
        if self._local is not None:
            self._local.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_left(self._local)
        with TemporaryDirectory(prefix=_STAGING, dir=self._local) as folder, Path(folder, _LOCK).open("x") as lock:
            with suppress(OSError):  # some file systems have no locks; there, nothing is taken for left behind
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(folder)

    def backups(self, stem: str = "") -> list[Backup]:
        """Return the backups of files with that stem, or of all, the oldest first."""
        self._files.invalidate_cache()
        if not self._files.exists(self._root):
            return []
        names = [str(path).rpartition("/")[2] for path in self._files.ls(self._root, detail=False)]
        found = [match for match in map(_NAME.fullmatch, names) if match and stem in ("", match["stem"])]
        return sorted(Backup(datetime.strptime(m["time"], _TIME).replace(tzinfo=UTC), m.string) for m in found)

    def put(self, source: Path) -> None:
        """Copy the file into the folder under its name, and read it back. Raises BackupError."""
        name, place = source.name, self._place(source.name)
        try:
            if self._local is not None:
                with placed(self._local / name) as partial:
                    shutil.copyfile(source, partial)
            else:
                self._files.put_file(str(source), place)
        except CannotPlaceError as error:
            raise BackupError(str(error)) from None
        with source.open("rb") as given, self._files.open(place, "rb") as kept:
            if _digest(given) != _digest(kept):
                raise BackupError(f"{name} reads back other than it was written; look at the store of the backups")

    def get(self, name: str, to: Path) -> None:
        """Copy a file of the folder to a local one. Raises BackupError."""
        try:
            self._files.get_file(self._place(name), str(to))
        except FileNotFoundError:
            raise BackupError(f"there is no {name} in {self._root}") from None

    def has(self, name: str) -> bool:
        """Return whether there is a file of that name."""
        return bool(self._files.exists(self._place(name)))

    def remove(self, backup: Backup) -> None:
        """Remove a backup, and then its checkpoint."""
        self._files.rm_file(self._place(backup.name))
        if self.has(backup.checkpoint):
            self._files.rm_file(self._place(backup.checkpoint))

    def _place(self, name: str) -> str:
        return f"{self._root}/{name}"


def _remove_left(parent: Path) -> None:
    """Remove the folders of processes that have ended within a backup."""
    for folder in parent.glob(f"{_STAGING}*"):
        with suppress(OSError), (folder / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)


def _is_local(files: Any) -> bool:
    protocols = files.protocol if isinstance(files.protocol, tuple) else (files.protocol,)
    return "file" in protocols


def _digest(stream: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while piece := stream.read(_PIECE):
        digest.update(piece)
    return digest.digest()
