"""Runs and values through both clients."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tallymark import Heartbeat, Model, RecordingProblem, RunState, Stage, errors, pipeline
from tallymark.testing import Server


def test_none_and_digits_beyond_64_bits_are_kept(client: Any) -> None:
    """None is stored as such, also in lists and mappings; integers beyond 64 bits are stored as text."""
    client.create_model("churn")
    written = {"none": None, "list": [None, 2**53 + 1], "map": {"depth": None}, "long": 10**400}
    found = dict(client.create_version("churn", metadata=written).metadata)
    assert found == {**written, "long": "1" + "0" * 400}
    assert client.get_version("churn/1").metadata == found
    client.create_version("churn", metadata={"none": "text"})
    numbers = [version.number for version in client.list_versions("churn", filter="metadata.none = null")]
    assert numbers == [1]


def test_a_run_has_its_times_and_outcome(client: Any) -> None:
    """Times, command and timeout of runs and steps are returned as given."""
    began, ended = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 1, microsecond=5, tzinfo=UTC)
    told = {"command": "train.py --lr 0.1", "start_time": began, "heartbeat_timeout": timedelta(seconds=90)}
    run = client.start_run("train", pipeline="training", **told).run
    assert (run.command, run.start_time, run.heartbeat_timeout, run.recording_problems) == (*told.values(), ())
    assert client.start_step("train", "fit", start_time=began).start_time == began
    assert client.finish_step("train", "fit", "succeeded", end_time=ended).end_time == ended
    assert client.heartbeat_run("train") == Heartbeat(RunState.RUNNING, timedelta(seconds=90))
    assert client.finish_run("train", "succeeded", end_time=ended).end_time == ended
    assert client.heartbeat_run("train") == (RunState.SUCCEEDED, None)
    assert client.get_run("train") == [*client.list_events()][-1].resource
    plain = client.start_run("plain").run
    assert (plain.command, plain.start_time, plain.heartbeat_timeout) == ("", None, None)


def test_problems_of_recording_are_reported(client: Any) -> None:
    """Recording problems are stored in the run, added up, and shown with it."""
    client.start_run("train")
    problems = [RecordingProblem("metric 'loss'", "registry away", 3), RecordingProblem("a\udc80" * 600, "too large")]
    assert client.report_recording_problems("train", problems[:1]).recording_problems == (problems[0],)
    run = client.report_recording_problems("train", problems)
    assert [problem.count for problem in run.recording_problems] == [6, 1]
    assert "recording problems" in run._repr_html_()


def test_a_version_of_a_failed_run_needs_permission(registry_env: Server, client: Any) -> None:
    """RunNotSucceeded names the run and its state; with permission and a reason, the version is promoted."""

    @pipeline(model=Model("churn"))
    def training() -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        training()
    version = client.get_version("churn/1")
    assert version.run_state is RunState.FAILED
    assert [each.number for each in client.list_versions("churn", filter="run_state = failed")] == [1]
    with pytest.raises(errors.RunNotSucceeded) as refusal:
        client.set_stage("churn/1", "production")
    assert (refusal.value.metadata["run"], refusal.value.metadata["run_state"]) == (version.run, "failed")
    with pytest.raises(errors.InvalidField, match="reason"):
        client.set_stage("churn/1", "production", allow_unfinished_run=True)
    moved = client.set_stage("churn/1", "production", allow_unfinished_run=True, reason="saved before it failed")
    assert moved.stage is Stage.PRODUCTION
    assert client.create_version("churn").run_state is None, "no run made it"
