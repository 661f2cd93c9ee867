"""Both clients about a log as a whole: to prove it, and to export it."""

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


def test_a_project_is_proved(client: Any, server: Server) -> None:
    """The proof tells where the log stands, which a later one is held to; what was tampered with is told."""
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
    """Its bytes are those of the file's export, to the end or to a revision."""
    client.create_model("churn")
    client.create_versions("churn", [NewVersion()] * 1000)
    for at in (None, 500):
        with exported(server.db, "default", at) as told:
            assert b"".join(client.export(at)) == b"".join(told.lines)
    last = list(client.export_progress(at=7))[-1]
    assert (last.revision, last.last_revision) == (7, 7)
    with pytest.raises(errors.RevisionInFuture):
        next(client.export(at=5000))


@pytest.mark.parametrize("wrong", ["x", 7, {"log_id": "x"}, Checkpoint("x", "y", "z"), Checkpoint(None, 2**70, "")])  # type: ignore[arg-type]
def test_what_is_no_checkpoint_is_refused(client: Any, wrong: Any) -> None:
    """What cannot be one is told before anything is sent."""
    with pytest.raises(errors.InvalidArgument, match=r"(verify\(checkpoint|Checkpoint\(\w+)=...\) takes"):
        client.verify(wrong)
    with pytest.raises(errors.InvalidArgument, match=r"at=...\) takes"):
        next(client.export_progress(at="now"))


def test_who_asks_a_service_that_is_not_there_is_told_soon() -> None:
    """Neither a proof, which may take an hour, nor an export, which has no deadline, waits for a service that long."""
    with Client("127.0.0.1:1", timeout=0.5) as client:
        for ask in (client.verify, lambda: next(client.export())):
            with pytest.raises(errors.Unavailable, match="tallymark serve"):
                ask()


def test_a_service_that_goes_away_ends_an_export(client: Any, server: Server) -> None:
    """What was told until then is no whole export, and whoever reads it is told so."""
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
