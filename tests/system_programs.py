"""System programs that tests need, and their installation where possible."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess

import pytest

from cached_folders import CACHE


def program(*names: str, packages: tuple[str, ...]) -> str:
    """Return the first of the programs that is installed. As root, install the Debian packages if none is.

    The test fails if the program is missing.
    """
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "machine.lock").open("w") as lock:
        # Two installations at the same time would fail.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (found := _found(names)) and os.geteuid() == 0 and shutil.which("apt-get"):
            for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
                subprocess.run(["apt-get", "--quiet", *command], check=False, capture_output=True, timeout=600)
            found = _found(names)
    if not found:
        pytest.fail(
            f"{names[0]} is missing and could not be installed: apt-get install {' '.join(packages)}", pytrace=False
        )
    return found


def _found(names: tuple[str, ...]) -> str | None:
    return next((found for name in names if (found := shutil.which(name))), None)
