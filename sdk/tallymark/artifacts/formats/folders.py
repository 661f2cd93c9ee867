"""Folders as artifacts: a manifest with the path, size and SHA-256 of each file.

The digest of the artifact is that of the manifest, so it covers every file. The store has the files beside the
manifest, named by their digests, so that a file in several checkpoints is stored once.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tallymark.errors import InvalidArgument

_VERSION = 1
_DIGEST = re.compile(r"[0-9a-f]{64}")
# Enough for more than a million files.
MAX_MANIFEST = 256 * 1024 * 1024


class Member(NamedTuple):
    """A file of a folder: its relative path with `/`, its size in bytes, and its SHA-256."""

    path: str
    size: int
    sha256: str


class Manifest(NamedTuple):
    """The contents of a folder: its files, and its empty folders."""

    files: tuple[Member, ...]
    empty: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The total size of the files in bytes."""
        return sum(member.size for member in self.files)


def walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the relative and absolute path of every file and empty folder, in order.

    Raises InvalidArgument for symbolic links, which may lead out of the folder, and for other special files.
    """
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted([*files, *(each for each in folders if Path(place, each).is_symlink())]):
            found = Path(place, name)
            mode = found.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise InvalidArgument(
                    f"{found} is a symbolic link, and a folder is saved without: copy it with cp -rL first"
                )
            if not stat.S_ISREG(mode):
                raise InvalidArgument(f"{found} is no regular file, so the folder cannot be saved")
            yield _checked(found.relative_to(folder).as_posix()), found
        if not folders and not files and place != str(folder):
            empty = Path(place)
            yield _checked(empty.relative_to(folder).as_posix()), empty


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write the manifest. The same contents always result in the same bytes."""
    written = {
        "tallymark_folder": _VERSION,
        "files": [member._asdict() for member in sorted(manifest.files)],
        "empty_folders": sorted(manifest.empty),
    }
    path.write_text(json.dumps(written, indent=1), encoding="utf-8")


def read_manifest(path: Path) -> Manifest:
    """Read a manifest, and check that every path stays within the folder. Raises InvalidArgument."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        if written["tallymark_folder"] != _VERSION:
            raise InvalidArgument(
                f"the manifest is of version {written['tallymark_folder']!r}, written by a later release of Tallymark;"
                " update this one"
            )
        files = tuple(_member(each) for each in written["files"])
        empty = tuple(_checked(each) for each in written["empty_folders"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidArgument(f"the file is no manifest of a folder: {error!r}") from None
    _check_distinct([*(member.path for member in files), *empty])
    return Manifest(files, empty)


def _member(written: Any) -> Member:
    path, size, sha256 = written["path"], written["size"], written["sha256"]
    if type(size) is not int or size < 0 or not isinstance(sha256, str) or not _DIGEST.fullmatch(sha256):
        raise InvalidArgument(f"the manifest has no size or no digest of {path!r}")
    return Member(_checked(path), size, sha256)


def _checked(path: Any) -> str:
    """Return the path after checking that it stays within the folder on every system. Raises InvalidArgument."""
    if not isinstance(path, str) or not path:
        raise InvalidArgument(f"the folder has a path {path!r}, which is no text")
    parts = path.split("/")
    if any(part in {"", ".", ".."} for part in parts) or any(ch == "\\" or ord(ch) < 32 for ch in path):
        raise InvalidArgument(f"the folder has a file {path!r}, whose name leads elsewhere on some systems: rename it")
    if os.name == "nt" and ":" in path:
        raise InvalidArgument(f"the folder has a file {path!r}, which has no such name on Windows")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"the folder has a file {path!r}, whose name is no UTF-8: rename it") from None
    return path


def _check_distinct(paths: Sequence[str]) -> None:
    """Raise InvalidArgument if a path occurs twice, or as a file and as a folder."""
    known = set(paths)
    parents = {
        "/".join(parts[:depth]) for parts in (path.split("/") for path in paths) for depth in range(1, len(parts))
    }
    if len(known) < len(paths) or known & parents:
        raise InvalidArgument("the manifest names a path twice, or as a file and as a folder")
