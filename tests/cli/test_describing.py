"""`describe`: everything about one thing, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

import tallymark
from cli.tables import column
from tallymark import Client, MetricPoint, Model
from tallymark.types.recording_problem import RecordingProblem

OutputOf = Callable[..., str]


@pytest.fixture
def trained(churn: Client) -> Client:
    """Version 4 of `churn`, made by the run `nightly-7` from an artifact, and used by another run."""
    churn.start_run("nightly-7", pipeline="training", host="gpu-1", commit="abc123", parameters={"depth": 3})
    churn.ensure_version("churn", run="nightly-7")
    churn.start_step("nightly-7", "s1", name="fit", version="churn/4")
    churn.finish_step("nightly-7", "s1", "failed", error="out of memory")
    churn.link_artifact("churn/4", "weights", f"s3://bucket/{'long/' * 20}weights", type="model", size=12_345_678)
    churn.link_artifact("churn/4", "rows", "s3://bucket/rows", role="used")
    churn.log_metadata("churn/4", {"auc": 0.91, "layers": [64, 32]})
    churn.log_metrics("churn/4", [MetricPoint("loss", step, 1 / (step + 1)) for step in range(3)])
    churn.finish_run("nightly-7", "failed", error="step fit: out of memory")
    churn.start_run("score", pipeline="scoring")
    churn.ensure_version("churn", "4", run="score")
    churn.update_version("churn/4", description="words " * 60, tags=["growth"])
    churn.set_alias("churn/4", "newest")
    return churn


def test_describe_shows_all_parts_of_a_version(output_of: OutputOf, trained: Client) -> None:
    """A version is shown with stage, aliases, metadata, metrics, artifacts, run, steps, lineage and moves."""
    shown = output_of("describe", "churn/4")
    for line in (
        "Version:       churn/4",
        "Aliases:       newest",
        "Run state:     failed",
        "Tags:          growth",
        "Run:           nightly-7",
        "  layers  [64,32]",
        "  loss  0.333333333333333  at step 2",
        "  depth  3",
        "  commit    abc123",
        "  fit  failed  0.0s  churn/4  out of memory",
    ):
        assert line in shown.splitlines(), shown
    for words in ("(just now) by ", "12.3 MB", "s3://bucket/rows", "from  artifact", "into  run       score"):
        assert words in shown
    moved = output_of("version", "describe", "churn@production")
    assert "  none -> production  " in moved
    assert "  better" in moved
    assert "RUN" not in moved


def test_describe_shows_the_links_of_the_version_itself(output_of: OutputOf, churn: Client) -> None:
    """If versions of several models link the same bytes, each is described with its own link."""
    digest = "sha256:" + "a" * 64
    for model, role in (("first", "made"), ("second", "made"), ("third", "used"), ("fourth", "used")):
        churn.ensure_version(model)
        churn.link_artifact(f"{model}/1", "weights", f"s3://{model}/weights", digest=digest, role=role)
    for model, way in (("first", "into"), ("second", "into"), ("third", "from"), ("fourth", "from")):
        shown = output_of("describe", f"{model}/1")
        assert f"  {way}  artifact  s3://{model}/weights" in shown.splitlines()
        assert shown.count("/weights") == 2, "once as its artifact, and once in its lineage"
        told = json.loads(output_of("describe", f"{model}/1", "-o", "json"))
        uris = [each["uri"] for each in told["sources"] + told["results"] if "uri" in each]
        assert uris == [f"s3://{model}/weights"]
    assert "  into  version   third/1" in output_of("describe", "first/1").splitlines()


def test_describe_shows_recording_problems(output_of: OutputOf, trained: Client) -> None:
    """The problems of a run are shown with the run and the version that it made, and counted in the list of runs."""
    problems = [
        RecordingProblem("metric 'loss'", "the registry was away", 7),
        RecordingProblem("artifact 'x'", "no room"),
    ]
    trained.report_recording_problems("nightly-7", problems)
    for what in ("nightly-7", "churn/4"):
        shown = output_of("describe", what)
        assert (
            "Not recorded\n  metric 'loss'  7 times  the registry was away\n  artifact 'x'   once     no room\n"
            in shown
        )
    assert dict(
        zip(column(output_of("run", "list"), "RUN"), column(output_of("run", "list"), "PROBLEMS"), strict=True)
    ) == {
        "score": "-",
        "nightly-7": "8",
    }
    found = json.loads(output_of("run", "get", "nightly-7", "-o", "json"))["recordingProblems"]
    assert found[0] == {"subject": "metric 'loss'", "problem": "the registry was away", "count": "7"}


def test_a_model_and_a_run_are_described(output_of: OutputOf, run: Any, trained: Client) -> None:
    """A model is shown with its newest versions and moves, a run with its steps and versions."""
    model = output_of("describe", "churn")
    for words in (
        "Description:   who leaves",
        "Newest versions",
        "churn/2  ",
        "production",
        "churn/1  none -> production",
    ):
        assert words in model
    assert output_of("model", "describe", "churn") == model
    made = output_of("describe", "nightly-7")
    for words in (
        "State:         failed",
        "Error:         step fit: out of memory",
        "Made:          churn/4",
        "  depth  3",
    ):
        assert words in made
    assert output_of("run", "describe", "nightly") == made
    assert "Used:          churn/4" in output_of("describe", "score")
    with tallymark.run(model=Model("duo"), id="own-model"):
        pass
    assert "Model version: duo/1" in output_of("describe", "own-model").splitlines()
    done = run("describe", "nothing")
    assert (done.exit_code, "no model or run 'nothing'" in done.stderr) == (4, True)
    assert run("describe", "churn/9").exit_code == 4


@pytest.mark.parametrize("what", ["churn", "churn/4", "nightly-7"])
def test_descriptions_are_printed_as_json_and_yaml(output_of: OutputOf, trained: Client, what: str) -> None:
    """JSON and YAML have the messages of all parts of a description."""
    found = json.loads(output_of("describe", what, "-o", "json"))
    assert yaml.safe_load(output_of("describe", what, "-o", "yaml")) == found
    assert json.loads(output_of("describe", what, "-o", "jsonl")) == found
    assert output_of("describe", what, "-o", "name") == f"{what}\n"
    if what == "churn/4":
        assert found["modelVersion"] == json.loads(output_of("version", "get", what, "-o", "json"))
        assert found["run"] == json.loads(output_of("run", "get", "nightly-7", "-o", "json"))
        assert found["artifacts"] == json.loads(output_of("artifact", "list", what, "-o", "json"))
        assert found["steps"] == json.loads(output_of("run", "steps", "nightly-7", "-o", "json"))
        assert [each["name"].split("/")[2] for each in found["results"] if "runs" in each["name"]] == ["runs"]


def test_describe_at_shows_the_past_state(output_of: OutputOf, trained: Client) -> None:
    """With --at, later changes are not shown."""
    then = str(trained.get_version("churn/4").create_revision)
    past = json.loads(output_of("describe", "churn/4", "--at", then, "-o", "json"))
    assert (past["modelVersion"]["metadata"], past["artifacts"], past["steps"]) == ({}, [], [])
    moves = json.loads(output_of("describe", "churn", "--at", "5", "-o", "json"))["stageChanges"]
    assert [int(move["revision"]) <= 5 for move in moves] == [True] * len(moves)


@pytest.mark.parametrize("what", ["churn", "churn/4", "nightly-7"])
def test_a_description_fits_a_terminal(on_terminal: Any, trained: Client, what: str) -> None:
    """No line is wider than the 80 columns of the terminal, however long texts and addresses are."""
    trained.set_stage("churn/4", "staging", reason="because " * 30, allow_unfinished_run=True)
    code, shown = on_terminal("describe", what, NO_COLOR="1", COLUMNS="80")
    assert code == 0
    assert [line for line in shown.splitlines() if len(line) > 80] == []


def test_metadata_is_printed_by_key(output_of: OutputOf, run: Any, trained: Client) -> None:
    """`metadata get` prints all keys or some, as a table or a mapping, and refuses a missing key."""
    assert output_of("metadata", "get", "churn/4", "auc", "layers") == "KEY\tVALUE\nauc\t0.91\nlayers\t[64,32]\n"
    assert json.loads(output_of("metadata", "get", "churn/4", "auc", "layers", "-o", "json")) == {
        "auc": 0.91,
        "layers": [64, 32],
    }
    assert output_of("metadata", "get", "churn/4", "--no-headers", "--columns", "key") == "auc\nlayers\nloss\n"
    missing = run("metadata", "get", "churn/4", "f1")
    assert (missing.exit_code, "it has auc, layers, loss" in missing.stderr) == (4, True)
