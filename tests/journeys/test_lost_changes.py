"""A log that has lost its end is noticed at the next start, so that no number is reused unnoticed."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from grpc_calls import DEADLINE, Calls

from journeys.test_serving import tallymark
from tallymark.testing import Server, ServerError
from tallymark.v1.project_pb2 import CreateProjectRequest

NUMBERS = 30


def beside(db: Path, suffix: str) -> Path:
    return db.with_name(db.name + suffix)


def killed_after_acknowledging(server: Server, calls: Calls) -> None:
    """Create versions, wait until the head file has the last one, and kill the server."""
    calls.create_model("churn")
    for _ in range(NUMBERS):
        last = calls.create_version("churn")
    until = time.monotonic() + DEADLINE
    while kept_revision(server.db) < int(last.etag.removeprefix("r")):
        assert time.monotonic() < until, "the head was not kept"
        os.sched_yield()
    server.kill()


def kept_revision(db: Path) -> int:
    return int(json.loads(beside(db, "-head").read_text())["projects"].get("default", {"revision": 0})["revision"])


def content(folder: Path) -> dict[str, bytes]:
    """Return the contents of the database's files, without the lock and what SQLite creates for reading."""
    found = (path for path in folder.glob("tallymark.db*") if not path.name.endswith(("-shm", ".lock")))
    return {path.name: path.read_bytes() for path in found if not path.name.endswith("-wal") or path.stat().st_size}


def does_not_start(server: Server, *words: str) -> None:
    """Check that the server does not start, for a reason with these words, and changes no file."""
    before = content(server.db.parent)
    with pytest.raises(ServerError) as refusal:
        server.start()
    for word in ("Error: ", "acknowledged", "tallymark accept-lost-changes", *words):
        assert word in str(refusal.value)
    assert content(server.db.parent) == before


def starts_with_number(server: Server, number: int) -> None:
    """Check that the server starts, and that the next version gets this number."""
    server.start()
    with grpc.insecure_channel(server.address) as channel:
        assert Calls(channel).create_version("churn").number == number


def deleted(wal: Path) -> None:
    wal.unlink()


def emptied(wal: Path) -> None:
    wal.write_bytes(b"")


def cut_in_half(wal: Path) -> None:
    wal.write_bytes(wal.read_bytes()[: wal.stat().st_size // 2])


def without_its_last_byte(wal: Path) -> None:
    wal.write_bytes(wal.read_bytes()[:-1])


def with_a_flipped_bit(place: int) -> Callable[[Path], None]:
    def damage(wal: Path) -> None:
        found = bytearray(wal.read_bytes())
        found[place] ^= 1
        wal.write_bytes(found)

    return damage


def overwritten(wal: Path) -> None:
    wal.write_bytes(b"\xa5" * wal.stat().st_size)


@pytest.mark.parametrize(
    "damage",
    [
        deleted,
        emptied,
        cut_in_half,
        without_its_last_byte,
        pytest.param(with_a_flipped_bit(17), id="a bit in the head"),
        pytest.param(with_a_flipped_bit(-5), id="a bit in the last page"),
        overwritten,
    ],
)
def test_a_lost_write_ahead_log_is_refused(server: Server, calls: Calls, damage: Callable[[Path], None]) -> None:
    """A server whose write-ahead log is missing, cut or damaged does not start until the log is restored."""
    killed_after_acknowledging(server, calls)
    wal = beside(server.db, "-wal")
    whole = wal.read_bytes()
    damage(wal)
    does_not_start(server, "project default", f"had {NUMBERS + 1}", wal.name)
    proof = tallymark(server.db.parent, "verify", "--db", str(server.db))
    assert proof.returncode == 1
    assert f"had {NUMBERS + 1}" in proof.stderr
    assert f"put back {wal.name}" in proof.stderr
    assert f"tallymark accept-lost-changes --db {server.db}" in proof.stderr
    wal.write_bytes(whole)
    starts_with_number(server, NUMBERS + 1)


def test_copies_of_a_file_that_lacks_changes_warn(server: Server, calls: Calls, tmp_path: Path) -> None:
    """Backup and export of a file that lacks changes succeed, and warn that the copy lacks them too."""
    killed_after_acknowledging(server, calls)
    sound = tallymark(tmp_path, "backup", "--db", str(server.db), "--to", "sound.db")
    assert (sound.returncode, sound.stderr) == (0, "")
    cut_in_half(beside(server.db, "-wal"))
    for command in ("backup", "export"):
        made = tallymark(tmp_path, command, "--db", str(server.db), "--to", command)
        assert made.returncode == 0
        assert f"had {NUMBERS + 1}" in made.stderr
        assert "so does what was written" in made.stderr
    nowhere = tallymark(tmp_path, "export", "--db", str(server.db), "--project", "lab", "--to", "lab")
    assert (nowhere.returncode, "there are: default" in nowhere.stderr) == (1, True)


def test_lost_changes_can_be_accepted(server: Server, calls: Calls) -> None:
    """After `accept-lost-changes --yes`, and only then, the server starts without the lost changes."""
    killed_after_acknowledging(server, calls)
    cut_in_half(beside(server.db, "-wal"))
    folder, command = server.db.parent, ("accept-lost-changes", "--db", str(server.db))
    unasked = tallymark(folder, *command)
    assert (unasked.returncode, "--yes" in unasked.stderr) == (2, True)
    does_not_start(server)
    accepted = tallymark(folder, *command, "--yes")
    assert (accepted.returncode, "project default" in accepted.stderr) == (0, True)
    assert "lacks nothing" in tallymark(folder, *command, "--yes").stdout
    server.start()
    with grpc.insecure_channel(server.address) as channel:
        number = Calls(channel).create_version("churn").number
    assert 1 < number < NUMBERS
    server.restart()


@pytest.mark.parametrize("how", ["emptied", "removed"])
def test_an_emptied_database_is_not_initialized(server: Server, calls: Calls, how: str) -> None:
    """A missing or empty database that had logs is refused, and its write-ahead log is not deleted."""
    killed_after_acknowledging(server, calls)
    whole = server.db.read_bytes()
    if how == "emptied":
        server.db.write_bytes(b"")
    else:
        server.db.unlink()
    does_not_start(server, "empty" if how == "emptied" else "missing", f"{NUMBERS + 1}")
    server.db.write_bytes(whole)
    starts_with_number(server, NUMBERS + 1)
    server.stop()
    server.db.unlink()
    folder, command = server.db.parent, ("accept-lost-changes", "--db", str(server.db), "--yes")
    assert tallymark(folder, *command).returncode == 0
    server.start()


def test_an_older_backup_in_its_place_is_noticed(server: Server, calls: Calls, tmp_path: Path) -> None:
    """A backup in place of a newer database is refused; under another name it is served."""
    calls.create_model("churn")
    calls.create_version("churn")
    copy = tmp_path / "copy.db"
    assert tallymark(tmp_path, "backup", "--db", str(server.db), "--to", str(copy)).returncode == 0
    calls.create_version("churn")
    server.stop()
    with Server(copy) as restored, grpc.insecure_channel(restored.address) as channel:
        assert Calls(channel).create_version("churn", "other").number == 2
    shutil.copyfile(copy, server.db)
    does_not_start(server, "another revision 3")
    with closing(sqlite3.connect(server.db)) as connection, connection:
        connection.execute("UPDATE projects SET revision = 2, hash = (SELECT hash FROM events WHERE revision = 2)")
        connection.execute("DELETE FROM events WHERE revision > 2")
    does_not_start(server, "ends with revision 2, and had 3 (1 is missing)", "an older one")


def test_another_registry_in_its_place_is_noticed(server: Server, calls: Calls, tmp_path: Path) -> None:
    """The database of another registry under the same name is refused."""
    killed_after_acknowledging(server, calls)
    with Server(tmp_path / "other.db") as other, grpc.insecure_channel(other.address) as channel:
        Calls(channel).create_model("churn")
    shutil.copyfile(other.db, server.db)
    beside(server.db, "-wal").unlink()
    does_not_start(server, "project default is another one, with 1")


def test_a_lost_project_is_named(server: Server, calls: Calls) -> None:
    """Every project whose log lacks changes is named."""
    calls.models.CreateProject(CreateProjectRequest(project_id="lab"), timeout=DEADLINE)
    killed_after_acknowledging(server, calls)
    beside(server.db, "-wal").unlink()
    does_not_start(server, "project default ", f"had {NUMBERS + 1}", "project lab is missing, and had 1")


def test_a_copy_without_its_head_is_served(server: Server, calls: Calls, tmp_path: Path) -> None:
    """A copy of the database file of a stopped server is served and verified without a warning."""
    calls.create_model("churn")
    calls.create_version("churn")
    server.stop()
    copy = shutil.copyfile(server.db, tmp_path / "copy.db")
    assert tallymark(tmp_path, "verify", "--db", str(copy)).returncode == 0
    with Server(copy) as served, grpc.insecure_channel(served.address) as channel:
        assert Calls(channel).create_version("churn").number == 2


def test_a_damaged_head_file_is_replaced(server: Server, calls: Calls) -> None:
    """With an unreadable head file the server starts, logs a warning and writes a new one."""
    killed_after_acknowledging(server, calls)
    head = beside(server.db, "-head")
    head.write_text(head.read_text().replace(f'"revision": {NUMBERS + 1}', '"revision": 99'))
    starts_with_number(server, NUMBERS + 1)
    server.stop()
    assert "cannot tell whether the log has lost its end" in server.log_file.read_text()
    assert kept_revision(server.db) == NUMBERS + 2


def test_an_import_writes_the_head_file(server: Server, calls: Calls, tmp_path: Path) -> None:
    """After an import the end of its logs is recorded, and a second import in its place is refused."""
    calls.create_model("churn")
    server.stop()
    export, fresh = tmp_path / "export.jsonl", tmp_path / "fresh.db"
    assert tallymark(tmp_path, "export", "--db", str(server.db), "--to", str(export)).returncode == 0
    command = ("import", "--db", str(fresh), "--from", str(export))
    assert tallymark(tmp_path, *command).returncode == 0
    assert kept_revision(fresh) == 1
    with Server(fresh):
        pass
    fresh.unlink()
    again = tallymark(tmp_path, *command)
    assert (again.returncode, "acknowledged" in again.stderr) == (1, True)
    assert not fresh.exists()
