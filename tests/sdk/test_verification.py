"""Both clients verify and export the log."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import Any

import pytest

from tallymark import Checkpoint, Client, NewVersion, errors
from tallymark.testing import Server
from tallymark_server.storage.sqlite.log_export import exported
from tallymark_server.storage.sqlite.verification import verify


def test_a_project_is_verified(client: Any, server: Server) -> None:
    """The proof has the end of the log, against which later proofs are checked; tampering is reported."""
    empty = client.verify()
    assert (empty.sound, empty.events, empty.checkpoint.revision, empty.checkpoint.hash) == (True, 0, 0, "")
    client.create_model("churn")
    proof = client.verify(empty.checkpoint)
    assert (proof.sound, proof.events, proof.problems) == (True, 1, ())
    assert proof.checkpoint == verify(server.db).marks["default"]
    client.create_version("churn")
    assert client.verify(proof.checkpoint).sound
    wrong = client.verify(proof.checkpoint._replace(hash=f"2:{0:064}"))
    assert [problem.where for problem in wrong.problems] == ["project default, revision 1"]
    with closing(sqlite3.connect(server.db)) as database, database:
        database.execute("DELETE FROM versions")
    spoilt = client.verify()
    assert (spoilt.sound, spoilt.problem_count, spoilt.problems[0].where) == (False, 1, "table versions")


def test_a_log_is_exported(client: Any, server: Server) -> None:
    """The bytes equal the export of the file, to the end or to a revision."""
    client.create_model("churn")
    client.create_versions("churn", [NewVersion()] * 1000)
    for at in (None, 500):
        with exported(server.db, "default", at) as told:
            assert b"".join(client.export(at)) == b"".join(told.lines)
    last = list(client.export_progress(at=7))[-1]
    assert (last.revision, last.last_revision) == (7, 7)
    with pytest.raises(errors.RevisionInFuture):
        next(client.export(at=5000))


@pytest.mark.parametrize("wrong", ["x", 7, {"log_id": "x"}, Checkpoint("x", "y", "z"), Checkpoint(None, 2**70, "")])  # type: ignore[arg-type]  # what the types forbid too
def test_an_invalid_checkpoint_is_refused(client: Any, wrong: Any) -> None:
    """It is refused before any request."""
    with pytest.raises(errors.InvalidArgument, match=r"(verify\(checkpoint|Checkpoint\(\w+)=...\) takes"):
        client.verify(wrong)
    with pytest.raises(errors.InvalidArgument, match=r"at=...\) takes"):
        next(client.export_progress(at="now"))


def test_an_unreachable_service_is_reported_soon() -> None:
    """Neither a proof, with its long deadline, nor an export, which has none, waits for the service that long."""
    with Client("127.0.0.1:1", timeout=0.5) as client:
        for ask in (client.verify, lambda: next(client.export())):
            with pytest.raises(errors.Unavailable, match="tallymark serve"):
                ask()


def test_an_interrupted_export_raises(client: Any, server: Server) -> None:
    """The part that arrived is not a complete export, and reading it raises an error."""
    client.create_model("churn")
    for _ in range(10):
        client.create_versions("churn", [NewVersion(description="x" * 500)] * 1000)
    export = client.export()
    next(export)
    stopping = threading.Thread(target=server.kill)
    stopping.start()
    with pytest.raises(errors.Unavailable):
        list(export)
    stopping.join()
