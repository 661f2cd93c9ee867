"""Runs without a registry: recorded on disk, sent by `tallymark sync`, and continued after a crash."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tallymark import (
    Client,
    Model,
    current_model,
    current_run,
    errors,
    log_metadata,
    log_metric,
    pipeline,
    run,
    settings,
    step,
)
from tallymark.tracking.context import context_frame
from tallymark.delivery.journal import Kind, frame, scan
from tallymark.testing import Server
from tallymark.types.enums import RunState

CLOSED = "127.0.0.1:1"


def in_order(*times: datetime | None) -> bool:
    """Return whether all times are known, and none is before the one that precedes it."""
    known = [each for each in times if each is not None]
    return len(known) == len(times) and known == sorted(known)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, spool: Path) -> Path:
    """The spool of this process, which records offline for a registry that does not run."""
    monkeypatch.setenv("TALLYMARK_MODE", "offline")
    monkeypatch.setenv("TALLYMARK_URL", CLOSED)
    return spool


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.address) as made:
        yield made


def sync(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [Path(sys.executable).with_name("tallymark"), "sync", "--no-headers", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


MODEL = Model("churn", tags=["nightly"])


@step(model=Model("data", "2026.1"))
def prepare() -> None:
    log_metadata({"rows": 7})


@step
def fit(depth: int) -> None:
    for at in range(20):
        log_metric("loss", 1 / (at + 1), step=at)
    log_metadata({"depth": depth})


@pipeline(model=MODEL)
def train(kind: str) -> str:
    prepare()
    fit(3)
    return current_run()


def test_an_offline_run_equals_an_online_run(offline: Path, client: Client) -> None:
    """After `tallymark sync --to`, steps, versions, points and outcome exist, with their original times."""
    begun = datetime.now(UTC)
    found = train("nightly")
    ended = datetime.now(UTC)
    with pytest.raises(ValueError, match="no data"), run(model=MODEL, name="second"):
        raise ValueError("no data")
    rows = [line.split("\t")[:2] for line in sync("--to", client._settings.url).stdout.splitlines()]
    assert rows[0] == [found, "sent"]
    assert len(rows) == 2
    ran, failed = client.get_run(found), next(client.list_runs(filter="state = failed"))
    assert (ran.pipeline, ran.state, ran.parameters) == ("train", RunState.SUCCEEDED, {"kind": "nightly"})
    assert (failed.pipeline, failed.error) == ("second", "ValueError: no data")
    assert in_order(begun, ran.start_time, ran.end_time, ended, ran.create_time)
    first = client.get_version("churn/1")
    assert (first.run, first.tags, first.metadata) == (found, ("nightly",), {"depth": 3, "loss": 0.05})
    assert client.get_version("data==2026.1").metadata == {"rows": 7}
    assert [(each.name, each.state) for each in client.list_steps(found)] == [
        ("prepare", RunState.SUCCEEDED),
        ("fit", RunState.SUCCEEDED),
    ]
    assert all(in_order(begun, each.start_time, each.end_time, ended) for each in client.list_steps(found))
    assert [point.step for point in client.list_metrics("churn/1", "loss")] == list(range(20))
    assert (client.get_version("churn").number, [each for each in offline.rglob("*") if each.is_file()]) == (2, [])


def test_numbers_are_pending_offline(offline: Path) -> None:
    """An unknown number raises NumberPending, an explicit one is returned, and nothing waits for the registry."""
    begun = time.monotonic()
    model, named = Model("churn"), Model("churn", 7)

    @pipeline(model=model)
    def training() -> None:
        for read in (lambda: model.number, lambda: model.id, lambda: model.metadata, lambda: model.stage):
            with pytest.raises(errors.NumberPending, match="tallymark sync"):
                read()
        with pytest.raises(errors.NumberPending):
            current_model().set_stage("production")
        assert (named.number, named.id) == (7, "projects/default/models/churn/versions/7")

    training()
    with pytest.raises(errors.NumberPending):
        _ = model.number
    with pytest.raises(errors.Unavailable):
        Model("churn", 7).log_metadata({"a": 1})
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("by", ["environment", "configure"])
def test_processes_of_an_offline_run_belong_to_it(
    offline: Path, client: Client, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """A program that the run starts records in the same version, however offline mode was set."""
    if by == "configure":
        monkeypatch.setattr(settings, "_arguments", {"mode": "offline", "spool": str(offline)})
        monkeypatch.delenv("TALLYMARK_MODE")
        monkeypatch.delenv("TALLYMARK_SPOOL")
    code = (
        "from tallymark import current_model, log_metric; log_metric('loss', 1.0, step=1); print(current_model().name)"
    )

    @pipeline(model=Model("churn"))
    def training() -> str:
        log_metric("loss", 0.0, step=0)
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert training() == "churn\n"
    monkeypatch.setenv("TALLYMARK_SPOOL", str(offline))
    sync("--to", client._settings.url)
    assert [point.value for point in client.list_metrics("churn/1", "loss")] == [0, 1]
    (ran,) = client.list_runs()
    assert ran.state is RunState.SUCCEEDED
    assert [event.kind for event in client.list_events()][-1] in ("run_finished", "version_run_state_changed")


RESUMED = """
import os, sys
from tallymark import Model, log_metadata, log_metric, run

first = int(sys.argv[1])
with run(model=Model("churn"), id="nightly-7", name="nightly"):
    for at in range(first, first + 100):
        log_metric("loss", float(at), step=at)
    log_metadata({"first": first})
    print("recorded", flush=True)
    if len(sys.argv) > 2:
        os.kill(os.getpid(), 9)
"""


def resumed(first: int, *kill: str, environment: dict[str, str]) -> int:
    return subprocess.run(
        [sys.executable, "-c", RESUMED, str(first), *kill], env={**os.environ, **environment}, check=False
    ).returncode


def test_a_run_that_was_killed_in_an_outage_continues(registry_env: Server, spool: Path) -> None:
    """Started again with its id during the outage, it continues to record, and finishes once."""
    environment = {"TALLYMARK_TIMEOUT": "1"}
    assert resumed(0, "kill", environment=environment) == -9
    registry_env.stop()
    assert resumed(100, "kill", environment=environment) == -9
    assert resumed(200, environment=environment) == 0
    registry_env.start()
    sync()
    with Client() as client:
        (ran,) = client.list_runs()
        assert (ran.id, ran.state) == ("nightly-7", RunState.SUCCEEDED)
        assert [point.step for point in client.list_metrics("churn/1", "loss")] == list(range(300))
        version = client.get_version("churn")
        assert (version.number, version.metadata["first"]) == (1, 200)
    assert not list(spool.rglob("*.journal"))


def test_a_restarted_run_first_sends_its_earlier_records(registry_env: Server, spool: Path) -> None:
    """That happens when it is started again with its id while the registry is available."""
    assert [resumed(0, "kill", environment={}), resumed(100, environment={})] == [-9, 0]
    with Client() as client:
        assert [run.state for run in client.list_runs()] == [RunState.SUCCEEDED]
        assert [point.step for point in client.list_metrics("churn/1", "loss")] == list(range(200))
        assert client.get_version("churn").metadata["first"] == 100
    assert not list(spool.rglob("*.journal"))


def test_a_new_run_is_not_started_in_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Online, the start of a run needs the registry."""
    monkeypatch.setenv("TALLYMARK_URL", CLOSED)
    monkeypatch.setenv("TALLYMARK_TIMEOUT", "0.3")
    with pytest.raises(errors.Unavailable), run(model=Model("churn"), id="nightly-7"):
        pass


def test_records_of_a_refused_version_are_quarantined(offline: Path, client: Client) -> None:
    """The run is recorded without the version; its records are counted as problems, and the journal is kept."""

    @pipeline(model=Model("churn", "production"))
    def training() -> None:
        log_metric("loss", 0.5, step=0)
        log_metadata({"rows": 7})

    training()
    done = sync("--to", client._settings.url, code=1)
    assert "set aside" in done.stderr
    (ran,) = client.list_runs()
    assert ran.state is RunState.SUCCEEDED
    subjects = {problem.subject for problem in ran.recording_problems}
    assert subjects == {"model 'churn'", "metric 'loss'", "metadata 'rows'"}
    assert len(list((offline / "aside").glob("*.journal"))) == 1
    assert sync("--dry-run").stdout.split("\t")[1] == "set aside"
    assert sync("--to", client._settings.url).stdout == ""


def test_an_offline_run_does_not_start_without_a_spool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its records would be lost."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TALLYMARK_MODE", "offline")
    monkeypatch.setenv("TALLYMARK_SPOOL", str(tmp_path / "file"))
    with pytest.raises(errors.InvalidSetting, match=re.escape(str(tmp_path / "file"))), run(model=Model("churn")):
        pass


def test_a_spool_that_is_lost_does_not_stop_an_offline_run(offline: Path, tmp_path: Path) -> None:
    """Records of a worker are then only in memory, and counted as problems of the run."""

    @pipeline(model=Model("churn"))
    def training() -> int:
        offline.rename(tmp_path / "elsewhere")
        offline.write_text("no folder")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                log_metric("loss", 0.5, step=1)
                here = context_frame()
                status = 0 if here is not None and "kept in memory only" in here.run.problems.summary() else 2
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert training() == 0


def test_concurrent_syncs_send_each_journal_once(offline: Path, client: Client) -> None:
    """Each journal is sent by one of them."""

    @pipeline(model=Model("churn"))
    def training() -> None:
        for at in range(300):
            log_metric("loss", 0.5, step=at)

    for _ in range(5):
        training()
    arguments: list[str | Path] = [Path(sys.executable).with_name("tallymark"), "sync", "--to", client._settings.url]
    both = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        process.communicate(timeout=60)
        assert process.returncode == 0
    kinds = [event.kind for event in client.list_events()]
    assert [kinds.count(kind) for kind in ("run_started", "run_finished", "metrics_logged")] == [5, 5, 5]


def test_journals_of_a_later_release_are_kept(offline: Path, client: Client) -> None:
    """A journal with an unknown record is quarantined; a journal of another format stays."""
    train("nightly")
    (path,) = offline.rglob("*.journal")
    whole = path.read_bytes()
    newer = path.with_name(path.name.replace(".", ".newer-", 1))
    header = json.loads(scan(whole)[0][0].body)
    newer.write_bytes(frame(Kind.HEADER, 0, json.dumps({**header, "format": 99}).encode()))
    path.write_bytes(whole + frame(77, 0, b"?") + frame(Kind.CALL, 0, bytes([99])))
    done = sync("--to", client._settings.url, code=1)
    assert f"{newer} was written by a later release" in done.stderr
    assert "a record cannot be read" in done.stderr
    assert newer.exists()
    assert [each.name for each in (offline / "aside").glob("*.journal")] == [path.name]
    assert next(client.list_runs()).state is RunState.SUCCEEDED
    assert len(list(client.list_metrics("churn", "loss"))) == 20


def test_a_run_is_sent_without_the_journal_of_a_later_release(offline: Path, client: Client) -> None:
    """The worker's journal stays, and the registry does not count as unavailable."""
    train("nightly")
    (path,) = offline.rglob("*.journal")
    header = json.loads(scan(path.read_bytes())[0][0].body)
    newer = path.with_name(path.name.replace(header["id"], "newer"))
    newer.write_bytes(frame(Kind.HEADER, 0, json.dumps({**header, "id": "newer", "format": 99}).encode()))
    done = sync("--to", client._settings.url, code=1)
    assert f"{newer} was written by a later release" in done.stderr
    assert list(offline.rglob("*.journal")) == [newer]
    assert next(client.list_runs()).state is RunState.SUCCEEDED


def test_a_damaged_journal_is_quarantined(offline: Path, client: Client) -> None:
    """Its readable records are sent, the damage is reported with its size, and the file is kept."""

    @pipeline(model=Model("churn"))
    def training() -> None:
        for at in range(100):
            log_metric("loss", 0.5, step=at)

    training()
    training()
    first, second = sorted(offline.rglob("*.journal"))
    damaged = bytearray(first.read_bytes())
    damaged[damaged.index(b"loss", len(damaged) // 2)] ^= 1
    first.write_bytes(damaged)
    second.write_bytes(b"\0" * 200)
    done = sync("--to", client._settings.url, code=1)
    assert "bytes of" in done.stderr
    assert str(offline / "aside" / first.name) in done.stderr
    assert str(second) in done.stderr
    assert len(list(client.list_metrics("churn", "loss"))) == 99
    assert {path.name for path in (offline / "aside").glob("*.journal")} == {first.name, second.name}
    (ran,) = client.list_runs()
    assert [problem.subject for problem in ran.recording_problems] == ["journal"]


FILLED = """
import logging, os, resource
from pathlib import Path
from tallymark import Model, log_metric, run
logging.basicConfig(format="%(message)s", level=logging.INFO)
with run(model=Model("churn")):
    for at in range(20):
        log_metric("loss", 0.5, step=at)
    (journal,) = Path(os.environ["TALLYMARK_SPOOL"]).rglob("*.journal")
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size,) * 2)
    for at in range(20, 50):
        log_metric("loss", 0.5, step=at)
"""


def test_a_full_spool_is_logged(offline: Path) -> None:
    """At its end, a run logs how many records are on disk, and how many only in memory."""
    done = subprocess.run([sys.executable, "-c", FILLED], capture_output=True, text=True, check=True)
    assert re.search(r": 31 records are in memory only, and lost when this program ends: ", done.stderr), done.stderr
    assert re.search(r": 21 records are kept in \S+; `tallymark sync` sends them", done.stderr), done.stderr
    assert [line.split("\t")[2] for line in sync("--dry-run").stdout.splitlines()] == ["21"]
