"""The log over gRPC: proved and exported while the server goes on."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_calls import PROJECT, Calls, refused

from tallymark.testing import Server
from tallymark.v1.event_log_pb2 import Checkpoint, ExportRequest, VerifyRequest, VerifyResponse
from tallymark.v1.model_pb2 import ModelVersion
from tallymark.v1.model_registry_pb2 import (
    BatchCreateModelVersionsRequest,
    CreateModelRequest,
    CreateModelVersionRequest,
)
from tallymark_server.storage.sqlite.log_export import exported
from tallymark_server.storage.sqlite.verification import verify

pytestmark = pytest.mark.sqlite_only

DEADLINE = 60


def proof(calls: Calls, **fields: Any) -> VerifyResponse:
    return calls.log.Verify(VerifyRequest(**{"parent": PROJECT, **fields}), timeout=DEADLINE)


def export(calls: Calls, **fields: Any) -> bytes:
    request = ExportRequest(**{"parent": PROJECT, **fields})
    return b"".join(message.lines for message in calls.log.Export(request, timeout=DEADLINE))


def file_export(path: Path, at: int | None = None, project: str = "default") -> bytes:
    with exported(path, project, at) as told:
        return b"".join(told.lines)


def batch(calls: Calls, count: int, description: str = "") -> None:
    """Create so many more versions of the model `churn`, which exists, in batches of 500."""
    versions = [ModelVersion(description=description)] * 500
    for start in range(0, count, 500):
        request = BatchCreateModelVersionsRequest(
            parent=f"{PROJECT}/models/churn", model_versions=versions[: count - start], request_id=f"batch-{start}"
        )
        calls.models.BatchCreateModelVersions(request, timeout=DEADLINE)


def until(true: Callable[[], bool], calls: Calls) -> None:
    """Call the server until the condition is true."""
    end = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < end
        calls.model("churn")


def corrupt(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Server, Calls]]:
    """Yield a server with the projects `default` and `other`, each with a model of two versions, and calls to it."""
    with (
        Server(tmp_path / "tallymark.db", ["--project", "other"]) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        calls = Calls(channel)
        calls.create_model("churn", request_id="one")
        calls.models.CreateModel(CreateModelRequest(parent="projects/other", model_id="secret"), timeout=DEADLINE)
        for place in range(2):
            calls.create_version("churn", request_id=f"v{place}")
            request = CreateModelVersionRequest(parent="projects/other/models/secret")
            calls.models.CreateModelVersion(request, timeout=DEADLINE)
        yield server, calls


def test_a_proof_over_grpc_is_that_of_the_file(both: tuple[Server, Calls]) -> None:
    """Verify returns for a project what `tallymark verify` reports for it."""
    server, calls = both
    found = proof(calls)
    mark = verify(server.db).marks["default"]
    assert (found.events, found.problem_count, list(found.problems)) == (3, 0, [])
    assert (found.checkpoint.log_id, found.checkpoint.revision, found.checkpoint.hash) == mark


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("UPDATE versions SET number = 9 WHERE project = 1 AND number = 2", "table versions"),
        ("UPDATE events SET actor = 'eve' WHERE project = 1 AND revision = 2", "revision 2: its content is not"),
        ("DELETE FROM events WHERE project = 1 AND revision = 2", "events are missing"),
        ("UPDATE receipts SET last_revision = 99 WHERE request_id = 'v1'", "request v1"),
        ("DROP INDEX stage_holders", "index stage_holders"),
    ],
)
def test_verify_reports_what_was_tampered_with(both: tuple[Server, Calls], script: str, words: str) -> None:
    """A change that was not made by the writer is found while the server goes on."""
    server, calls = both
    corrupt(server.db, script)
    found = proof(calls)
    assert found.problem_count == len(found.problems) > 0
    assert any(words in f"{problem.where}: {problem.what}" for problem in found.problems), found
    assert calls.model("churn").name


def test_verify_reports_no_other_project(both: tuple[Server, Calls]) -> None:
    """Neither a proof nor an export has anything of another project, sound or broken."""
    server, calls = both
    assert b"secret" not in export(calls)
    corrupt(server.db, "UPDATE models SET name = 'spoilt' WHERE project = 2; DELETE FROM events WHERE project = 2")
    assert list(proof(calls).problems) == []
    assert proof(calls, parent="projects/other").problem_count > 0


def test_verify_reports_the_first_of_many_problems(both: tuple[Server, Calls]) -> None:
    """The response stays small, and has the number of all problems."""
    server, calls = both
    batch(calls, 500)
    corrupt(server.db, f"UPDATE events SET actor = '{'x' * 5000}' WHERE project = 1; DELETE FROM versions")
    found = proof(calls)
    assert len(found.problems) == 100
    assert found.problem_count > 500
    assert found.ByteSize() < 200_000


def test_a_rewritten_log_is_found_by_a_checkpoint(both: tuple[Server, Calls]) -> None:
    """A mark that an earlier proof returned is refused by a rewritten log, however consistent that is."""
    server, calls = both
    kept = proof(calls).checkpoint
    calls.create_version("churn")
    assert list(proof(calls, checkpoint=kept).problems) == []
    server.stop()
    server.db.rename(server.db.with_name("old.db"))
    for beside in server.db.parent.glob("tallymark.db-*"):
        beside.unlink()
    server.start()
    with grpc.insecure_channel(server.address) as channel:
        calls = Calls(channel)
        corrupt(server.db, f"UPDATE projects SET log_id = '{kept.log_id}' WHERE name = 'default'")
        for model in ("churn", "fraud", "leads", "more"):
            calls.create_model(model)
        assert list(proof(calls).problems) == []
        (problem,) = proof(calls, checkpoint=kept).problems
        assert problem.where == "project default, revision 3"
        assert problem.what == "up to here it is not what the checkpoint has seen"


def test_an_export_over_grpc_has_the_bytes_of_the_files(both: tuple[Server, Calls]) -> None:
    """Each revision is exported as by `tallymark export`, even while others write, and messages have a revision."""
    server, calls = both
    for at in (1, 2, 3, None):
        asked = {} if at is None else {"read_revision": at}
        assert export(calls, **asked) == file_export(server.db, at)
    batch(calls, 1500, "x" * 500)
    stream = calls.log.Export(ExportRequest(parent=PROJECT), timeout=DEADLINE)
    messages = [next(stream)]
    calls.create_version("churn", request_id="later")
    messages += stream
    assert b"".join(message.lines for message in messages) == file_export(server.db, 1503)
    assert len(messages) > 5
    assert {message.read_revision for message in messages} == {1503}
    assert messages[-1].revision == 1503


def test_a_large_event_is_exported_in_messages_that_clients_take(both: tuple[Server, Calls]) -> None:
    """A line that is larger than a message continues in the next one."""
    server, calls = both
    card = ("description", "license", "audience", "use_cases", "limitations", "trade_offs", "ethics")
    calls.create_model("large", **dict.fromkeys(card, "\x01" * 30_000))
    stream = calls.log.Export(ExportRequest(parent=PROJECT), timeout=DEADLINE)
    pieces = [message.lines for message in stream]
    assert max(map(len, pieces)) == 512 * 1024
    assert b"".join(pieces) == file_export(server.db)


def test_a_broken_log_is_not_exported(both: tuple[Server, Calls]) -> None:
    """The export of a log that could not be imported again ends with a status that says what to do."""
    server, calls = both
    corrupt(server.db, "UPDATE events SET actor = 'eve' WHERE project = 1 AND revision = 2")
    with refused("DATA_DAMAGED", grpc.StatusCode.DATA_LOSS) as refusal:
        export(calls)
    assert "broken at revision 2, and Verify reports" in refusal.message


def children_of(server: Server) -> list[str]:
    """Return the child processes of the server."""
    found: list[str] = []
    for task in Path(f"/proc/{server.pid}/task").iterdir():
        with suppress(FileNotFoundError):
            found += (task / "children").read_text().split()
    return found


def test_a_proof_ends_when_its_caller_leaves_and_when_the_server_stops(both: tuple[Server, Calls]) -> None:
    """A proof ends when its caller leaves, when the server stops, and when the server is killed."""
    server, calls = both
    batch(calls, 20_000)
    request = VerifyRequest(parent=PROJECT)
    asked = calls.log.Verify.future(request, timeout=DEADLINE)
    until(lambda: bool(children_of(server)), calls)
    asked.cancel()
    until(lambda: not children_of(server), calls)
    asked = calls.log.Verify.future(request, timeout=DEADLINE)
    until(lambda: bool(children_of(server)), calls)
    server.stop()
    with refused("STOPPING", grpc.StatusCode.UNAVAILABLE):
        asked.result()
    assert "Traceback" not in server.log_file.read_text()
    server.start()
    asked = calls.log.Verify.future(request, timeout=DEADLINE, wait_for_ready=True)
    until(lambda: bool(children_of(server)), calls)
    (child,) = children_of(server)
    server.kill()
    end = time.monotonic() + DEADLINE
    while Path(f"/proc/{child}").exists() and "\nState:\tZ" not in Path(f"/proc/{child}/status").read_text():
        assert time.monotonic() < end
    assert asked.exception() is not None


def threads_of(server: Server) -> int:
    return len(list(Path(f"/proc/{server.pid}/task").iterdir()))


def test_an_export_ends_when_its_caller_leaves(both: tuple[Server, Calls]) -> None:
    """Many callers that leave in the middle of an export, or do not read it, leave nothing open."""
    server, calls = both
    batch(calls, 5000, "x" * 1000)
    before = threads_of(server)
    for _ in range(20):
        streams = [calls.log.Export(ExportRequest(parent=PROJECT), timeout=DEADLINE) for _ in range(5)]
        for stream in streams:
            next(stream)
            stream.cancel()
        until(lambda: threads_of(server) <= before, calls)


def test_slow_exports_are_bounded(both: tuple[Server, Calls]) -> None:
    """While eight exports are not read, a further one is refused at once, and other calls are served."""
    _, calls = both
    batch(calls, 5000, "x" * 1000)
    slow = [calls.log.Export(ExportRequest(parent=PROJECT), timeout=DEADLINE) for _ in range(8)]
    for stream in slow:
        next(stream)
    with refused("OVERLOADED", grpc.StatusCode.UNAVAILABLE) as refusal:
        export(calls)
    assert "8 exports are under way already" in refusal.message
    assert calls.create_version("churn").number == 5003
    slow.pop().cancel()
    slow[0].cancel()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"parent": "projects/"}, "parent"),
        ({"parent": "projects/a/models/b"}, "parent"),
        ({"checkpoint": Checkpoint()}, "checkpoint.log_id"),
        ({"checkpoint": Checkpoint(log_id="x" * 1000)}, "checkpoint.log_id"),
        ({"checkpoint": Checkpoint(log_id="a\nb")}, "checkpoint.log_id"),
        ({"checkpoint": Checkpoint(log_id="a", revision=-1)}, "checkpoint.revision"),
        ({"checkpoint": Checkpoint(log_id="a", revision=1)}, "checkpoint.hash"),
        ({"checkpoint": Checkpoint(log_id="a", revision=1, hash="2:" + "0" * 63 + "G")}, "checkpoint.hash"),
        ({"checkpoint": Checkpoint(log_id="a", revision=1, hash="0" * 64)}, "checkpoint.hash"),
        ({"checkpoint": Checkpoint(log_id="a", hash="0" * 64)}, "checkpoint.hash"),
        ({"checkpoint": Checkpoint(log_id="a", revision=1, hash="0" * 60_000)}, "checkpoint.hash"),
    ],
)
def test_a_proof_that_cannot_be_meant_is_refused(calls: Calls, fields: dict[str, object], field: str) -> None:
    """The refusal of an invalid mark names the field."""
    with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT) as refusal:
        proof(calls, **fields)
    assert refusal.metadata["field"] == field


def test_an_export_of_what_is_not_there_is_refused(calls: Calls) -> None:
    """Revisions below 1 and beyond the log are refused; the error for the latter has the last revision."""
    for revision in (0, -1):
        with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT):
            export(calls, read_revision=revision)
    for revision in (1, 2**63 - 1):
        with refused("REVISION_IN_FUTURE", grpc.StatusCode.OUT_OF_RANGE) as refusal:
            export(calls, read_revision=revision)
        assert refusal.metadata == {"revision": str(revision), "oldest": "0", "newest": "0"}
    assert proof(calls, checkpoint=Checkpoint(log_id="a", revision=2**63 - 1, hash=f"2:{0:064}")).problem_count == 2
