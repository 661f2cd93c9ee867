"""Runs in the dashboard: a page for each, a list of all, and how a run ended wherever its versions are shown."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import grpc
import pytest
from grpc_calls import DEADLINE, PROJECT, Calls, refused
from google.protobuf.duration_pb2 import Duration
from playwright.sync_api import Page, expect

from tallymark.testing import Server
from tallymark.v1 import artifact_pb2, event_log_pb2, event_pb2, model_pb2, run_pb2, run_registry_pb2
from web.http_client import FORM, ask, furnished, number, stream, take_step, traced

pytestmark = pytest.mark.timeout(600)

CHURN = "/models/churn"
CONFIG = model_pb2.ModelConfig(model="churn")
FAILED, SUCCEEDED, PRODUCTION = model_pb2.RUN_STATE_FAILED, model_pb2.RUN_STATE_SUCCEEDED, model_pb2.STAGE_PRODUCTION


def report(calls: Calls, run: str, subject: str, problem: str, count: int) -> None:
    """Report that something of the run could not be recorded."""
    told = run_pb2.RecordingProblem(subject=subject, problem=problem, count=count)
    request = run_registry_pb2.ReportRecordingProblemsRequest(name=f"{PROJECT}/runs/{run}", problems=[told])
    calls.runs.ReportRecordingProblems(request)


def start(calls: Calls, run: str, **fields: Any) -> None:
    """Start a run that creates the next version of churn."""
    request = run_registry_pb2.StartRunRequest(
        parent=PROJECT, run_id=run, run=run_pb2.Run(pipeline="training", **fields), config=CONFIG
    )
    calls.runs.StartRun(request)


def unfinished(calls: Calls) -> None:
    """Create numbers 1 to 4 of churn, in a run that succeeded, one that failed, a lost one and a running one."""
    for run in ("good", "bad"):
        start(calls, run)
        calls.finish_run(run, SUCCEEDED if run == "good" else FAILED, "" if run == "good" else "out of memory")
    start(calls, "gone", heartbeat_timeout=Duration(seconds=1))
    # The service notices a missing heartbeat by itself.
    changes = event_log_pb2.WatchRequest(parent=PROJECT, after_revision=0, kinds=[event_pb2.EVENT_KIND_RUN_LOST])
    watch = calls.log.Watch(changes, timeout=DEADLINE)
    assert next(event for told in watch for event in told.events).run.name.endswith("/gone")
    watch.cancel()
    start(calls, "busy")


def test_a_run_tells_its_whole_story(server: Server, calls: Calls) -> None:
    """The JSON has the run with its problems, its steps, and the versions and artifacts that it created and used."""
    furnished(calls)
    traced(calls)
    report(calls, "train-7", "metric 'loss'", "not a number", 3)
    calls.finish_run("train-7", FAILED, "step fit: out of memory")
    told = ask(server.dashboard, "/runs/train-7.json").json
    run = told["run"]
    assert (run["name"], run["state"], run["error"]) == (
        "projects/default/runs/train-7",
        "RUN_STATE_FAILED",
        "step fit: out of memory",
    )
    assert run["recordingProblems"] == [{"subject": "metric 'loss'", "problem": "not a number", "count": "3"}]
    assert [(step["displayName"], step["state"]) for step in told["steps"]] == [
        ("load", "RUN_STATE_SUCCEEDED"),
        ("fit", "RUN_STATE_FAILED"),
    ]
    assert [version["name"] for version in told["made"]["modelVersions"]] == [f"{PROJECT}/models/churn/versions/13"]
    assert told["made"]["modelVersions"][0]["runState"] == "RUN_STATE_FAILED"
    assert [version["name"] for version in told["used"]["modelVersions"]] == [f"{PROJECT}/models/features/versions/1"]
    listed = ask(server.dashboard, "/runs.json").json
    assert [each["name"] for each in listed["runs"]] == ["projects/default/runs/train-7"]
    assert ask(server.dashboard, "/runs/nobody.json").json["reason"] == "RUN_NOT_FOUND"


def test_a_run_shows_where_its_artifacts_are(server: Server, calls: Calls) -> None:
    """A run's page lists the artifacts that it linked, created ones apart from used ones, and no others."""
    start(calls, "r")
    for name, role, run in (
        ("weights", artifact_pb2.ARTIFACT_ROLE_MADE, "r"),
        ("rows", artifact_pb2.ARTIFACT_ROLE_USED, "r"),
        ("later", artifact_pb2.ARTIFACT_ROLE_MADE, ""),
    ):
        calls.models.LinkArtifact(
            artifact_pb2.LinkArtifactRequest(
                parent=f"{PROJECT}/models/churn/versions/1",
                artifact_id=name,
                artifact=artifact_pb2.Artifact(
                    uri=f"s3://{name}", role=role, run=f"{PROJECT}/runs/{run}" if run else ""
                ),
            )
        )
    told = ask(server.dashboard, "/runs/r.json").json
    named = {what: [each["uri"] for each in told[what]["artifacts"]] for what in ("made", "used")}
    assert named == {"made": ["s3://weights"], "used": ["s3://rows"]}


def test_a_run_has_a_page(page: Page, calls: Calls) -> None:
    """The page of a run has its state, error, losses, parameters, steps, and links to what it created and used."""
    furnished(calls)
    traced(calls)
    report(calls, "train-7", "metric 'loss'", "not a number", 1203)
    calls.finish_run("train-7", FAILED, "step fit: out of memory")
    page.goto("/runs/train-7")
    expect(page.locator("h1")).to_have_text("training")
    expect(page.locator(".sub .state")).to_have_text("failed")
    expect(page.locator(".problem")).to_have_text("step fit: out of memory")
    expect(page.locator(".losses tbody tr")).to_have_text("metric 'loss'not a number1,203")
    expect(page.locator(".spans tbody th")).to_have_text(["load", "fitout of memory"])
    expect(page.locator(".span rect.failed")).to_have_count(1)
    expect(page.locator(".metadata tbody tr")).to_have_text("rounds400number")
    expect(page.locator(".facts")).to_contain_text("gpu-03, ml")
    expect(page.locator(".work tbody th a")).to_have_text(["churn No. 13", "features No. 1"])
    page.locator(".work").first.get_by_role("link", name="churn No. 13").first.click()
    page.wait_for_url(f"**{CHURN}/versions/13")


def test_a_run_follows_the_log(page: Page, calls: Calls) -> None:
    """A run's page changes as its steps begin and end, and when it ends, but not with other runs."""
    calls.create_model("churn")
    start(calls, "r")
    page.goto("/runs/r")
    expect(page.locator(".live")).to_have_text("live")
    expect(page.locator(".sub .state")).to_have_text("running")
    calls.start_run("other")
    take_step(calls, "r", "fit", SUCCEEDED)
    expect(page.locator(".spans tbody th")).to_have_text(["fit"])
    calls.finish_run("r", FAILED, "out of memory")
    expect(page.locator(".sub .state")).to_have_text("failed")
    report(calls, "r", "parameter 'frame'", "too large", 1)
    expect(page.locator(".losses tbody tr")).to_have_count(1)


def test_a_stream_of_a_run_tells_of_that_run_alone(server: Server, calls: Calls) -> None:
    """The stream reports the steps, versions and end of the run, and nothing of another run."""
    start(calls, "r")
    with stream(server.dashboard, "/live?run=r") as told:
        calls.start_run("other")
        take_step(calls, "r", "fit", SUCCEEDED)
        calls.finish_run("r", SUCCEEDED)
        kinds = [next(told)["kind"] for _ in range(4)]
    assert kinds == ["step_started", "step_finished", "run_finished", "version_run_state_changed"]


@pytest.mark.parametrize("viewer", ["lenient", "plain"])
def test_runs_are_listed_found_and_opened(request: pytest.FixtureRequest, calls: Calls, viewer: str) -> None:
    """Runs are listed in pages, the last started first, and found by words, filters and links, without a script too."""
    page: Page = request.getfixturevalue(viewer)
    for at in range(27):
        calls.start_run(f"run-{at:02}", pipeline="nightly" if at % 2 else "training")
    calls.finish_run("run-03", FAILED, "boom")
    ids = page.locator(".list tbody th a")
    page.goto("/runs")
    expect(ids).to_have_count(25)
    expect(ids.first).to_have_text("run-26")
    page.get_by_role("link", name="Next page").click()
    expect(ids).to_have_text(["run-01", "run-00"])
    page.goto("/")
    page.get_by_role("link", name="Runs", exact=True).click()
    page.get_by_role("link", name="failed", exact=True).click()
    expect(ids).to_have_text(["run-03"])
    page.goto("/runs?q=run-1")
    expect(ids).to_have_count(10)
    ids.first.click()
    page.wait_for_url("**/runs/run-19")
    page.goto("/runs?q=state+%3D")
    expect(page.get_by_role("alert")).to_contain_text("filter cannot be read")


def test_the_list_of_runs_follows_the_log(page: Page, calls: Calls) -> None:
    """A run that is started appears, and its end is shown, without a reload."""
    page.goto("/runs")
    expect(page.locator("#page")).to_contain_text("No run yet")
    expect(page.locator(".live")).to_have_text("live")
    calls.start_run("r")
    expect(page.locator("#run-r .state")).to_have_text("running")
    calls.finish_run("r", SUCCEEDED)
    expect(page.locator("#run-r .state")).to_have_text("succeeded")


def test_how_a_run_ended_is_seen_wherever_versions_are(page: Page, calls: Calls) -> None:
    """Failed, lost and running are shown as words, each with a mark of its own, so that nobody needs the colours."""
    unfinished(calls)
    page.goto(CHURN)
    states = page.locator(".versions tbody tr .state")
    expect(states).to_have_text(["running", "lost", "failed"])
    marks = states.evaluate_all("all => all.map(each => getComputedStyle(each, '::before').content)")
    assert sorted(marks) == ['"?"', '"…"', '"✕"']
    expect(page.locator(".lane", has_text="latest").locator(".state")).to_have_text("running")
    expect(page.locator(".tally path.broken")).to_have_count(2)
    expect(page.locator(".numbers .note")).to_contain_text("run failed or lost")
    page.get_by_role("link", name="failed", exact=True).click()
    expect(page.locator(".versions th .no")).to_have_text(["2"])
    page.goto("/")
    expect(page.locator(".latest .state")).to_have_text("running")
    for at, state in ((1, "succeeded"), (2, "failed"), (3, "lost"), (4, "running")):
        page.goto(f"{CHURN}/versions/{at}")
        expect(page.locator(".sub .state")).to_have_text(state)
    page.goto(f"{CHURN}/compare?number=1&number=2")
    expect(page.locator(".compared thead .state")).to_have_text(["failed"])
    expect(page.get_by_role("row", name="run state")).to_contain_text("succeeded")
    page.goto(f"{CHURN}/versions/2?tab=lineage")
    expect(page.locator(".lineage .about").last).to_have_text("version, run failed")
    page.goto("/runs/gone")
    expect(page.locator(".problem")).to_contain_text("No heartbeat arrived in time")


def test_every_run_id_is_a_link(page: Page, calls: Calls) -> None:
    """Every run id in models, versions, lineages, comparisons and the activity is a link to the run."""
    furnished(calls)
    traced(calls)
    calls.start_run("r2", CONFIG)
    for address in (
        CHURN,
        f"{CHURN}/versions/13",
        f"{CHURN}/versions/13?tab=lineage",
        f"{CHURN}/versions/13?tab=history",
        f"{CHURN}/compare?number=3&number=13",
        "/activity",
        "/runs",
    ):
        page.goto(address)
        bare = page.locator("#page").evaluate(
            """page => [...page.querySelectorAll("code, td, th, dd, p, div")]
                .filter(each => !each.children.length && /^train-7$/.test(each.textContent.trim()))
                .filter(each => !each.closest("a")).map(each => each.outerHTML)"""
        )
        assert bare == [], address
        link = page.locator("#page a[href='/runs/train-7']").first
        expect(link).to_be_attached()
    page.goto(f"{CHURN}/versions/13")
    page.locator(".facts a.to-run").click()
    page.wait_for_url("**/runs/train-7")


@pytest.mark.parametrize("viewer", ["lenient", "plain"])
def test_what_did_not_succeed_is_promoted_on_purpose_only(
    request: pytest.FixtureRequest, calls: Calls, viewer: str
) -> None:
    """The form says how the run ended, and requires a ticked box and a reason."""
    page: Page = request.getfixturevalue(viewer)
    start(calls, "bad")
    calls.log_metadata("churn", 1, auc=number(0.5))
    calls.finish_run("bad", FAILED, "boom")
    page.goto(f"{CHURN}/versions/1/stage?to=production")
    expect(page.locator(".form .problem")).to_contain_text("bad, which made No. 1, failed")
    page.get_by_role("button", name="Move No. 1").click()
    expect(page.get_by_role("alert")).to_contain_text("failed")
    page.get_by_label("all the same").check()
    page.get_by_role("button", name="Move No. 1").click()
    expect(page.get_by_role("alert")).to_contain_text("say why")
    with refused("STAGE_EMPTY", grpc.StatusCode.NOT_FOUND):
        calls.version("churn", "@production")
    expect(page.get_by_label("all the same")).to_be_checked()
    page.get_by_label("Why, for the log").fill("the failure came after the last epoch")
    page.get_by_role("button", name="Move No. 1").click()
    expect(page.locator(".toast")).to_be_visible()
    assert calls.version("churn", "@production").number == 1
    assert calls.events()[-1].reason == "the failure came after the last epoch"


def test_a_rollback_promotes_nothing_that_was_not_in_production(server: Server, calls: Calls) -> None:
    """A rollback to another version than the last one in production is refused if its run did not succeed."""
    start(calls, "good")
    calls.finish_run("good", SUCCEEDED)
    start(calls, "bad")
    calls.finish_run("bad", FAILED, "boom")
    calls.set_stage("churn", 1, PRODUCTION)
    entered = urlencode({"number": 2, "held-production": 1, "request_id": "rollback"})
    answer = ask(server.dashboard, f"{CHURN}/rollback", "POST", entered, content_type=FORM, origin=server.dashboard)
    assert (answer.status, "which made number 2 of model" in answer.text) == (400, True)
    assert calls.version("churn", "@production").number == 1
