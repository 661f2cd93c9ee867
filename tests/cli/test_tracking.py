"""Artifacts, lineage, steps, metrics, orders and the past on the command line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli.tables import column, rows

from tallymark.testing import Server
from tallymark import Client, MetricPoint

Say = Callable[..., str]


@pytest.fixture(autouse=True)
def _trusted(registry: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the folder of the test as a store; the registry has forgotten all settings before."""
    monkeypatch.setenv("TALLYMARK_TRUSTED_STORES", str(tmp_path))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file, in a store that is a folder."""
    path = tmp_path / "weights.bin"
    path.write_bytes(b"12345")
    return path


def test_artifacts(say: Say, run: Any, churn: Client, weights: Path, tmp_path: Path) -> None:
    """They are added, listed, fetched, verified and removed; changed bytes are told, with exit code 1."""
    digest = f"sha256:{hashlib.sha256(b'12345').hexdigest()}"
    say("artifact", "add", "churn/2", "weights", weights.as_uri(), "--type", "model", "--digest", digest, "--size", "5")
    say("artifact", "add", "churn/2", "train", "s3://data/train", "--role", "used")
    assert column(say("artifact", "list", "churn/2"), "ARTIFACT") == ["weights@1", "train@1"]
    assert column(say("artifact", "list", "churn/2", "--filter", "role = used"), "URI") == ["s3://data/train"]
    assert json.loads(say("artifact", "get", "churn@champion", "weights", "-o", "json"))["sizeBytes"] == "5"
    say("artifact", "download", "churn/2", "weights", "--to", str(tmp_path / "here"))
    assert (tmp_path / "here" / "weights.bin").read_bytes() == b"12345"
    assert column(say("artifact", "verify", "churn/2"), "STATE") == ["as linked"]
    weights.write_bytes(b"54321")
    for command in (["verify", "churn/2"], ["download", "churn/2", "weights"]):
        assert run("artifact", *command).exit_code in {1, 6}
    assert (tmp_path / "here" / "weights.bin").read_bytes() == b"12345"
    say("artifact", "add", "churn/3", "far", "file:///far/away", "--digest", digest)
    untrusted = run("artifact", "verify", "churn/3")
    assert (untrusted.exit_code, column(untrusted.stdout, "STATE")) == (1, ["not trusted"])
    assert "1 of 1 artifacts could not be confirmed" in untrusted.stderr
    assert "TALLYMARK_TRUSTED_STORES" in untrusted.stderr
    say("artifact", "remove", "churn/2", "train", "--reason", "wrong")
    assert column(say("artifact", "list", "churn/2"), "ARTIFACT") == ["weights@1"]
    assert run("artifact", "get", "churn/2", "train").exit_code == 4


def test_lineage(say: Say, run: Any, churn: Client) -> None:
    """What a version or a run came from, and what came from it, by distance."""
    churn.start_run("r1", pipeline="tune")
    churn.ensure_version("churn", "2", run="r1")
    churn.ensure_version("tuned", run="r1")
    churn.link_artifact("churn/2", "data", "s3://data", role="used")
    told = rows(say("lineage", "tuned", "--direction", "upstream"))
    assert [(row["DISTANCE"], row["WHAT"], row["KIND"], row["FROM"]) for row in told] == [
        ("0", "tuned/1", "version", "r1"),
        ("1", "r1", "run", "churn/2"),
        ("2", "churn/2", "version", "s3://data"),
        ("3", "s3://data", "artifact", "-"),
    ]
    shallow = run("lineage", "--run", "r1", "--direction", "upstream", "--depth", "1")
    assert column(shallow.stdout, "WHAT") == ["r1", "churn/2"]
    assert "greater --depth" in shallow.stderr
    assert run("lineage").exit_code == 2


def test_steps_and_metrics(say: Say, churn: Client) -> None:
    """The steps of a run and the points of a version's metrics."""
    churn.start_run("r1", pipeline="training")
    churn.start_step("r1", "s1", name="fit", version="churn/1")
    churn.finish_step("r1", "s1", "failed", error="lost")
    (step,) = rows(say("run", "steps", "r1"))
    assert (step["STEP"], step["STATE"], step["VERSION"], step["ERROR"]) == ("fit", "failed", "churn/1", "lost")
    churn.log_metrics("churn/1", [MetricPoint("loss", step, 1 / (step + 1)) for step in range(3)])
    assert column(say("metadata", "points", "churn/1", "loss"), "STEP") == ["0", "1", "2"]
    assert column(say("metadata", "points", "churn/1", "--limit", "1"), "VALUE") == ["1"]


def test_orders_filters_and_the_past(say: Say, run: Any, churn: Client) -> None:
    """Lists are ordered and filtered by the service; --at shows what was, by revision or time."""
    assert column(say("version", "list", "churn", "--order-by", "metadata.auc"), "VERSION") == [
        "churn/1",
        "churn/2",
        "churn/3",
    ]
    before = next(event.revision for event in churn.history("churn", kinds=["stage_changed"])) - 2
    assert column(say("version", "get", "churn@production", "--at", str(before)), "VERSION") == ["churn/1"]
    assert "production" not in column(say("version", "list", "churn", "--at", "3"), "STAGE")
    assert run("version", "get", "churn/1", "--at", "2000-01-01").exit_code == 4
    assert run("version", "get", "churn/1", "--at", "yesterday").exit_code == 4
    assert run("version", "get", "churn/1", "--at", "soon").exit_code == 2
    churn.start_run("r1", pipeline="a")
    churn.start_run("r2", pipeline="b")
    churn.ensure_version("churn", "1", run="r2")
    assert column(say("run", "list", "--filter", "pipeline = a"), "RUN") == ["r1"]
    assert column(say("run", "list", "--order-by", "pipeline"), "RUN") == ["r1", "r2"]
    assert column(say("run", "list", "--version", "churn/1"), "RUN") == ["r2"]
    for command in (["run", "list", "--filter", "run = a"], ["version", "list", "churn", "--at", "1"]):
        assert run(*command, "--watch").exit_code == 2


def test_whatever_is_read_is_read_as_of_the_past(say: Say, run: Any, churn: Client) -> None:
    """Runs, steps, artifacts, aliases, metrics, lineage and differences, as of a revision."""
    churn.start_run("r1", pipeline="a")
    churn.start_step("r1", "s1", name="fit")
    churn.ensure_version("churn", "1", run="r1")
    churn.link_artifact("churn/1", "data", "s3://a")
    churn.set_alias("churn/1", "best")
    churn.log_metrics("churn/1", [MetricPoint("loss", 0, 1)])
    at = ("--at", str(churn.newest_revision()))
    churn.log_metrics("churn/1", [MetricPoint("loss", 0, 2)])
    churn.set_alias("churn/2", "best")
    churn.unlink_artifact("churn/1", "data")
    churn.finish_step("r1", "s1", "succeeded")
    churn.finish_run("r1", "succeeded")
    churn.start_run("r2", pipeline="b")
    assert column(say("run", "list", *at), "RUN") == ["r1"]
    assert column(say("run", "get", "r1", *at), "STATE") == ["running"]
    assert column(say("run", "steps", "r1", *at), "STATE") == ["running"]
    assert column(say("artifact", "list", "churn/1", *at), "URI") == ["s3://a"]
    assert column(say("artifact", "get", "churn@best", "data", *at), "URI") == ["s3://a"]
    assert ("best", "churn/1") in [(row["ALIAS"], row["VERSION"]) for row in rows(say("alias", "list", "churn", *at))]
    assert column(say("metadata", "points", "churn/1", "loss", *at), "VALUE") == ["1"]
    assert "s3://a" in column(say("lineage", "churn/1", *at), "WHAT")
    assert "s3://a" not in column(say("lineage", "churn/1"), "WHAT")
    assert say("version", "compare", "churn/1", "churn@best", *at) == ""
    assert "churn/2" in say("version", "compare", "churn/1", "churn@best")
    for command in (["artifact", "get", "churn/1", "data"], ["run", "get", "r2", *at]):
        assert run(*command).exit_code == 4


def test_a_history_is_of_some_kinds(say: Say, churn: Client) -> None:
    """Of a model and of a version, the moves between stages with who made them, and why."""
    churn.set_stage("churn/1", "staging", reason="again")
    moves = rows(say("version", "history", "churn/1", "--kind", "stage_changed", "-o", "wide"))
    assert (moves[0]["ABOUT"], moves[0]["REASON"], {move["KIND"] for move in moves}) == (
        "churn/1", "again", {"stage_changed"}
    )  # fmt: skip
    assert all(move["ACTOR"] for move in moves)
    of_model = rows(say("model", "history", "churn", "--kind", "stage_changed", "--kind", "alias_set"))
    assert {move["KIND"] for move in of_model} == {"stage_changed", "alias_set"}


def test_a_download_is_called_as_the_artifact(say: Say, run: Any, churn: Client, weights: Path, tmp_path: Path) -> None:
    """The file has the artifact's name and its ending, and one that is there is replaced with --force only."""
    digest = f"sha256:{hashlib.sha256(b'12345').hexdigest()}"
    say("artifact", "add", "churn/2", "rf", weights.as_uri(), "--digest", digest)
    fetch = ("artifact", "download", "churn/2", "rf", "--to", str(tmp_path / "here"))
    assert json.loads(say(*fetch, "-o", "json"))["path"] == str(tmp_path / "here" / "rf.bin")
    (tmp_path / "here" / "rf.bin").write_text("mine")
    refused = run(*fetch)
    assert (refused.exit_code, (tmp_path / "here" / "rf.bin").read_text()) == (5, "mine")
    assert "--force" in refused.output
    say(*fetch, "--force")
    assert (tmp_path / "here" / "rf.bin").read_bytes() == b"12345"


def test_a_version_is_purged(say: Say, run: Any, churn: Client) -> None:
    """After it was deleted, and only with a yes."""
    assert run("version", "purge", "churn/3").exit_code == 2
    assert run("version", "purge", "churn/3", "--yes").exit_code == 6
    say("version", "delete", "churn/3", "--yes")
    say("version", "purge", "churn/3", "--yes", "--reason", "privacy")
    assert run("version", "get", "churn/3", "--show-deleted").exit_code == 4
    (event,) = [row for row in rows(say("events")) if row["KIND"] == "version_purged"]
    assert (event["ABOUT"], event["REASON"]) == ("churn/3", "privacy")


def test_a_long_transfer_shows_its_progress(on_terminal: Any, say: Say, churn: Client, tmp_path: Path) -> None:
    """Twenty megabytes, fetched on a terminal, show how far they have come; a short file shows nothing."""
    for name, size in (("large", 20_000_000), ("small", 5)):
        path = tmp_path / name
        path.write_bytes(b"x" * size)
        digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        say("artifact", "add", "churn/1", name, path.as_uri(), "--digest", digest, "--size", str(size))
    fetch = ["artifact", "download", "churn/1"]
    assert "loading large" in on_terminal(*fetch, "large", "--to", str(tmp_path / "there"))[1]
    assert "loading small" not in on_terminal(*fetch, "small", "--to", str(tmp_path / "there"))[1]
