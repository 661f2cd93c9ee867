"""The files that Tallymark writes are readable by their owner only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc_calls import Calls

from journeys.test_serving import tallymark
from tallymark.testing import Server


@pytest.fixture(autouse=True)
def permissive_umask() -> Iterator[None]:
    """Set a umask with which new files are readable by everybody."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    return {path.name: oct(path.stat().st_mode & 0o777) for path in folder.iterdir() if path.is_file()}


def test_the_files_of_a_database_are_private(tmp_path: Path, server: Server, calls: Calls) -> None:
    """The files of a database, during and after serving, and its backups and exports are private."""
    calls.create_model("churn")
    for command in (
        ["backup", "--to", "copy.db"],
        ["export", "--to", "export.jsonl"],
        ["verify", "--write-checkpoint", "checkpoint.json"],
    ):
        assert tallymark(tmp_path, *command, "--db", str(server.db)).returncode == 0
    assert tallymark(tmp_path, "import", "--db", "imported.db", "--from", "export.jsonl").returncode == 0
    while not server.db.with_name("tallymark.db-head").exists():
        os.sched_yield()
    served = modes(tmp_path)
    server.restart()
    stopped = modes(tmp_path)
    # What the server logs is written by whoever starts it.
    assert {"tallymark.db", "tallymark.db-wal", "tallymark.db-shm", "tallymark.db-head"} < served.keys()
    assert {name: mode for name, mode in (served | stopped).items() if mode != "0o600"} == {"tallymark.log": "0o644"}


def test_a_readable_database_stays_readable(tmp_path: Path) -> None:
    """A database that others may read stays readable, and its other files get the same mode."""
    db = tmp_path / "tallymark.db"
    with Server(db):
        pass
    db.chmod(0o644)
    with Server(db):
        assert {modes(tmp_path)[name] for name in ("tallymark.db", "tallymark.db-wal", "tallymark.db-shm")} == {"0o644"}
    assert modes(tmp_path)["tallymark.db-head"] == "0o644"
