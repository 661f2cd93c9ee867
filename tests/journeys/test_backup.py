"""Backup of a running server, restore, and the offline commands as an operator calls them."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_calls import Calls

from tallymark.testing import Server
from tallymark_server.storage.atomic_files import CannotPlaceError, placed
from tallymark_server.storage.sqlite.backup import backup
from tallymark_server.storage.sqlite.log_export import exported
from tallymark_server.storage.sqlite.migrate import steps
from tallymark_server.storage.sqlite.verification import verify

PROGRAM = Path(sys.executable).with_name("tallymark")


def tallymark(*words: str | Path, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run the command, and wait for it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYMARK_")}
    return subprocess.run([PROGRAM, *words], input=given, capture_output=True, check=False, timeout=60, env=environment)


def refused(run: subprocess.CompletedProcess[bytes], words: str) -> None:
    """Check that the command failed with one sentence that contains these words."""
    assert (run.returncode, run.stdout) == (1, b"")
    (line,) = run.stderr.decode().splitlines()
    assert line.startswith("Error: ")
    assert words in line


@contextmanager
def written_to(server: Server, writers: int = 4) -> Iterator[threading.Event]:
    """Create versions as fast as possible during the block, which starts after the first. Yield the event for that."""
    stop, begun = threading.Event(), threading.Event()

    def write(model: str) -> None:
        with grpc.insecure_channel(server.address) as channel:
            calls = Calls(channel)
            calls.create_model(model)
            while not stop.is_set():
                calls.create_version(model, description="x" * 2000)
                begun.set()

    threads = [threading.Thread(target=write, args=(f"m{place}",)) for place in range(writers)]
    for thread in threads:
        thread.start()
    try:
        assert begun.wait(30)
        yield begun
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def event_lines(path: Path) -> list[bytes]:
    with exported(path, "default", None) as export:
        return [line for line in export.lines if b'"kind"' in line]


def appending_to(progress: list[tuple[int, int]]) -> Callable[[int, int], None]:
    """Return a function that appends how many pages are copied, and of how many."""
    return lambda done, pages: progress.append((done, pages))


def test_a_backup_during_writes_is_a_consistent_prefix_of_the_log(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies that are made page by page while others write are sound, and each has a prefix of the log."""
    monkeypatch.setattr("tallymark_server.storage.sqlite.backup._PAGES_AT_ONCE", 3)
    copies = [tmp_path / f"copy{place}.db" for place in range(5)]
    heads = []
    with written_to(server):
        for copy in copies:
            progress: list[tuple[int, int]] = []
            heads.append(backup(server.db, copy, appending_to(progress))["default"])
            assert len(progress) > 1
            assert progress == sorted(progress), "the backup started again"
            assert progress[-1][0] == progress[-1][1]
    server.stop()
    whole = event_lines(server.db)
    assert heads == sorted(heads)
    assert heads[0] < heads[-1] <= len(whole)
    for copy, head in zip(copies, heads, strict=True):
        assert verify(copy).problems == []
        assert event_lines(copy) == whole[:head]
        assert not list(tmp_path.glob(f"{copy.name}-*")), "a copy is one file"


def test_a_backup_is_restored_by_serving_it(server: Server, calls: Calls, tmp_path: Path) -> None:
    """A server on the copy of `tallymark backup` gives the same answers, and continues the numbers."""
    calls.create_model("churn")
    calls.create_version("churn", name="a", request_id="once")
    copy = tmp_path / "copy.db"
    with written_to(server):
        done = tallymark("backup", "--db", server.db, "--to", copy)
        assert (done.returncode, done.stderr) == (0, b"")
        assert "project default at revision" in done.stdout.decode()
        assert tallymark("verify", "--db", copy).returncode == 0
    with Server(copy) as restored, grpc.insecure_channel(restored.address) as channel:
        there = Calls(channel)
        assert there.version("churn", "=a") == calls.version("churn", "=a")
        assert there.create_version("churn", name="a", request_id="once").number == 1
        assert there.create_version("churn").number == 2


def test_a_backup_overwrites_nothing(server: Server, tmp_path: Path) -> None:
    """A backup to an existing file or link, or into a missing folder, is refused and changes nothing."""
    (tmp_path / "kept.db").write_text("kept")
    (tmp_path / "link.db").symlink_to(tmp_path / "nowhere")
    for name, words in (("kept.db", "is there already"), ("link.db", "is there already"), ("no/x.db", "no folder")):
        refused(tallymark("backup", "--db", server.db, "--to", tmp_path / name), words)
    assert (tmp_path / "kept.db").read_text() == "kept"
    refused(tallymark("backup", "--db", tmp_path / "missing.db", "--to", tmp_path / "x.db"), "there is no file")
    (tmp_path / "text.db").write_text("no database at all" * 100)
    refused(tallymark("backup", "--db", tmp_path / "text.db", "--to", tmp_path / "x.db"), "not a database")
    assert not (tmp_path / "x.db").exists()
    assert not list(tmp_path.glob(".*.partial*"))


def test_a_backup_that_is_killed_leaves_no_copy(server: Server, tmp_path: Path) -> None:
    """A copy gets its name only when it is complete, so a killed backup leaves no file of that name."""
    copy = tmp_path / "copy.db"
    code = (
        "import os, signal, sys; from pathlib import Path; from tallymark_server.storage.sqlite.backup import backup;"
        "backup(Path(sys.argv[1]), Path(sys.argv[2]), lambda done, pages: os.kill(os.getpid(), signal.SIGKILL))"
    )
    done = subprocess.run([sys.executable, "-c", code, server.db, copy], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert not copy.exists()
    assert tallymark("backup", "--db", server.db, "--to", copy).returncode == 0


def test_a_file_of_an_earlier_release_is_backed_up(server: Server, tmp_path: Path) -> None:
    """The backup command copies a file that is not migrated yet."""
    server.stop()
    with closing(sqlite3.connect(server.db)) as database:
        database.execute(f"PRAGMA user_version = {steps()[-1][0] - 1}")
    assert tallymark("backup", "--db", server.db, "--to", tmp_path / "copy.db").returncode == 0


def test_a_file_that_was_created_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """If two processes create the same file at the same time, the second one fails."""
    path = tmp_path / "file"

    def two_at_once() -> None:
        with placed(path) as partial:
            partial.write_text("mine")
            path.write_text("theirs")

    with pytest.raises(CannotPlaceError, match="meanwhile"):
        two_at_once()
    assert path.read_text() == "theirs"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_an_export_goes_through_a_pipe(server: Server, calls: Calls, tmp_path: Path) -> None:
    """`export --to -` and `import --from -` give the same registry, and standard output has only data."""
    calls.create_model("churn")
    calls.create_version("churn")
    exported_run = tallymark("export", "--db", server.db, "--to", "-")
    assert exported_run.returncode == 0
    assert exported_run.stderr.decode() == f"exported 2 events of {server.db}\n"
    copy = tmp_path / "copy.db"
    done = tallymark("import", "--db", copy, "--from", "-", given=exported_run.stdout)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == f"imported into {copy}: project default at revision 2\n"
    assert tallymark("export", "--db", copy, "--to", "-").stdout == exported_run.stdout
    to = tmp_path / "export.jsonl"
    options = ("--project", "default", "--at", "1", "--to", to)
    assert tallymark("export", "--db", server.db, *options).returncode == 0
    assert to.read_bytes().splitlines()[1:2] == exported_run.stdout.splitlines()[1:2]
    refused(tallymark("export", "--db", server.db, *options), "is there already")
    with Server(copy) as imported, grpc.insecure_channel(imported.address) as channel:
        assert Calls(channel).version("churn", "1") == calls.version("churn", "1")
        refused(tallymark("import", "--db", copy, "--from", to), "held by another Tallymark server")


def test_an_import_that_fails_reports_one_error_and_leaves_no_file(
    server: Server, calls: Calls, tmp_path: Path
) -> None:
    """An invalid export is refused with the line and the problem, and no database is created."""
    calls.create_model("churn")
    data = tallymark("export", "--db", server.db, "--to", "-").stdout
    copy = tmp_path / "copy.db"
    edited = data.replace(b"churn", b"chum", 1)
    refused(tallymark("import", "--db", copy, "--from", "-", given=edited), "line 2: project default, revision 1")
    refused(tallymark("import", "--db", copy, "--from", "-", given=b""), "cut off")
    refused(tallymark("import", "--db", copy, "--from", tmp_path / "missing.jsonl"), "missing.jsonl")
    refused(tallymark("import", "--db", tmp_path / "no/copy.db", "--from", "-", given=data), "no folder")
    assert not copy.exists()


def rewritten(server: Server, folder: Path, names: tuple[str, ...]) -> Path:
    """Create a database with another history under the same log id, which is consistent in itself."""
    with closing(sqlite3.connect(server.db)) as database:
        ((log_id,),) = database.execute("SELECT log_id FROM projects").fetchall()
    path = folder / "rewritten.db"
    with Server(path) as fresh:
        pass
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE projects SET log_id = ?", (log_id,))
    with fresh, grpc.insecure_channel(fresh.address) as channel:
        for name in names:
            Calls(channel).create_model(name)
    return path


def test_a_checkpoint_finds_a_history_that_was_rewritten(server: Server, calls: Calls, tmp_path: Path) -> None:
    """A log that only grew fulfils its checkpoint; a rewritten, a shorter and another log do not, though consistent."""
    calls.create_model("churn")
    calls.create_model("leads")
    mark = tmp_path / "mark.json"
    assert tallymark("verify", "--db", server.db, "--write-checkpoint", mark).returncode == 0
    calls.create_model("more")
    assert tallymark("verify", "--db", server.db, "--checkpoint", mark).returncode == 0
    for number, (names, words) in enumerate(
        (
            (("churn", "fraud", "more"), b"revision 2: up to here it is not what the checkpoint has seen"),
            (("churn",), b"it ends with revision 1, and the checkpoint has seen 2"),
        )
    ):
        (tmp_path / str(number)).mkdir()
        path = rewritten(server, tmp_path / str(number), names)
        assert tallymark("verify", "--db", path).returncode == 0
        found = tallymark("verify", "--db", path, "--checkpoint", mark)
        assert found.returncode == 1
        assert words in found.stderr
    with Server(tmp_path / "another.db") as another:
        found = tallymark("verify", "--db", another.db, "--checkpoint", mark)
        assert found.returncode == 1
        assert b"it is another log than that of the checkpoint" in found.stderr


def test_a_checkpoint_is_written_only_for_a_sound_file(server: Server, calls: Calls, tmp_path: Path) -> None:
    """No checkpoint overwrites another or is written for a damaged file, and an invalid checkpoint is refused."""
    calls.create_model("churn")
    mark = tmp_path / "mark.json"
    assert tallymark("verify", "--db", server.db, "--write-checkpoint", mark).returncode == 0
    again = tallymark("verify", "--db", server.db, "--write-checkpoint", mark)
    assert again.returncode == 1
    assert b"is there already" in again.stderr
    server.stop()
    with closing(sqlite3.connect(server.db)) as database, database:
        database.execute("DELETE FROM models")
    assert tallymark("verify", "--db", server.db, "--write-checkpoint", tmp_path / "x.json").returncode == 1
    assert not (tmp_path / "x.json").exists()
    for text in ("", "[]", '{"checkpoint": 1}', '{"checkpoint": 1, "projects": {"a": 1}}', '{"checkpoint":3}'):
        mark.write_text(text)
        refused(tallymark("verify", "--db", server.db, "--checkpoint", mark), "is no checkpoint")
    of_0_1 = {"default": {"log_id": "a", "revision": 1, "hash": "0" * 64}}
    mark.write_text(json.dumps({"checkpoint": 1, "projects": of_0_1}))
    refused(
        tallymark("verify", "--db", server.db, "--checkpoint", mark), "a checkpoint of Tallymark 0.1 proves nothing"
    )


def test_a_missing_project_is_found_by_a_checkpoint(server: Server, tmp_path: Path) -> None:
    """Verify reports a project that the checkpoint has and the file lacks."""
    mark = tmp_path / "mark.json"
    assert tallymark("verify", "--db", server.db, "--write-checkpoint", mark).returncode == 0
    mark.write_text(mark.read_text().replace('"default"', '"gone"'))
    found = tallymark("verify", "--db", server.db, "--checkpoint", mark)
    assert b"project gone: the checkpoint has it, and the file has not" in found.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_an_export_to_a_full_device_reports_one_error(server: Server, calls: Calls) -> None:
    """When standard output cannot be written, the command fails with one sentence."""
    calls.create_model("churn")
    command: list[str | Path] = [PROGRAM, "export", "--db", server.db, "--to", "-"]
    with Path("/dev/full").open("wb") as full:
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
    assert run.returncode == 1
    assert run.stderr.decode().splitlines() == ["Error: cannot write to standard output: No space left on device"]
