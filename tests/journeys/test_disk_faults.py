"""Disk faults: without space, writes or syncs, or with a damaged page, a server serves reads and recovers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_calls import PROJECT, Calls, refusal_of, refused

from faults.strace import failing_calls
from journeys.test_serving import tallymark
from tallymark.testing import Server, ServerError
from tallymark.v1.event_log_pb2 import VerifyRequest
from tallymark.v1.model_pb2 import STAGE_PRODUCTION, MetadataValue
from tallymark_server.storage.sqlite.verification import verify

BIG = MetadataValue(text="x" * 30_000)
PAGE = 4096


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """Mount a file system for the block. Skip the test unless it runs as root."""
    folder.mkdir()
    command = ["mount", *options, str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system can be mounted by root alone; the same faults are injected by the other tests")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def write_page(db: Path, place: int, content: bytes) -> None:
    with db.open("r+b") as file:
        file.seek(place)
        file.write(content)


def serves_reads_and_refuses_writes(calls: Calls, last: int) -> None:
    """Check that reads succeed, and that a write is refused as retryable."""
    with refused("STORAGE_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE) as refusal:
        calls.create_version("churn", metadata={"big": BIG})
    assert refusal.metadata["retry_after_ms"] == "1000"
    assert calls.model("churn").last_number == last
    assert [version.number for version in calls.versions("churn")] == list(range(last, 0, -1))
    assert calls.version("churn", "latest").number == last


def recovered(server: Server, calls: Calls, last: int) -> None:
    """Check that writes continue without a gap and the file is sound, before and after the server is killed."""
    assert calls.create_version("churn", metadata={"big": BIG}).number == last + 1
    assert calls.set_stage("churn", last + 1, STAGE_PRODUCTION, force=True).number == last + 1
    assert verify(server.db).problems == []
    server.kill()
    assert verify(server.db).problems == []
    server.start()
    with grpc.insecure_channel(server.address) as channel:
        again = Calls(channel)
        assert [version.number for version in again.versions("churn")] == list(range(last + 1, 0, -1))
        assert again.create_version("churn").number == last + 2


@pytest.mark.parametrize(
    "fault",
    [
        "pwrite64:error=ENOSPC",
        "pwrite64:error=ENOSPC:when=4+",
        "pwrite64:error=EROFS",
        "pwrite64:error=EIO:when=2+2",
        "fsync,fdatasync:error=EIO",
    ],
    ids=["full", "full in the middle of a commit", "read-only", "every other write fails", "no sync"],
)
def test_a_disk_that_fails_refuses_writes_until_it_works(server: Server, calls: Calls, fault: str) -> None:
    """Whichever system call fails, writes are refused, reads are served, and the server recovers by itself."""
    calls.create_model("churn")
    calls.create_version("churn")
    with failing_calls(server, fault):
        for _ in range(3):
            serves_reads_and_refuses_writes(calls, 1)
    recovered(server, calls, 1)


def test_a_full_disk_refuses_writes_until_there_is_room(tmp_path: Path) -> None:
    """On a full file system writes are refused and reads are served; freed space is used again."""
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=2m", "tmpfs") as folder:
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(1_000_000))
        with Server(folder / "tallymark.db") as server, grpc.insecure_channel(server.address) as channel:
            calls = Calls(channel)
            calls.create_model("churn")
            created = 0
            with refused("STORAGE_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE) as refusal:
                while True:
                    created = calls.create_version("churn", metadata={"big": BIG}).number
            assert "full" in refusal.message
            serves_reads_and_refuses_writes(calls, created)
            ballast.unlink()
            recovered(server, calls, created)


def test_verify_without_temporary_space_reports_the_cause(
    server: Server, calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without space for temporary files, Verify reports that, and does not report a damaged database."""
    calls.create_model("churn")
    facts = {f"fact-{place}": MetadataValue(text="x" * 255) for place in range(100)}
    for _ in range(150):
        calls.create_version("churn", metadata=facts)
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=64k", "tmpfs") as folder:
        monkeypatch.setenv("SQLITE_TMPDIR", str(folder))
        server.restart()
        with refused("STORAGE_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE) as refusal:
            calls.log.Verify(VerifyRequest(parent=PROJECT), timeout=60, wait_for_ready=True)
        server.stop()
    assert "temporary files" in refusal.message
    assert "backup" not in refusal.message


def test_a_server_does_not_start_on_a_read_only_file_system(tmp_path: Path) -> None:
    """The start of a server on a read-only file system fails with one sentence."""
    with mounted(tmp_path / "readonly", "-t", "tmpfs", "-o", "size=2m", "tmpfs") as folder:
        with Server(folder / "tallymark.db"):
            pass
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        with pytest.raises(ServerError, match="Error: .*cannot write .*--db|Error: .*Read-only"):
            Server(folder / "tallymark.db").start()


def test_offline_commands_work_on_a_read_only_file_system(tmp_path: Path) -> None:
    """Verify, backup and export work on a read-only file system, or name the missing file that SQLite needs."""
    with mounted(tmp_path / "readonly", "-t", "tmpfs", "-o", "size=9m", "tmpfs") as folder:
        db = folder / "tallymark.db"
        with Server(db) as server, grpc.insecure_channel(server.address) as channel:
            Calls(channel).create_model("churn")
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        for command in (["verify"], ["backup", "--to", "copy.db"], ["export", "--to", "export.jsonl"]):
            done = tallymark(tmp_path, *command, "--db", str(db))
            assert (done.returncode, done.stderr) == (0, ""), command
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
        server = Server(db)
        server.start()
        with grpc.insecure_channel(server.address) as channel:
            Calls(channel).create_model("fraud")
        server.kill()
        db.with_name("tallymark.db-shm").unlink()
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        done = tallymark(tmp_path, "verify", "--db", str(db))
        assert done.returncode == 1
        for word in ("tallymark.db-wal", "copy both", "--db"):
            assert word in done.stderr
        assert "backup" not in done.stderr


def test_a_damaged_page_fails_only_the_reads_that_need_it(server: Server, calls: Calls) -> None:
    """While a page is damaged, reads that need it are refused with DATA_DAMAGED; other reads and writes succeed."""
    calls.create_model("churn")
    for _ in range(20):
        calls.create_version("churn", metadata={"big": BIG})
    calls.create_model("fraud")
    server.restart()
    content = server.db.read_bytes()
    damaged = next(
        place for place in range(0, len(content), PAGE) if set(content[place + 4 : place + PAGE]) == {b"x"[0]}
    )
    write_page(server.db, damaged, b"\xff" * PAGE)
    outcomes: dict[int, str] = {}
    with grpc.insecure_channel(server.address) as channel:
        again = Calls(channel)
        for number in range(1, 21):
            try:
                outcomes[number] = again.version("churn", str(number)).version_name
            except grpc.RpcError as error:
                outcomes[number] = refusal_of(error).info.reason
        for read in (lambda: again.versions("churn"), again.events):
            with refused("DATA_DAMAGED", grpc.StatusCode.DATA_LOSS) as refusal:
                read()
            assert "malformed" in refusal.message
        assert again.create_version("fraud").number == 1
        write_page(server.db, damaged, content[damaged : damaged + PAGE])
        assert [version.number for version in again.versions("churn")] == list(range(20, 0, -1))
        assert again.create_version("churn").number == 21
    failed = [number for number, outcome in outcomes.items() if outcome == "DATA_DAMAGED"]
    assert 0 < len(failed) < 10
    assert all(outcome == str(number) for number, outcome in outcomes.items() if number not in failed)
    assert verify(server.db).problems == []
