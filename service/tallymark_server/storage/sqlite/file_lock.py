"""Lets one process at a time hold the file: two writers on one file would each assign the same numbers."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tallymark_server.storage.contract import CannotOpenError


@contextmanager
def exclusive(database: Path) -> Iterator[None]:
    """Hold the file, until the process ends at the latest. Raises CannotOpenError if another process holds it.

    The lock is on a file beside it: closing any handle on the database itself would drop SQLite's own locks.
    """
    try:
        handle = os.open(_path(database), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotOpenError(
            f"cannot write in {database.parent}: {error.strerror}; name a file in a writable folder with --db"
        ) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            raise CannotOpenError(
                f"{database} is held by another Tallymark server (process {holder}); stop that one, or name another"
                " file with --db"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def _path(database: Path) -> Path:
    return database.with_name(database.name + ".lock")


def holder(database: Path) -> int | None:
    """Return the process that holds the file; None if none does."""
    try:
        handle = os.open(_path(database), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        pid = int(os.pread(handle, 32, 0) or b"0")
        # Only the lock of a living process is tried: during the attempt a server could not start.
        if pid <= 0 or not _lives(pid):
            return None
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return pid
    except (OSError, ValueError):
        return None
    finally:
        os.close(handle)
    return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def check_one_name(database: Path) -> None:
    """Raise CannotOpenError if the file has other names: changes under one of them are not seen under another."""
    with suppress(FileNotFoundError):
        if (names := database.stat().st_nlink) > 1:
            raise CannotOpenError(
                f"{database} has {names} names, by hard links, and SQLite keeps what was written last in a file beside"
                " one of them; remove the other names, or name a copy with --db"
            )
