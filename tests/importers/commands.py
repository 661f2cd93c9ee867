"""The commands as an operator types them, and what they made as users see it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tallymark import Client
from tallymark.testing import Server

PROGRAM = Path(sys.executable).with_name("tallymark")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("TALLYMARK_", "MLFLOW_"))}
# A server that is not there is not there a second later either.
ENVIRONMENT["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"


def tallymark(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    command = [PROGRAM, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=ENVIRONMENT, cwd=cwd)


def imported(db: Path, *words: str | Path) -> list[str]:
    """Import, and return the reported losses. The import succeeds, leaves no other file, and its result is verified."""
    with TemporaryDirectory() as here:
        done = tallymark(*words, "--db", db, cwd=Path(here))
        assert done.returncode == 0, done.stderr
        assert not list(Path(here).iterdir())
    assert re.fullmatch(rf"imported into project \S+ of {re.escape(str(db))}: .*\n", done.stdout)
    proof = tallymark("verify", "--db", db)
    assert proof.returncode == 0, proof.stderr
    return done.stderr.splitlines()


def refused(words: str, *command: str | Path, cwd: Path | None = None) -> None:
    """The program ends with one sentence that has these words."""
    done = tallymark(*command, cwd=cwd)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert words in line


@contextmanager
def served(db: Path) -> Iterator[Client]:
    """Serve the file, and yield a client of it."""
    with Server(db) as server, Client(server.address) as client:
        yield client
