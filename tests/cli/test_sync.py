"""`tallymark sync`: what it lists, what it sends, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from sdk.killed_programs import wait_until

import tallymark
from tallymark import Client, Model, log_metric, pipeline
from tallymark.testing import Server
from tallymark.types.enums import RunState


@pytest.fixture
def offline_runs(registry: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Record two runs offline, for two projects."""

    @pipeline(model=Model("churn"))
    def training() -> None:
        for at in range(10):
            log_metric("loss", 0.5, step=at)

    monkeypatch.setenv("TALLYMARK_MODE", "offline")
    training()
    monkeypatch.setenv("TALLYMARK_PROJECT", "elsewhere")
    training()
    monkeypatch.delenv("TALLYMARK_PROJECT")
    monkeypatch.setenv("TALLYMARK_MODE", "online")


def test_sync_dry_run_lists_and_sends_nothing(
    offline_runs: None, output_of: Callable[..., str], client: Client, spool: Path
) -> None:
    """The rows have the number of records, their age and size, and the registry."""
    before = {path: path.read_bytes() for path in spool.rglob("*") if path.is_file()}
    rows = json.loads(output_of("sync", "--dry-run", "-o", "json"))
    assert [(row["records"], row["state"], row["registry"].rpartition("/")[2]) for row in rows] == [
        (12, "kept", "default"),
        (12, "kept", "elsewhere"),
    ]
    assert all(row["bytes"] > 500 and row["since"].endswith("Z") for row in rows)
    assert {path: path.read_bytes() for path in spool.rglob("*") if path.is_file()} == before
    assert client.newest_revision() == 0


def test_sync_continues_with_other_projects_after_an_error(
    offline_runs: None, run: Callable[..., Result], output_of: Callable[..., str], client: Client
) -> None:
    """Records of other projects are sent; the rest is kept, and the exit code is that of the error."""
    done = run("sync", "--no-headers")
    assert done.exit_code == 4
    assert "elsewhere" in done.stderr
    assert [line.split("\t")[1] for line in done.stdout.splitlines()] == ["sent", "kept"]
    assert len(list(client.list_metrics("churn", "loss"))) == 10
    client.create_project("elsewhere")
    assert [line.split("\t")[1] for line in output_of("sync", "--no-headers").splitlines()] == ["sent"]
    assert output_of("sync", "--no-headers") == ""


def test_sync_of_an_unreachable_registry_is_exit_code_8(
    offline_runs: None, registry: Server, run: Callable[..., Result], spool: Path
) -> None:
    """The records are kept for a later attempt."""
    registry.stop()
    done = run("--timeout", "0.5", "sync")
    assert done.exit_code == 8
    assert len(list(spool.rglob("*.journal"))) == 2
    registry.start()


def test_sync_with_project_sends_only_its_records(
    offline_runs: None, output_of: Callable[..., str], spool: Path
) -> None:
    """With --project, only records of that project are sent."""
    assert len(output_of("--project", "default", "sync", "--no-headers").splitlines()) == 1
    assert len(list(spool.rglob("*.journal"))) == 1
    assert output_of("--url", "127.0.0.1:1", "sync", "--no-headers") == ""


@pytest.fixture
def blocked(registry: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Record two runs offline, the first with an artifact for an unwritable store; return the path of the store."""
    store = tmp_path / "store"
    store.write_text("no folder")
    monkeypatch.setenv("TALLYMARK_STORE", str(store))
    monkeypatch.setenv("TALLYMARK_MODE", "offline")
    with tallymark.run(model=Model("first")):
        Model("first").save("scores", {"auc": 1})
    with tallymark.run(model=Model("second")):
        log_metric("loss", 0.5)
    monkeypatch.setenv("TALLYMARK_MODE", "online")
    return store


def test_an_unwritable_store_delays_only_its_artifact(
    blocked: Path, run: Callable[..., Result], output_of: Callable[..., str], client: Client
) -> None:
    """Everything else is sent, the message names the run, and the artifact is sent once the store is writable."""
    for sent in (["kept", "sent"], ["kept"]):
        done = run("sync", "--no-headers")
        assert done.exit_code == 1
        assert [line.split("\t")[1] for line in done.stdout.splitlines()] == sent
        assert "is kept: " in done.stderr
        assert str(blocked) in done.stderr
    assert client.get_version("second/1").metadata == {"loss": 0.5}
    run_id = client.get_version("first/1").run
    assert run_id is not None
    ran = client.get_run(run_id)
    assert ran.state is RunState.SUCCEEDED
    (problem,) = ran.recording_problems
    assert (problem.subject, problem.count) == ("artifact 'scores'", 1)
    assert problem.problem.startswith("waits in the spool, the store cannot be written: ")
    blocked.unlink()
    assert [line.split("\t")[1] for line in output_of("sync", "--no-headers").splitlines()] == ["sent"]
    assert client.get_version("first/1").load("scores") == {"auc": 1}


def test_set_aside_keeps_a_run_from_being_sent(
    blocked: Path, run: Callable[..., Result], output_of: Callable[..., str], client: Client, spool: Path
) -> None:
    """A run that was set aside is never sent, and its records are not removed."""
    first = json.loads(output_of("sync", "--dry-run", "-o", "json"))[0]["run"]
    assert [line.split("\t")[:2] for line in output_of("sync", "--no-headers", "--set-aside", first).splitlines()] == [
        [first, "set aside"]
    ]
    assert [line.split("\t")[1] for line in output_of("sync", "--no-headers").splitlines()] == ["sent"]
    assert [each.name for each in client.list_models()] == ["second"]
    assert len(list((spool / "aside").glob("*.journal"))) == len(list((spool / "aside").glob("*.files/*"))) == 1
    assert run("sync", "--set-aside", first).exit_code == 1


def test_an_offline_run_that_was_killed_is_lost(
    registry: Server, output_of: Callable[..., str], client: Client
) -> None:
    """Its journal has no end, so the service records it as lost after its heartbeat timeout."""
    code = "import os, signal, tallymark; tallymark.run().__enter__(); os.kill(os.getpid(), signal.SIGKILL)"
    environment = {**os.environ, "TALLYMARK_MODE": "offline", "TALLYMARK_HEARTBEAT_TIMEOUT": "1"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == -signal.SIGKILL
    assert [line.split("\t")[1] for line in output_of("sync", "--no-headers").splitlines()] == ["sent"]
    (ran,) = client.list_runs()
    wait_until(lambda: client.get_run(ran.id).state is RunState.LOST)
