"""`tallymark sync`: what it lists, what it sends, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tallymark import Client, Model, log_metric, pipeline
from tallymark.testing import Server


@pytest.fixture
def kept(registry: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs that were recorded offline, for two projects."""

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


def test_a_dry_run_lists_and_sends_nothing(kept: None, say: Callable[..., str], client: Client, spool: Path) -> None:
    """How many records, since when, how large, and for which registry."""
    before = {path: path.read_bytes() for path in spool.rglob("*") if path.is_file()}
    rows = json.loads(say("sync", "--dry-run", "-o", "json"))
    assert [(row["records"], row["state"], row["registry"].rpartition("/")[2]) for row in rows] == [
        (12, "kept", "default"),
        (12, "kept", "elsewhere"),
    ]
    assert all(row["bytes"] > 500 and row["since"].endswith("Z") for row in rows)
    assert {path: path.read_bytes() for path in spool.rglob("*") if path.is_file()} == before
    assert client.newest_revision() == 0


def test_one_project_that_cannot_be_asked_leaves_the_others(
    kept: None, run: Callable[..., Result], say: Callable[..., str], client: Client
) -> None:
    """What can be sent is sent; the rest is kept, and the exit code is that of the reason."""
    done = run("sync", "--no-headers")
    assert done.exit_code == 4
    assert "elsewhere" in done.stderr
    assert [line.split("\t")[1] for line in done.stdout.splitlines()] == ["sent", "kept"]
    assert len(list(client.list_metrics("churn", "loss"))) == 10
    client.create_project("elsewhere")
    assert [line.split("\t")[1] for line in say("sync", "--no-headers").splitlines()] == ["sent"]
    assert say("sync", "--no-headers") == ""


def test_a_registry_that_is_away_ends_it_with_its_code(
    kept: None, registry: Server, run: Callable[..., Result], spool: Path
) -> None:
    """Nothing is lost by trying."""
    registry.stop()
    done = run("--timeout", "0.5", "sync")
    assert done.exit_code == 8
    assert len(list(spool.rglob("*.journal"))) == 2
    registry.start()


def test_only_what_is_meant_is_sent(kept: None, say: Callable[..., str], spool: Path) -> None:
    """With --project, what was recorded for that one."""
    assert len(say("--project", "default", "sync", "--no-headers").splitlines()) == 1
    assert len(list(spool.rglob("*.journal"))) == 1
    assert say("--url", "127.0.0.1:1", "sync", "--no-headers") == ""
