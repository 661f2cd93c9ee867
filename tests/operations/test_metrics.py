"""Metrics: they count what happened, in the form that Prometheus reads, however many projects and callers there are."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from grpc_calls import PROJECT, refused
from operations.conftest import Observed

from system_programs import program
from tallymark.testing import Server, ServerError
from tallymark.v1 import event_log_pb2, project_pb2
from tallymark_server.operations.figures import MAX_PROJECTS


def test_calls_are_counted_by_method_and_code(observed: Observed) -> None:
    """Each call is counted once, with its method, its transport and how it ended, and its duration is measured."""
    calls = observed.calls
    calls.create_model("churn")
    for _ in range(3):
        calls.model("churn")
    with refused("MODEL_NOT_FOUND"):
        calls.model("missing")
    request = Request(
        f"{observed.server.dashboard}tallymark.v1.ModelRegistry/GetModel",
        json.dumps({"name": f"{PROJECT}/models/churn"}).encode(),
        {"content-type": "application/json"},
    )
    with urlopen(request, timeout=30) as answer:
        assert answer.status == 200
    scrape = observed.scrape()
    get = {"service": "ModelRegistry", "method": "GetModel"}
    assert scrape.value("tallymark_calls_total", **get, transport="grpc", code="OK") == 3
    assert scrape.value("tallymark_calls_total", **get, transport="grpc", code="NOT_FOUND") == 1
    assert scrape.value("tallymark_calls_total", **get, transport="http", code="OK") == 1
    assert scrape.value("tallymark_call_duration_seconds_count", **get, transport="grpc") == 4
    assert scrape.value("tallymark_call_duration_seconds_bucket", **get, transport="grpc", le="10.0") == 4


def test_changes_show_in_batches_commits_and_revisions(observed: Observed) -> None:
    """Each command is in one batch and waits once, each batch has one commit, and the log's revision is the newest."""
    before = observed.scrape()
    observed.calls.create_model("churn")
    for _ in range(4):
        observed.calls.create_version("churn")
    scrape = observed.scrape()
    assert scrape.value("tallymark_batch_commands_sum") - before.value("tallymark_batch_commands_sum") == 5
    assert scrape.value("tallymark_queue_wait_seconds_count") == scrape.value("tallymark_batch_commands_sum")
    batches = scrape.value("tallymark_batch_commands_count")
    assert scrape.value("tallymark_commit_duration_seconds_count") == batches
    assert scrape.value("tallymark_commit_duration_seconds_sum") > 0
    assert scrape.value("tallymark_log_revision", project="default") == 5
    assert scrape.value("tallymark_sqlite_file_bytes", file="database") > 0
    assert (scrape.value("tallymark_queue_commands"), scrape.value("tallymark_queue_capacity_commands")) == (0, 10_000)


def test_a_slow_watcher_shows_how_far_it_is_behind(observed: Observed) -> None:
    """A watcher that does not read is counted, and behind by what it was not sent; one that leaves is not counted."""
    observed.calls.create_model("churn")
    description = "x" * 60_000
    watch = observed.calls.log.Watch(event_log_pb2.WatchRequest(parent=PROJECT), timeout=120)
    next(watch)
    assert observed.scrape().value("tallymark_watchers") == 1
    behind = 0.0
    for _ in range(400):
        observed.calls.create_version("churn", description=description)
        if (behind := observed.scrape().value("tallymark_watcher_lag_revisions")) > 5:
            break
    assert behind > 5
    read = [event.revision for answer in islice(watch, 1) for event in answer.events]
    assert read
    watch.cancel()
    while observed.scrape().value("tallymark_watchers"):
        pass


def test_exports_and_verifications_are_counted_while_they_run(observed: Observed) -> None:
    """An export that is not read to its end is under way until its caller leaves."""
    observed.calls.create_model("churn")
    for _ in range(150):
        observed.calls.create_version("churn", description="x" * 60_000)
    export = observed.calls.log.Export(event_log_pb2.ExportRequest(parent=PROJECT), timeout=120)
    next(export)
    assert observed.scrape().value("tallymark_long_work_in_progress", kind="export") == 1
    export.cancel()
    while observed.scrape().value("tallymark_long_work_in_progress", kind="export"):
        pass
    observed.calls.log.Verify(event_log_pb2.VerifyRequest(parent=PROJECT), timeout=120)
    assert observed.scrape().value("tallymark_long_work_in_progress", kind="verification") == 0
    assert observed.scrape().value("tallymark_calls_total", method="Export", code="CANCELLED") == 1


def test_callers_cannot_add_figures_without_end(observed: Observed) -> None:
    """Names that callers choose are labels for a bounded number of projects, and for nothing else."""
    for number in range(MAX_PROJECTS + 3):
        project = project_pb2.CreateProjectRequest(project_id=f"p{number}", project=project_pb2.Project())
        observed.calls.models.CreateProject(project, timeout=30)
    observed.calls.create_model("secretname")
    scrape = observed.scrape()
    assert (
        len([line for line in scrape.text.splitlines() if line.startswith("tallymark_log_revision{")]) == MAX_PROJECTS
    )
    assert "secretname" not in scrape.text
    labels = {label for family in scrape.families for sample in family.samples for label in sample.labels}
    assert labels == {
        "code",
        "file",
        "generation",
        "kind",
        "le",
        "method",
        "project",
        "service",
        "transport",
        "version",
    }


def test_names_follow_the_conventions(observed: Observed) -> None:
    """The figures of the service have its prefix, and the linter of Prometheus finds nothing wrong with any of them."""
    observed.calls.create_model("churn")
    scrape = observed.scrape()
    foreign = {family.name for family in scrape.families if not family.name.startswith("tallymark_")}
    assert all(name.startswith(("process_", "python_gc_")) for name in foreign)
    assert len(scrape.families) - len(foreign) > 12
    promtool = program("promtool", packages=("prometheus",))
    found = subprocess.run(
        [promtool, "check", "metrics"], input=scrape.text, capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_without_the_flag_nothing_is_loaded() -> None:
    """A service that is not observed loads no library for it."""
    loaded = "import sys, tallymark_server.app; print({'prometheus_client', 'opentelemetry'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_an_address_that_is_taken_is_reported(server: Server, tmp_path: Path) -> None:
    """The message names the flag."""
    with pytest.raises(ServerError, match=r"the metrics cannot listen on .*--metrics HOST:PORT"):
        Server(tmp_path / "other.db", ("--metrics", server.address)).start()
