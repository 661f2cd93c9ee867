"""What people record is for them to show: what Tallymark writes, its owner alone can read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc_calls import Calls

from journeys.test_serving import tallymark
from tallymark.testing import Server


@pytest.fixture(autouse=True)
def open_handed() -> Iterator[None]:
    """What the system would let anybody read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    return {path.name: oct(path.stat().st_mode & 0o777) for path in folder.iterdir() if path.is_file()}


def test_the_files_of_a_database_are_private(tmp_path: Path, server: Server, calls: Calls) -> None:
    """The database and all files beside it, while it is served and after, and copies of what is in it, are private."""
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


def test_what_may_be_read_may_still_be_read(tmp_path: Path) -> None:
    """A database that others may read stays so, and what is beside it is as open as it is."""
    db = tmp_path / "tallymark.db"
    with Server(db):
        pass
    db.chmod(0o644)
    with Server(db):
        assert {modes(tmp_path)[name] for name in ("tallymark.db", "tallymark.db-wal", "tallymark.db-shm")} == {"0o644"}
    assert modes(tmp_path)["tallymark.db-head"] == "0o644"
