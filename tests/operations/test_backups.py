"""Backups by themselves: verified, thinned out, restored, and reported when they fail."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from grpc_calls import Calls
from operations.conftest import Scrape, page

from tallymark.testing import Server, ServerError
from tallymark_server.app import running
from tallymark_server.operations.backup_folder import BackupError, BackupFolder
from tallymark_server.operations.backup_process import Order, make_if_due
from tallymark_server.operations.restore import restore
from tallymark_server.rpc.server import CannotListenError
from tallymark_server.settings import Settings
from tallymark_server.storage import checkpoint
from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.sqlite.verification import verify

NOW = datetime(2026, 11, 30, 9, 45, tzinfo=UTC)
HOUR = timedelta(hours=1)


def tallymark(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command, and wait for it."""
    return subprocess.run(
        [Path(sys.executable).with_name("tallymark"), *words], capture_output=True, text=True, check=False
    )


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A file that no server serves, with two events."""
    with Server(tmp_path / "tallymark.db") as server, grpc.insecure_channel(server.address) as channel:
        calls = Calls(channel)
        calls.create_model("churn")
        calls.create_version("churn")
    return tmp_path / "tallymark.db"


@pytest.fixture(params=["folder", "memory://backups"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder, and a store that fsspec reaches."""
    return str(tmp_path / "backups") if request.param == "folder" else f"{request.param}/{tmp_path.name}"


def names(place: str) -> list[str]:
    return [each.name for each in BackupFolder(place).backups()]


def test_a_serving_service_backs_itself_up(tmp_path: Path) -> None:
    """A service makes backups of what was written last, verified and with checkpoints, and removes the oldest."""
    folder = tmp_path / "backups"
    options = ("--backup-to", str(folder), "--backup-every", "1s", "--backup-keep", "2", "--metrics", "127.0.0.1:0")
    with Server(tmp_path / "tallymark.db", options) as server, grpc.insecure_channel(server.address) as channel:
        assert server._process is not None
        assert server._process.stdout is not None
        metrics = server._process.stdout.readline().rsplit(" at ", 1)[1].strip()
        calls = Calls(channel)
        calls.create_model("churn")
        made: set[str] = set()
        while len(made) < 4:
            calls.create_version("churn")
            made |= {path.name for path in folder.glob("*.db")}
        scrape = Scrape(page(metrics).text)
        while scrape.value("tallymark_backups_total", outcome="success") < 4:
            scrape = Scrape(page(metrics).text)
        assert scrape.value("tallymark_backups_total", outcome="failure") == 0
        assert scrape.value("tallymark_newest_backup_timestamp_seconds") > 0
        assert scrape.value("tallymark_backup_duration_seconds") > 0
    kept = sorted(folder.glob("*.db"))
    assert len(kept) in (2, 3), "the third is removed right after"
    for each in kept:
        marks = checkpoint.read(each.with_suffix(".json"))
        assert verify(each, marks).problems == []
        assert each.stat().st_mode & 0o077 == 0
    assert kept[-1].name not in sorted(made)[:2]


def test_a_backup_is_made_only_when_one_is_due(db: Path, place: str) -> None:
    """A service that restarts often makes no more backups; a newest backup from the future delays none."""
    order = Order(place, HOUR.total_seconds(), 10)
    assert make_if_due(db, order, NOW).made == "tallymark-20261130T094500Z.db"
    again = make_if_due(db, order, NOW + HOUR / 2)
    assert (again.made, again.due, again.newest) == ("", 1800, NOW.timestamp())
    assert make_if_due(db, order, NOW + HOUR).made == "tallymark-20261130T104500Z.db"
    assert make_if_due(db, order, NOW - HOUR).made == "tallymark-20261130T084500Z.db"


def test_only_old_backups_of_the_same_file_are_removed(db: Path, place: str, tmp_path: Path) -> None:
    """The newest are kept with their checkpoints; other files, and backups of other databases, are never touched."""
    other = tmp_path / "other.db"
    assert tallymark("backup", "--db", db, "--to", other).returncode == 0
    make_if_due(other, Order(place, 1, 1), NOW - 24 * HOUR)
    folder = BackupFolder(place)
    (tmp_path / "notes.db").write_text("mine")
    folder.put(tmp_path / "notes.db")
    for hour in range(4):
        make_if_due(db, Order(place, 1, 2), NOW + hour * HOUR)
    assert names(place) == [
        "other-20261129T094500Z.db", "tallymark-20261130T114500Z.db", "tallymark-20261130T124500Z.db",
    ]  # fmt: skip
    assert folder.has("notes.db")
    assert [folder.has(f"tallymark-20261130T{hour:02}4500Z.json") for hour in range(9, 13)] == [
        False,
        False,
        True,
        True,
    ]


def test_a_damaged_file_removes_no_backup(db: Path, place: str) -> None:
    """A copy that does not verify is not kept, and no older backup goes for it."""
    order = Order(place, 1, 1)
    make_if_due(db, order, NOW)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE events SET actor = 'mallory'")
    with pytest.raises(BackupError, match=r"the copy is damaged, and not kept: .*; run tallymark verify --db"):
        make_if_due(db, order, NOW + HOUR)
    assert names(place) == ["tallymark-20261130T094500Z.db"]


def test_a_backup_is_restored_as_of_a_time(db: Path, tmp_path: Path) -> None:
    """The newest backup is restored, or the newest until a time, or the one that is named; a server continues it."""
    place = str(tmp_path / "backups")
    make_if_due(db, Order(place, 1, 9), NOW)
    with Server(db) as server, grpc.insecure_channel(server.address) as channel:
        Calls(channel).create_version("churn")
    make_if_due(db, Order(place, 1, 9), NOW + HOUR)
    chosen = {
        "newest.db": ("--from", place),
        "before.db": ("--from", place, "--at", "2026-11-30T10:44"),
        "named.db": ("--from", f"{place}/tallymark-20261130T094500Z.db"),
    }
    for name, words in chosen.items():
        done = tallymark("restore", *words, "--db", tmp_path / name)
        assert done.returncode == 0, done.stderr
    assert "project default at revision 2" in done.stdout
    assert [len(verify(tmp_path / name).problems) for name in chosen] == [0, 0, 0]
    assert [verify(tmp_path / name).marks["default"].revision for name in chosen] == [3, 2, 2]
    with Server(tmp_path / "newest.db") as restored, grpc.insecure_channel(restored.address) as channel:
        assert Calls(channel).create_version("churn").number == 3


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--at", "2026-11-30T09:44"), "there is no backup in"),
        (("--db", "tallymark.db"), "is there already, and is not overwritten"),
        (("--db", "left.db"), "left.db-wal is of another file; move it away first"),
        (("--from", "nowhere://x"), "cannot be reached"),
        (("--from", "backups/tallymark-20261130T094501Z.db"), "there is no tallymark-20261130T094501Z.db in"),
    ],
)
def test_a_restore_that_cannot_be_done_changes_nothing(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, str], why: str
) -> None:
    """It fails with one sentence, and leaves no file."""
    monkeypatch.chdir(tmp_path)
    make_if_due(db, Order("backups", 1, 9), NOW)
    (tmp_path / "left.db-wal").write_bytes(b"x")
    before = sorted(tmp_path.iterdir())
    chosen = {"--from": "backups", "--db": "new.db", **dict([words])}
    done = tallymark("restore", *(word for pair in chosen.items() for word in pair))
    assert (done.returncode, done.stdout) == (1, "")
    assert why in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_backup_that_was_changed_is_not_restored(db: Path, tmp_path: Path) -> None:
    """The checkpoint beside a backup proves that its log was not rewritten since."""
    place = tmp_path / "backups"
    make_if_due(db, Order(str(place), 1, 9), NOW)
    marks = json.loads((place / "tallymark-20261130T094500Z.json").read_text())
    marks["projects"]["default"]["hash"] = "2:" + "0" * 64
    (place / "tallymark-20261130T094500Z.json").write_text(json.dumps(marks))
    done = tallymark("restore", "--from", place, "--db", tmp_path / "new.db")
    assert done.returncode == 1
    assert "is damaged, and not restored" in done.stderr
    assert not (tmp_path / "new.db").exists()


def test_a_backup_that_fails_is_logged_and_counted(tmp_path: Path) -> None:
    """A service whose backups fail serves on, logs why, and counts them."""
    (tmp_path / "file").write_text("no folder")
    options = ("--backup-to", str(tmp_path / "file"), "--metrics", "127.0.0.1:0")
    with Server(tmp_path / "tallymark.db", options) as server, grpc.insecure_channel(server.address) as channel:
        assert server._process is not None
        assert server._process.stdout is not None
        metrics = server._process.stdout.readline().rsplit(" at ", 1)[1].strip()
        while not Scrape(page(metrics).text).value("tallymark_backups_total", outcome="failure"):
            pass
        assert "backup failed" in server.log_file.read_text()
        assert Calls(channel).create_model("churn").create_revision == 1


def test_of_several_files_in_one_place_one_must_be_named(db: Path, place: str, tmp_path: Path) -> None:
    """Two databases whose backups share a folder are distinguished by their names, also where one begins the other."""
    other = tmp_path / "tallymark-2.db"
    assert tallymark("backup", "--db", db, "--to", other).returncode == 0
    for each in (other, db):
        make_if_due(each, Order(place, 1, 9), NOW)
    with pytest.raises(BackupError, match=r"has backups of several files; name one backup, such as .*\.db$"):
        restore(place, tmp_path / "new.db")
    named = restore(f"{place}/tallymark-2-20261130T094500Z.db", tmp_path / "new.db")
    assert named.revisions == {"default": 2}


def test_what_an_interrupted_backup_left_is_removed(db: Path, tmp_path: Path) -> None:
    """A process that is ended within a backup leaves a copy, which goes with the next backup; those in use stay."""
    place = tmp_path / "backups"
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tallymark_server.operations.backup_folder import BackupFolder\n"
        "with BackupFolder(sys.argv[1]).staging() as room:\n"
        "    (room / 'tallymark-20261130T094500Z.db').write_text('half')\n"
        "    print(room, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        room = Path(process.stdout.readline().strip())
        make_if_due(db, Order(str(place), 1, 9), NOW)
        assert list(room.glob("*.db")), "it is in use"
        process.kill()
    assert list(room.glob("*.db")), "nobody has removed it yet"
    make_if_due(db, Order(str(place), 1, 9), NOW + HOUR)
    assert not room.exists()
    assert len(names(str(place))) == 2


async def test_backups_of_a_database_with_tools_of_its_own_are_refused(tmp_path: Path) -> None:
    """The start fails before the database is opened, with what to run instead, and leaves no task behind."""
    settings = Settings(db="postgresql://127.0.0.1:9/models", port=0, backup_to=str(tmp_path))
    with pytest.raises(CannotOpenError, match=r"leave out --backup-to, and run pg_dump, or pg_basebackup"):
        async with running(settings):
            pass
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_start_that_fails_leaves_no_task_behind(tmp_path: Path) -> None:
    """Where a port is taken, all that has begun before ends, and another server can hold the file."""
    db = tmp_path / "tallymark.db"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(db=str(db), port=0, http=taken.getsockname()[:2], backup_to=str(tmp_path / "backups"))
        with pytest.raises(CannotListenError):
            async with running(settings):
                pass
    assert asyncio.all_tasks() == {asyncio.current_task()}
    async with running(Settings(db=str(db), port=0)) as server:
        assert server.port


def test_wrong_periods_are_refused(tmp_path: Path) -> None:
    """The message shows what a period is."""
    with pytest.raises(ServerError, match=r"'1 hour' is no period, such as 30s, 15m, 1h or 1d"):
        Server(tmp_path / "tallymark.db", ("--backup-every", "1 hour")).start()
