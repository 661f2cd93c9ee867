"""Folders that are slow to create, cached in .cache/ between runs of the tests."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache"


@contextmanager
def cached_folder(name: str, key: list[str], make: Callable[[Path], None], *, shared: bool = False) -> Iterator[Path]:
    """Yield the cached folder of that name and key, and create it with `make` if it is missing.

    Other processes wait until the block ends, unless the folder is shared.
    """
    folder = CACHE / name / hashlib.sha256("\0".join(key).encode()).hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Written last: a folder without it is incomplete.
    made = folder / ".made"
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH if shared and made.exists() else fcntl.LOCK_EX)
        if not made.exists():
            for old in folder.parent.iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            folder.mkdir()
            make(folder)
            made.touch()
        if shared:
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield folder
