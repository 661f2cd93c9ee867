"""Folders that are slow to make, kept in .cache/ from one run of the tests to the next."""

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
def kept(name: str, ingredients: list[str], make: Callable[[Path], None], *, shared: bool = False) -> Iterator[Path]:
    """The folder of that name, made anew when an ingredient has changed; only if it is shared do others have it too."""
    folder = CACHE / name / hashlib.sha256("\0".join(ingredients).encode()).hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Written last: a folder without it was left half made.
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
