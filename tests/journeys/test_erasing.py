"""Erasure of secrets and personal data from every answer and from the bytes of every file; the log stays verifiable."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import grpc
import pytest
from grpc_calls import DEADLINE, PROJECT, Calls, refused

from tallymark import Client, MetricPoint, RecordingProblem
from tallymark.errors import NothingToErase, TallymarkError
from tallymark.testing import Server
from tallymark.v1 import event_log_pb2, event_pb2, model_registry_pb2
from tallymark.v1.model_pb2 import MetadataValue

SECRET = "hunter2-s3cr3t"
PROGRAM = Path(sys.executable).with_name("tallymark")
VERSION, RUN, MODEL = "churn/1", f"{PROJECT}/runs/r1", "churn"
KILLS = int(os.environ.get("TALLYMARK_TEST_MOMENTS", "6"))
# By resource, the paths that erase the planted secrets.
ERASURES: dict[str, tuple[str, ...]] = {
    RUN: ("parameters.token", "parameters.nested.inner", "command", "error", "recording_problems"),
    VERSION: (
        "metadata.plain",
        "metadata.owner.mail",
        "description",
        f"tags.{SECRET}",
        "reasons",
        "artifacts.data",
        "previous_names",
    ),
    MODEL: ("description", "metadata.owner", "tags", "previous_names"),
    "": (f"actors.{SECRET}",),
}


def tallymark(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command, and wait for it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYMARK_")}
    return subprocess.run(
        [PROGRAM, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
        stdin=subprocess.DEVNULL,
    )


def plant(server: Server) -> None:
    """Write the secret into every field that can hold text."""
    with Client(server.address) as client, Client(server.address, actor=SECRET) as careless:
        client.create_model(
            f"old-{SECRET}", description=SECRET, tags=[SECRET], metadata={"owner": SECRET, "team": "ml"}
        )
        client.rename_model(f"old-{SECRET}", MODEL)
        client.create_version(MODEL, name=f"was-{SECRET}", metadata={"auc": 0.5})
        client.update_version(VERSION, name="now", description=f"{SECRET} in prose", tags=[SECRET, "eu"])
        client.log_metadata(VERSION, {"plain": SECRET, "owner": {"mail": SECRET, "team": "ml"}})
        client.log_metrics(VERSION, [MetricPoint(SECRET, 1, 0.25), MetricPoint("loss", 1, 0.5)])
        client.link_artifact(VERSION, "data", f"s3://bucket/?token={SECRET}")
        careless.set_stage(VERSION, "staging", reason=f"{SECRET} works")
        client.start_run(
            "r1",
            pipeline="p",
            command=f"train --key {SECRET}",
            parameters={"token": SECRET, "nested": {"inner": SECRET}},
        )
        client.start_step("r1", "s1", name="fit", parameters={"token": SECRET})
        client.report_recording_problems("r1", [RecordingProblem(f"parameter {SECRET}", SECRET, 2)])
        client.finish_step("r1", "s1", "failed", error=f"bad key {SECRET}")
        client.finish_run("r1", "failed", error=f"bad key {SECRET}")
        careless.set_stage(VERSION, "production", reason=SECRET)


def erase_all(server: Server) -> None:
    with Client(server.address) as client:
        for name, paths in ERASURES.items():
            assert client.erase(name, *paths, reason="a leaked key").content_count > 0
        assert client.erase(VERSION, f"metadata.{SECRET}", keys=True, reason="a leaked key").content_count > 0


def holders_of_the_secret(folder: Path) -> list[str]:
    """Return the files below the folder that contain the secret."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def all_events(server: Server) -> list[event_pb2.Event]:
    with grpc.insecure_channel(server.address) as channel:
        return Calls(channel).events()


@pytest.fixture
def erased(server: Server, tmp_path: Path) -> Server:
    """A server from which all planted secrets are erased. `before.json` has a checkpoint from before the erasure."""
    plant(server)
    assert tallymark("verify", "--db", server.db, "--write-checkpoint", tmp_path / "before.json").returncode == 0
    erase_all(server)
    return server


def test_no_file_has_erased_content(erased: Server, tmp_path: Path) -> None:
    """Erased content is in no file of the database, in no later backup and in no later export."""
    assert holders_of_the_secret(tmp_path) == []
    assert tallymark("backup", "--db", erased.db, "--to", tmp_path / "copy.db").returncode == 0
    assert tallymark("export", "--db", erased.db, "--to", tmp_path / "export.jsonl").returncode == 0
    erased.stop()
    assert holders_of_the_secret(tmp_path) == []
    assert SECRET not in json.dumps([str(event) for event in all_events_of(tmp_path / "copy.db")])


def all_events_of(db: Path) -> list[event_pb2.Event]:
    with Server(db) as server:
        return all_events(server)


def test_the_log_is_verified_and_names_each_erasure(erased: Server, tmp_path: Path) -> None:
    """After an erasure, verify succeeds on file and service, also with an older checkpoint, and lists the erasures."""
    by = [event.revision for event in all_events(erased) if event.kind == event_pb2.EVENT_KIND_ERASED]
    assert len(by) == len(ERASURES) + 1
    for where in (("--db", erased.db), ()):
        found = tallymark(
            *(() if where else ("--url", erased.address)), "verify", *where, "--checkpoint", tmp_path / "before.json"
        )
        assert found.returncode == 0, found.stderr
        assert f"contents erased, by revisions {', '.join(map(str, by))}" in found.stdout
    with Client(erased.address) as client:
        proof = client.verify()
    assert (proof.sound, list(proof.erased_by)) == (True, by)


def test_an_export_with_erasures_is_imported(erased: Server, tmp_path: Path) -> None:
    """An imported export with erasures is sound and exports the same; an export as of before an erasure is refused."""
    export, copy = tmp_path / "export.jsonl", tmp_path / "copy.db"
    assert tallymark("export", "--db", erased.db, "--to", export).returncode == 0
    assert tallymark("import", "--db", copy, "--from", export).returncode == 0
    again = tmp_path / "again.jsonl"
    assert tallymark("export", "--db", copy, "--to", again).returncode == 0
    assert again.read_bytes() == export.read_bytes()
    assert "contents erased" in tallymark("verify", "--db", copy).stdout
    cut = tallymark("export", "--db", erased.db, "--project", "default", "--at", "3", "--to", tmp_path / "cut.jsonl")
    assert (cut.returncode, "was erased at revision" in cut.stderr) == (1, True)
    with Client(erased.address) as client, pytest.raises(TallymarkError, match="was erased at revision"):
        list(client.export(at=3))


@pytest.mark.both_engines
def test_other_values_are_not_erased(server: Server) -> None:
    """Numbers, stages, current names, times and other values stay the same in every event and every resource."""
    plant(server)
    before = all_events(server)
    erase_all(server)
    after = all_events(server)[: len(before)]
    for old, new in zip(before, after, strict=True):
        assert (old.revision, old.kind, old.time, old.previous_stage) == (
            new.revision, new.kind, new.time, new.previous_stage
        )  # fmt: skip
        for field in ("number", "stage", "mod_revision", "create_time"):
            assert getattr(old.model_version, field) == getattr(new.model_version, field)
    with Client(server.address) as client:
        version = client.get_version("churn@production")
        assert (version.number, version.name, version.metadata["auc"]) == (1, "now", 0.5)
        assert version.metadata["owner"] == {"mail": "[erased]", "team": "ml"}
        assert version.tags == ("[erased]", "eu")
        assert client.get_version("churn==now").number == 1
        points = client.list_metrics(VERSION)
        assert [(point.key, point.value) for point in points] == [("loss", 0.5)]
        found = list(client.list_versions(MODEL, filter='metadata.plain = "[erased]"'))
        assert [version.number for version in found] == [1]
        run = client.get_run("r1")
        assert (run.parameters["token"], run.parameters["nested"]) == ("[erased]", {"inner": "[erased]"})
        assert client.create_version(MODEL).number == 2


def test_reads_of_the_past_show_erasures(erased: Server) -> None:
    """Reads as of the past and a watch show `[erased]`, and each event has the revision of its erasure."""
    with grpc.insecure_channel(erased.address) as channel:
        calls = Calls(channel)
        stream = calls.log.Watch(event_log_pb2.WatchRequest(parent=PROJECT, after_revision=0), timeout=DEADLINE)
        head = calls.events()[-1].revision
        events: list[event_pb2.Event] = []
        while not events or events[-1].revision < head:
            events += next(stream).events
        stream.cancel()
        assert SECRET not in str(events)
        marked = [event for event in events if event.erased_revision]
        assert len(marked) > 10
        by_revision = {event.revision: event for event in events}
        for event in marked:
            assert by_revision[event.erased_revision].kind == event_pb2.EVENT_KIND_ERASED
        logged = next(event for event in events if event.kind == event_pb2.EVENT_KIND_METADATA_LOGGED)
        request = model_registry_pb2.GetModelVersionRequest(
            name=f"{PROJECT}/models/churn/versions/1", read_revision=logged.revision
        )
        then = calls.models.GetModelVersion(request, timeout=DEADLINE)
        assert then.metadata["plain"].text == "[erased]"
        erasures = [event for event in events if event.kind == event_pb2.EVENT_KIND_ERASED]
        assert {event.erasure.name for event in erasures} == {
            PROJECT, f"{PROJECT}/models/churn", f"{PROJECT}/models/churn/versions/1", f"{PROJECT}/runs/r1"
        }  # fmt: skip
        assert all(event.reason == "a leaked key" and event.erasure.content_count for event in erasures)


def test_verify_tells_rewritten_content_from_erased_content(erased: Server) -> None:
    """Content that was changed and marked as erased is found, also with a new digest or forged marks."""
    erased.stop()
    forgeries = {
        "another content": "UPDATE events SET reason = 'mine' WHERE erased > 0",
        "another digest": "UPDATE events SET digest = zeroblob(32) WHERE erased > 0",
        "a mark of its own": "INSERT INTO erasures SELECT project, 1, 2, digest FROM events WHERE revision = 1",
        "one mark more": (
            "INSERT INTO erasures SELECT project, 3, (SELECT max(revision) FROM events), digest FROM events"
            " WHERE revision = 3"
        ),
        "one mark less": "DELETE FROM erasures WHERE revision = (SELECT max(revision) FROM erasures)",
        "no marks": "DELETE FROM erasures",
    }
    for name, sql in forgeries.items():
        copy = erased.db.with_name(f"{name}.db")
        assert tallymark("backup", "--db", erased.db, "--to", copy).returncode == 0
        with closing(sqlite3.connect(copy, isolation_level=None)) as database:
            assert database.execute(sql).rowcount > 0
        assert tallymark("verify", "--db", copy).returncode == 1, name


def test_content_is_erased_again_and_after_a_purge(server: Server, tmp_path: Path) -> None:
    """Events can be erased repeatedly, and deleted or purged versions can be erased by their number."""
    plant(server)
    with Client(server.address) as client:
        assert client.erase(VERSION, "description", reason="a leaked key").content_count
        assert client.erase(VERSION, "metadata.plain", "metadata.owner", reason="a leaked key").content_count
        client.set_stage(VERSION, "archived", reason=SECRET)
        client.delete_version(VERSION, reason=SECRET)
        client.purge_version(VERSION, reason=SECRET)
        client.delete_model(MODEL, reason=SECRET)
        client.purge_model(MODEL, reason=SECRET)
        for name, paths in ERASURES.items():
            left = [
                path
                for path in paths
                if not (name == VERSION and path in ("description", "metadata.plain", "metadata.owner.mail"))
            ]
            assert client.erase(name, *left, reason="a leaked key").content_count
        assert client.erase(VERSION, f"metadata.{SECRET}", keys=True, reason="a leaked key").content_count
        assert client.erase(MODEL, "reasons", reason="a leaked key").content_count
        assert client.verify().sound
    assert holders_of_the_secret(tmp_path) == []


@pytest.mark.both_engines
def test_a_path_without_content_is_refused(server: Server) -> None:
    """If one path has no content to erase, nothing is erased, and no refusal quotes a path."""
    plant(server)
    with Client(server.address) as client:
        head = client.verify().events
        with pytest.raises(NothingToErase, match=r"paths\[1\] leads to nothing") as refusal:
            client.erase(VERSION, "description", f"metadata.{SECRET}x", reason="a leaked key")
        assert SECRET not in str(refusal.value)
        for name, path in (
            (VERSION, SECRET),
            (VERSION, f"description.{SECRET}"),
            ("", "actors"),
            (MODEL, "parameters"),
        ):
            with pytest.raises(TallymarkError) as wrong:
                client.erase(name, path, reason="a leaked key")
            assert (wrong.value.reason, SECRET in str(wrong.value)) == ("INVALID_FIELD", False)
        with pytest.raises(TallymarkError, match="say why"):
            client.erase(VERSION, "description", reason=" ")
        trial = client.erase(VERSION, "description", reason="a leaked key", validate_only=True)
        assert (trial.content_count > 0, trial.revision) == (True, 0)
        assert client.verify().events == head
        assert SECRET in client.get_version(VERSION).description


@pytest.mark.both_engines
def test_a_repeated_erasure_has_one_effect(server: Server) -> None:
    """A repeated erasure gets its first answer; a repeated request whose content was erased is refused."""
    with grpc.insecure_channel(server.address) as channel:
        calls = Calls(channel)
        calls.create_model("churn")
        calls.create_version("churn", request_id="create", description=SECRET)
        request = event_log_pb2.EraseRequest(
            name=f"{PROJECT}/models/churn/versions/1", paths=["description"], reason="a leaked key", request_id="erase"
        )
        first = calls.log.Erase(request, timeout=DEADLINE)
        assert calls.log.Erase(request, timeout=DEADLINE) == first
        with refused("REQUEST_ID_REUSED"):
            calls.create_version("churn", request_id="create", description=SECRET)
        assert calls.model("churn").last_number == 1


def test_a_crash_leaves_all_or_nothing_erased(tmp_path: Path) -> None:
    """After a kill at any moment, the restarted server has either all of the secret or nothing, and can erase again."""
    chosen = random.Random(7)
    erased_count = 0
    with Server(tmp_path / "tallymark.db") as server:
        plant(server)
        for moment in range(KILLS):
            mark = f"{SECRET}-{moment}"
            with Client(server.address) as client:
                client.update_version(VERSION, description=mark)
            begun = threading.Event()
            eraser = threading.Thread(target=send_erase, args=(server.address, begun))
            eraser.start()
            assert begun.wait(30)
            for _ in range(chosen.randrange(400_000)):  # a random delay, to hit any phase
                pass
            os.kill(server.pid, signal.SIGKILL)
            server.kill()
            eraser.join()
            server.start()
            with Client(server.address) as client:
                erased = client.get_version(VERSION).description == "[erased]"
                proof = client.verify()
            assert proof.sound
            files = [path for path in tmp_path.iterdir() if mark.encode() in path.read_bytes()]
            assert bool(files) is not erased
            erased_count += erased
            if not erased:
                with Client(server.address) as client:
                    client.erase(VERSION, "description", reason="a leaked key")
        assert [path for path in tmp_path.iterdir() if f"{SECRET}-".encode() in path.read_bytes()] == []


def send_erase(address: str, begun: threading.Event) -> None:
    with suppress(TallymarkError, grpc.RpcError), grpc.insecure_channel(address) as channel:
        calls = Calls(channel)
        calls.events(page_size=1)
        begun.set()
        calls.log.Erase(
            event_log_pb2.EraseRequest(
                name=f"{PROJECT}/models/churn/versions/1", paths=["description"], reason="a leaked key"
            ),
            timeout=DEADLINE,
        )
    begun.set()


def test_the_command_needs_confirmation_and_warns_of_backups(server: Server) -> None:
    """Without a terminal `erase` needs --yes, a dry run changes nothing, and a warning names earlier backups."""
    plant(server)
    erase = ("--url", server.address, "erase", VERSION, "description", "--reason", "a leaked key")
    asked = tallymark(*erase)
    assert (asked.returncode, "add --yes" in asked.stderr) == (2, True)
    assert tallymark(*erase, "--dry-run").returncode == 0
    with Client(server.address) as client:
        assert SECRET in client.get_version(VERSION).description
    done = tallymark(*erase, "--yes")
    assert done.returncode == 0, done.stderr
    assert "delete older backups and exports, which still have it" in done.stderr
    assert done.stdout.split()[:3] == ["NAME", "EVENTS", "REVISION"]
    wrong = tallymark(*erase[:-3], SECRET, "--reason", "a leaked key", "--yes")
    assert (wrong.returncode, "is '[not shown]': what can be erased of this is description" in wrong.stderr) == (
        2,
        True,
    )
    assert SECRET not in wrong.stderr
    with Client(server.address) as client:
        assert client.get_version(VERSION).description == "[erased]"
    told = tallymark("--url", server.address, "model", "history", MODEL, "--kind", "erased")
    assert "description in" in told.stdout


@pytest.mark.parametrize("again", ["repeated", "started anew"])
def test_content_behind_an_open_reader_is_scrubbed_later(server: Server, tmp_path: Path, again: str) -> None:
    """While a reader blocks the scrub, answers lack the content; a retry or a restart removes it from the file."""
    plant(server)
    request = event_log_pb2.EraseRequest(
        name=f"{PROJECT}/models/churn/versions/1", paths=["metadata.plain"], reason="a leaked key", request_id="erase"
    )
    with grpc.insecure_channel(server.address) as channel, closing(sqlite3.connect(server.db)) as reader:
        calls = Calls(channel)
        calls.log_metadata("churn", 1, plain=MetadataValue(text="another-secret"))
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        with refused("STORAGE_UNAVAILABLE"):
            calls.log.Erase(request, timeout=DEADLINE)
        assert calls.version("churn", "1").metadata["plain"].text == "[erased]"
        assert b"another-secret" in b"".join(path.read_bytes() for path in tmp_path.glob("tallymark.db*"))
        reader.execute("ROLLBACK")
        if again == "repeated":
            assert calls.log.Erase(request, timeout=DEADLINE).content_count > 0
    if again == "started anew":
        server.restart()
    assert b"another-secret" not in b"".join(path.read_bytes() for path in tmp_path.glob("tallymark.db*"))
    assert tallymark("verify", "--db", server.db).returncode == 0
