"""Files that are created as a whole, or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# The files of SQLite and of our lock beside a database.
_BESIDE = ("", "-journal", "-wal", "-shm", ".lock")


class CannotPlaceError(Exception):
    """Raised when a file cannot be created under its name; the message says why, and what to do next."""


def create_private(path: Path) -> None:
    """Create an empty file that only its owner can read and write; one that exists is not changed, nor is its mode."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


@contextmanager
def placed(path: Path) -> Iterator[Path]:
    """Yield a path in the same folder for writing the file. It gets its name when it is whole and on the disk.

    Only its owner can read it, since only the people who recorded something decide who sees it. An error leaves nothing
    behind, and a file that exists is never overwritten. Raises CannotPlaceError.
    """
    if not path.parent.is_dir():
        raise CannotPlaceError(f"there is no folder {path.parent}; make it, or name another file")
    if os.path.lexists(path):
        raise CannotPlaceError(f"{path} is there already, and is not overwritten; name another file")
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        create_private(partial)
        yield partial
        _to_disk(partial)
        _name(partial, path)
        _to_disk(path.parent)
    except OSError as error:
        raise CannotPlaceError(f"cannot write {path}: {error.strerror or error}; name another file") from None
    finally:
        for suffix in _BESIDE:
            partial.with_name(partial.name + suffix).unlink(missing_ok=True)


def _name(partial: Path, path: Path) -> None:
    try:
        # Unlike a rename, a link never replaces a file that was created meanwhile.
        path.hardlink_to(partial)
    except FileExistsError:
        raise CannotPlaceError(f"{path} has come to be meanwhile, and is not overwritten; name another file") from None
    except OSError:
        # Not every file system has links.
        partial.rename(path)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
