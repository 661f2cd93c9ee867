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

OutputOf = Callable[..., str]


@pytest.fixture(autouse=True)
def _trusted(registry: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the folder of the test as a store, since the fixture `registry` has reset all settings."""
    monkeypatch.setenv("TALLYMARK_TRUSTED_STORES", str(tmp_path))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file in a folder that is a store."""
    path = tmp_path / "weights.bin"
    path.write_bytes(b"12345")
    return path


def test_artifacts_are_added_listed_downloaded_verified_and_removed(
    output_of: OutputOf, run: Any, churn: Client, weights: Path, tmp_path: Path
) -> None:
    """Artifacts are added, listed, downloaded, verified and removed; changed bytes end in exit code 1."""
    digest = f"sha256:{hashlib.sha256(b'12345').hexdigest()}"
    output_of(
        "artifact", "add", "churn/2", "weights", weights.as_uri(), "--type", "model", "--digest", digest, "--size", "5"
    )
    output_of("artifact", "add", "churn/2", "train", "s3://data/train", "--role", "used")
    assert column(output_of("artifact", "list", "churn/2"), "ARTIFACT") == ["weights@1", "train@1"]
    assert column(output_of("artifact", "list", "churn/2", "--filter", "role = used"), "URI") == ["s3://data/train"]
    assert json.loads(output_of("artifact", "get", "churn@champion", "weights", "-o", "json"))["sizeBytes"] == "5"
    output_of("artifact", "download", "churn/2", "weights", "--to", str(tmp_path / "here"))
    assert (tmp_path / "here" / "weights.bin").read_bytes() == b"12345"
    assert column(output_of("artifact", "verify", "churn/2"), "STATE") == ["as linked"]
    weights.write_bytes(b"54321")
    for command in (["verify", "churn/2"], ["download", "churn/2", "weights"]):
        assert run("artifact", *command).exit_code in {1, 6}
    assert (tmp_path / "here" / "weights.bin").read_bytes() == b"12345"
    output_of("artifact", "add", "churn/3", "far", "file:///far/away", "--digest", digest)
    untrusted = run("artifact", "verify", "churn/3")
    assert (untrusted.exit_code, column(untrusted.stdout, "STATE")) == (1, ["not trusted"])
    assert "1 of 1 artifacts could not be verified" in untrusted.stderr
    assert "TALLYMARK_TRUSTED_STORES" in untrusted.stderr
    output_of("artifact", "remove", "churn/2", "train", "--reason", "wrong")
    assert column(output_of("artifact", "list", "churn/2"), "ARTIFACT") == ["weights@1"]
    assert run("artifact", "get", "churn/2", "train").exit_code == 4


def test_lineage_lists_sources_and_results_by_distance(output_of: OutputOf, run: Any, churn: Client) -> None:
    """The sources and the results of a version or a run are listed by distance."""
    churn.start_run("r1", pipeline="tune")
    churn.ensure_version("churn", "2", run="r1")
    churn.ensure_version("tuned", run="r1")
    churn.link_artifact("churn/2", "data", "s3://data", role="used")
    told = rows(output_of("lineage", "tuned", "--direction", "upstream"))
    assert [(row["DISTANCE"], row["WHAT"], row["KIND"], row["FROM"]) for row in told] == [
        ("0", "tuned/1", "version", "r1"),
        ("1", "r1", "run", "churn/2"),
        ("2", "churn/2", "version", "s3://data"),
        ("3", "s3://data", "artifact", "-"),
    ]
    shallow = run("lineage", "--run", "r1", "--direction", "upstream", "--depth", "1")
    assert column(shallow.stdout, "WHAT") == ["r1", "churn/2"]
    assert "raise --depth" in shallow.stderr
    assert run("lineage").exit_code == 2


def test_steps_and_metric_points_are_listed(output_of: OutputOf, churn: Client) -> None:
    """The steps of a run and the points of a version's metrics are listed."""
    churn.start_run("r1", pipeline="training")
    churn.start_step("r1", "s1", name="fit", version="churn/1")
    churn.finish_step("r1", "s1", "failed", error="lost")
    (step,) = rows(output_of("run", "steps", "r1"))
    assert (step["STEP"], step["STATE"], step["VERSION"], step["ERROR"]) == ("fit", "failed", "churn/1", "lost")
    churn.log_metrics("churn/1", [MetricPoint("loss", step, 1 / (step + 1)) for step in range(3)])
    assert column(output_of("metadata", "points", "churn/1", "loss"), "STEP") == ["0", "1", "2"]
    assert column(output_of("metadata", "points", "churn/1", "--limit", "1"), "VALUE") == ["1"]


def test_lists_are_ordered_filtered_and_read_as_of_the_past(output_of: OutputOf, run: Any, churn: Client) -> None:
    """Lists are ordered and filtered by the service; --at shows the past by revision or time."""
    assert column(output_of("version", "list", "churn", "--order-by", "metadata.auc"), "VERSION") == [
        "churn/1",
        "churn/2",
        "churn/3",
    ]
    before = next(event.revision for event in churn.history("churn", kinds=["stage_changed"])) - 2
    assert column(output_of("version", "get", "churn@production", "--at", str(before)), "VERSION") == ["churn/1"]
    assert "production" not in column(output_of("version", "list", "churn", "--at", "3"), "STAGE")
    assert run("version", "get", "churn/1", "--at", "2000-01-01").exit_code == 4
    assert run("version", "get", "churn/1", "--at", "yesterday").exit_code == 4
    assert run("version", "get", "churn/1", "--at", "soon").exit_code == 2
    churn.start_run("r1", pipeline="a")
    churn.start_run("r2", pipeline="b")
    churn.ensure_version("churn", "1", run="r2")
    assert column(output_of("run", "list", "--filter", "pipeline = a"), "RUN") == ["r1"]
    assert column(output_of("run", "list", "--order-by", "pipeline"), "RUN") == ["r1", "r2"]
    assert column(output_of("run", "list", "--version", "churn/1"), "RUN") == ["r2"]
    for command in (["run", "list", "--filter", "run = a"], ["version", "list", "churn", "--at", "1"]):
        assert run(*command, "--watch").exit_code == 2


def test_every_read_command_accepts_at(output_of: OutputOf, run: Any, churn: Client) -> None:
    """Runs, steps, artifacts, aliases, metrics, lineage and differences are read as of a revision."""
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
    assert column(output_of("run", "list", *at), "RUN") == ["r1"]
    assert column(output_of("run", "get", "r1", *at), "STATE") == ["running"]
    assert column(output_of("run", "steps", "r1", *at), "STATE") == ["running"]
    assert column(output_of("artifact", "list", "churn/1", *at), "URI") == ["s3://a"]
    assert column(output_of("artifact", "get", "churn@best", "data", *at), "URI") == ["s3://a"]
    assert ("best", "churn/1") in [
        (row["ALIAS"], row["VERSION"]) for row in rows(output_of("alias", "list", "churn", *at))
    ]
    assert column(output_of("metadata", "points", "churn/1", "loss", *at), "VALUE") == ["1"]
    assert "s3://a" in column(output_of("lineage", "churn/1", *at), "WHAT")
    assert "s3://a" not in column(output_of("lineage", "churn/1"), "WHAT")
    assert output_of("version", "compare", "churn/1", "churn@best", *at) == ""
    assert "churn/2" in output_of("version", "compare", "churn/1", "churn@best")
    for command in (["artifact", "get", "churn/1", "data"], ["run", "get", "r2", *at]):
        assert run(*command).exit_code == 4


def test_history_is_filtered_by_kind(output_of: OutputOf, churn: Client) -> None:
    """`--kind stage_changed` prints the moves between stages with actors and reasons."""
    churn.set_stage("churn/1", "staging", reason="again")
    moves = rows(output_of("version", "history", "churn/1", "--kind", "stage_changed", "-o", "wide"))
    assert (moves[0]["ABOUT"], moves[0]["REASON"], {move["KIND"] for move in moves}) == (
        "churn/1", "again", {"stage_changed"}
    )  # fmt: skip
    assert all(move["ACTOR"] for move in moves)
    of_model = rows(output_of("model", "history", "churn", "--kind", "stage_changed", "--kind", "alias_set"))
    assert {move["KIND"] for move in of_model} == {"stage_changed", "alias_set"}


def test_a_download_has_the_name_of_the_artifact(
    output_of: OutputOf, run: Any, churn: Client, weights: Path, tmp_path: Path
) -> None:
    """The file has the artifact's name and suffix, and an existing one is replaced only with --force."""
    digest = f"sha256:{hashlib.sha256(b'12345').hexdigest()}"
    output_of("artifact", "add", "churn/2", "rf", weights.as_uri(), "--digest", digest)
    fetch = ("artifact", "download", "churn/2", "rf", "--to", str(tmp_path / "here"))
    assert json.loads(output_of(*fetch, "-o", "json"))["path"] == str(tmp_path / "here" / "rf.bin")
    (tmp_path / "here" / "rf.bin").write_text("mine")
    refused = run(*fetch)
    assert (refused.exit_code, (tmp_path / "here" / "rf.bin").read_text()) == (5, "mine")
    assert "--force" in refused.output
    output_of(*fetch, "--force")
    assert (tmp_path / "here" / "rf.bin").read_bytes() == b"12345"


def test_a_deleted_version_is_purged_after_confirmation(output_of: OutputOf, run: Any, churn: Client) -> None:
    """A version is purged only after it was deleted, and only after confirmation."""
    assert run("version", "purge", "churn/3").exit_code == 2
    assert run("version", "purge", "churn/3", "--yes").exit_code == 6
    output_of("version", "delete", "churn/3", "--yes")
    output_of("version", "purge", "churn/3", "--yes", "--reason", "privacy")
    assert run("version", "get", "churn/3", "--show-deleted").exit_code == 4
    (event,) = [row for row in rows(output_of("events")) if row["KIND"] == "version_purged"]
    assert (event["ABOUT"], event["REASON"]) == ("churn/3", "privacy")


def test_a_long_download_shows_its_progress(
    on_terminal: Any, output_of: OutputOf, churn: Client, tmp_path: Path
) -> None:
    """A download of twenty megabytes shows its progress on a terminal; a short one shows nothing."""
    for name, size in (("large", 20_000_000), ("small", 5)):
        path = tmp_path / name
        path.write_bytes(b"x" * size)
        digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        output_of("artifact", "add", "churn/1", name, path.as_uri(), "--digest", digest, "--size", str(size))
    fetch = ["artifact", "download", "churn/1"]
    assert "loading large" in on_terminal(*fetch, "large", "--to", str(tmp_path / "there"))[1]
    assert "loading small" not in on_terminal(*fetch, "small", "--to", str(tmp_path / "there"))[1]
