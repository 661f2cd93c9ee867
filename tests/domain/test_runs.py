"""How runs start, end, are lost and go on, and what that means for the versions that they made."""

from __future__ import annotations

from typing import Any

import pytest
from domain.fixtures import NOW, given
from domain.events import (
    Happened,
    model_created,
    problems_reported,
    run_finished,
    run_lost,
    run_resumed,
    run_started,
    run_state_changed,
    version_created,
    version_deleted,
    version_made,
    version_purged,
    version_used,
)
from domain.history import BEGIN, SECOND
from domain.commands import config, ensure, finish_run, lose_run, report_problems, resume_run, start_run

from tallymark_server.domain.errors import RunFinished, RunNotFound, StageEmpty, VersionNotFound
from tallymark_server.domain.model import RecordingProblem, RunState
from tallymark_server.domain.runs import MAX_PROBLEMS

SUCCEEDED, FAILED, LOST, RUNNING = RunState.SUCCEEDED, RunState.FAILED, RunState.LOST, RunState.RUNNING
OUTCOMES = pytest.mark.parametrize("state", [SUCCEEDED, FAILED])
ENDS: dict[RunState, tuple[Happened, ...]] = {
    RUNNING: (),
    SUCCEEDED: (run_finished(SUCCEEDED),),
    FAILED: (run_finished(FAILED),),
    LOST: (run_lost(end_time=0),),
}


def test_a_run_starts() -> None:
    """A run starts as it is described, running and without an end."""
    where = {"host": "h", "user": "u", "commit": "c", "url": "https://ci", "command": "train.py"}
    fields: dict[str, Any] = {**where, "parameters": {"depth": 3.0}, "start_time": 5, "heartbeat_timeout": 60 * SECOND}
    started = given().when(start_run(**fields))
    started.then(run_started(**fields))
    assert (started.answer.created, started.answer.run.state, started.answer.version) == (True, RUNNING, None)


@pytest.mark.parametrize("state", ENDS)
def test_a_run_is_started_once(state: RunState) -> None:
    """Who starts a run that is there joins it, finished or not: its description stays, and nothing happens."""
    joined = given(run_started(host="h"), *ENDS[state]).when(start_run(host="another", parameters={"depth": 3.0}))
    joined.then()
    assert (joined.answer.created, joined.answer.run.host) == (False, "h")


def test_a_run_starts_with_the_version_of_its_pipeline() -> None:
    """The version that the pipeline's model means is found or created first, with its model, and the run names it."""
    started = given().when(start_run(config=config()))
    project = started.then(model_created(), version_made(1), run_started(model="churn", number=1))
    assert started.answer.version.number == 1
    joined = project.when(start_run(config=config()))
    joined.then()
    assert (joined.answer.created, joined.answer.version.number) == (False, 1)


def test_a_run_joined_without_a_config_has_the_version_that_it_started_with() -> None:
    """Whoever joins is answered with the version of the run's own pipeline."""
    project = given(model_created(), version_made(1), run_started(model="churn", number=1))
    assert project.when(start_run()).answer.version.number == 1


def test_a_run_joined_with_a_config_may_make_another_version() -> None:
    """The version of another model is made in the same run, which keeps the version of its own pipeline."""
    project = given(model_created(), version_made(1), run_started(model="churn", number=1))
    joined = project.when(start_run(config=config(model="fraud")))
    joined.then(model_created("fraud"), version_made(1, model="fraud"))
    assert (joined.answer.run.model, joined.answer.version.model) == ("churn", "fraud")


def test_a_run_uses_a_version_that_it_did_not_make() -> None:
    """A run whose pipeline means a version that is there says that it uses it."""
    project = given(model_created(), version_created(1)).when(start_run(config=config("latest")))
    project.then(version_used(1), run_started(model="churn", number=1))


@pytest.mark.parametrize(("version", "error"), [("7", VersionNotFound), ("production", StageEmpty)])
def test_a_run_does_not_start_without_its_version(version: str, error: Any) -> None:
    """Where the pipeline means a version that is missing, neither the run nor anything else is begun."""
    given(model_created()).when(start_run(config=config(version))).refused(error, model="churn")


@OUTCOMES
@pytest.mark.parametrize("before", [RUNNING, LOST])
def test_a_run_is_finished(before: RunState, state: RunState) -> None:
    """A run that is running, or lost, because it was only cut off from the registry, is finished with its outcome."""
    project = given(run_started(), *ENDS[before])
    project.when(finish_run(state, error="why")).then(run_finished(state, error="why"))


@pytest.mark.parametrize("first", [SUCCEEDED, FAILED])
def test_a_finished_run_keeps_its_outcome(first: RunState) -> None:
    """Another outcome is refused; the same one, a loss and a heartbeat that come late change nothing."""
    project = given(run_started(), run_finished(first))
    (other,) = {SUCCEEDED, FAILED} - {first}
    project.when(finish_run(other)).refused(RunFinished, run="train", state=first.value)
    for late in (finish_run(first, error="late"), lose_run(last_seen=NOW), resume_run()):
        project.when(late).then()


@pytest.mark.parametrize(
    ("started", "ended", "kept"),
    [
        (None, None, NOW),
        (None, BEGIN + 50, BEGIN + 50),
        (None, BEGIN - 1, BEGIN),
        (BEGIN - 70, BEGIN - 60, BEGIN - 60),
        (BEGIN - 70, BEGIN - 80, BEGIN - 70),
        (NOW + 500, None, NOW + 500),
        (None, NOW + 10**9, NOW + 10**9),
    ],
)
def test_a_run_ends_when_it_says_but_not_before_it_starts(started: int | None, ended: int | None, kept: int) -> None:
    """A clock that is behind ends a run when it began, one that is ahead is believed, and without one it ends now."""
    project = given(run_started(start_time=started))
    project.when(finish_run(SUCCEEDED, end_time=ended)).then(run_finished(SUCCEEDED, end_time=kept))


def test_a_silent_run_is_lost() -> None:
    """It ends with its last sign of life, which is never before its start."""
    project = given(run_started())
    project.when(lose_run(last_seen=BEGIN + 5)).then(run_lost(end_time=BEGIN + 5))
    project.when(lose_run(last_seen=0)).then(run_lost(end_time=BEGIN))
    given(run_started(), run_lost(end_time=BEGIN)).when(lose_run(last_seen=NOW)).then()


def test_what_a_run_recorded_is_a_sign_of_life() -> None:
    """A change of a version that the run made, later than its last heartbeat, is when it was alive last."""
    project = given(run_started(), model_created(), version_made(1), version_created(2))
    project.when(lose_run(last_seen=BEGIN)).then(run_lost(end_time=BEGIN + 2 * SECOND), run_state_changed(1, LOST))


def test_a_lost_run_goes_on_with_a_heartbeat() -> None:
    """It is running again, without an end, and its versions with it; a heartbeat of a running run is no event."""
    project = given(model_created(), run_started(), version_made(1), run_lost(end_time=NOW), run_state_changed(1, LOST))
    project = project.when(resume_run()).then(run_resumed(), run_state_changed(1, RUNNING))
    project.when(resume_run()).then()


@pytest.mark.parametrize(
    ("command", "happens", "state"),
    [
        (finish_run(SUCCEEDED), run_finished(SUCCEEDED), SUCCEEDED),
        (finish_run(FAILED), run_finished(FAILED), FAILED),
        (lose_run(last_seen=NOW), run_lost(end_time=NOW), LOST),
    ],
    ids=["succeeded", "failed", "lost"],
)
def test_the_versions_of_a_run_follow_it(command: Any, happens: Happened, state: RunState) -> None:
    """After the run's event comes one for each version that it made, of any model, deleted too, and for no other: not
    for one that it used, one of another run, or one that was purged."""
    project = given(
        model_created("fraud"), model_created(), version_created(1, "b"),
        run_started(), run_started("other"), version_made(2), version_made(3, "a"), version_made(4, run="other"),
        version_made(1, model="fraud"), version_made(5, "c"), version_made(6, "d"), version_used(1),
        version_deleted(5), version_deleted(6), version_purged(6),
    )  # fmt: skip
    project.when(command).then(
        happens,
        *(run_state_changed(number, state) for number in (2, 3, 5)),
        run_state_changed(1, state, model="fraud"),
    )


@pytest.mark.parametrize("state", ENDS)
def test_a_version_has_the_state_of_its_run_from_the_start(state: RunState) -> None:
    """A version that a run makes after it has ended, or was lost, says so when it is created."""
    project = given(model_created(), run_started(), *ENDS[state])
    project.when(ensure("a", run="train")).then(version_made(1, "a", run_state=state))
    project.when(ensure("a")).then(version_created(1, "a"))


def test_a_version_survives_a_failed_run() -> None:
    """The version that a failed run made stays, and is found again in the run."""
    failed = (run_finished(FAILED), run_state_changed(1, FAILED))
    again = given(model_created(), run_started(), version_made(1), *failed).when(ensure(run="train"))
    again.then()
    assert (again.answer.version.number, again.answer.version.run_state) == (1, FAILED)


METRIC, FILE = RecordingProblem("metric 'auc'", "lost", 2), RecordingProblem("file 'a'", "lost", 1)


@pytest.mark.parametrize("state", ENDS)
def test_recording_problems_add_up(state: RunState) -> None:
    """Counts of the same subject and problem are added, whether the run has ended or not; others are put after them."""
    project = (
        given(run_started(), *ENDS[state]).when(report_problems(METRIC, FILE)).then(problems_reported(METRIC, FILE))
    )
    cut = RecordingProblem("metric 'auc'", "cut", 1)
    project.when(report_problems(METRIC, cut)).then(
        problems_reported(RecordingProblem("metric 'auc'", "lost", 4), FILE, cut)
    )


def test_only_so_many_different_problems_are_kept() -> None:
    """Beyond 100 different ones, problems are counted together, and those that are kept are counted on."""
    kept = [RecordingProblem(f"metric {n}", "lost", 1) for n in range(MAX_PROBLEMS)]
    more = RecordingProblem("more", "other problems", 3)
    project = given(run_started()).when(report_problems(*kept, METRIC, FILE)).then(problems_reported(*kept, more))
    again = report_problems(RecordingProblem("metric 0", "lost", 1), METRIC)
    expected = (RecordingProblem("metric 0", "lost", 2), *kept[1:], RecordingProblem("more", "other problems", 5))
    project.when(again).then(problems_reported(*expected))


def test_what_a_program_counts_together_takes_no_place() -> None:
    """Problems that a program has counted together itself are counted with the others that are, beside 100 of one."""
    kept = [RecordingProblem(f"metric {n}", "lost", 1) for n in range(MAX_PROBLEMS - 1)]
    more = RecordingProblem("more", "other problems", 3)
    reported = given(run_started(), problems_reported(more, *kept)).when(report_problems(METRIC))
    project = reported.then(problems_reported(more, *kept, METRIC))
    again = RecordingProblem("more", "other problems", 4)
    project.when(report_problems(FILE)).then(problems_reported(again, *kept, METRIC))


def test_a_count_has_an_end() -> None:
    """A count stays at the highest that the contract can say."""
    most = RecordingProblem("metric 'auc'", "lost", 2**63 - 1)
    project = given(run_started(), problems_reported(METRIC))
    project.when(report_problems(most)).then(problems_reported(most))


@pytest.mark.parametrize(
    "command",
    [finish_run(SUCCEEDED), lose_run(last_seen=NOW), resume_run(), report_problems(METRIC), ensure(run="train")],
)
def test_a_run_that_was_never_started_is_not_found(command: Any) -> None:
    """Nothing is said of, or made in, a run that is missing."""
    given(run_started("other")).when(command).refused(RunNotFound, run="train")
