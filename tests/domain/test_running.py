"""How runs end, and what that means for their versions: given what happened, when something is asked, then events."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tallymark_server.domain import commands as c
from tallymark_server.domain.deciding import Decision, take
from tallymark_server.domain.errors import (
    InvalidField,
    Overloaded,
    RunFinished,
    RunNotFound,
    RunNotSucceeded,
    StageOccupied,
)
from tallymark_server.domain.events import Kind
from tallymark_server.domain.metadata import whole
from tallymark_server.domain.model import ModelCard, ModelVersion, RecordingProblem, Run, RunState, Stage
from tallymark_server.domain.reference import Reference, in_stage, named, numbered
from tallymark_server.domain.running import MAX_PROBLEMS
from tallymark_server.domain.state import REMEMBERED_AT_LEAST, Receipt, State

ATTEMPT: dict[str, Any] = {"project": "default", "actor": "ana"}
NOW = 1_000_000
STATES = [RunState.RUNNING, RunState.SUCCEEDED, RunState.FAILED, RunState.LOST]


def given(*commands: Any) -> State:
    """The state after these commands, of which everything that they name was asked for and is there or missing."""
    state = State("default", "log", 0, 0, 0)
    state.models["churn"] = None
    state.runs = {"train": None, "other": None}
    state.made = {"train": set(), "other": set()}
    state.automatic = {("train", "churn"): None, ("other", "churn"): None}
    pointers: list[Reference] = [named("a"), named("b"), in_stage(Stage.PRODUCTION), in_stage(Stage.STAGING)]
    state.pointers = dict.fromkeys(("churn", pointer) for pointer in pointers)
    state.steps[("train", "fit")] = None
    for command in commands:
        take(state, command, NOW)
    return state


def start(run: str = "train", **fields: Any) -> c.StartRun:
    return c.StartRun(**ATTEMPT, run=run, pipeline="training", **fields)


def ensure(name: str | None, run: str | None = "train") -> c.EnsureVersion:
    reference = None if name is None else named(name)
    config = c.Config(model="churn", reference=reference, card=ModelCard(), version=c.NewVersion())
    return c.EnsureVersion(**ATTEMPT, config=config, run=run)


def finish(state: RunState = RunState.SUCCEEDED, **fields: Any) -> c.FinishRun:
    return c.FinishRun(**{**ATTEMPT, "run": "train", "state": state, **fields})


def lose(last_seen: int = NOW + 5) -> c.LoseRun:
    return c.LoseRun(**ATTEMPT, run="train", last_seen=last_seen)


RESUME = c.ResumeRun(**ATTEMPT, run="train")
END: dict[RunState, tuple[Any, ...]] = {
    RunState.RUNNING: (),
    RunState.SUCCEEDED: (finish(),),
    RunState.FAILED: (finish(RunState.FAILED),),
    RunState.LOST: (lose(),),
}


def promote(number: int = 1, stage: Stage = Stage.PRODUCTION, **fields: Any) -> c.SetStage:
    return c.SetStage(**ATTEMPT, model="churn", reference=numbered(number), stage=stage, **fields)


def told(decision: Decision) -> list[tuple[Kind, str | int]]:
    """What happened, each to which run or to which number."""
    return [
        (event.kind, event.image.id if isinstance(event.image, Run) else getattr(event.image, "number", ""))
        for event in decision.events
    ]


@pytest.mark.parametrize("command", [finish(), finish(RunState.FAILED), lose()])
def test_the_end_of_a_run_changes_the_versions_that_it_made(command: Any) -> None:
    """After the run's event comes one for each version that it made, and none for one that it used."""
    state = given(ensure("b", run=None), start(), start("other"), ensure(None), ensure("a"), ensure("b"))
    decision = take(state, command, NOW)
    run, *versions = (event.image for event in decision.events)
    assert [number for _, number in told(decision)] == ["train", 2, 3]
    assert {event.kind for event in decision.events[1:]} == {Kind.VERSION_RUN_STATE_CHANGED}
    assert isinstance(run, Run)
    assert [version.run_state for version in versions if isinstance(version, ModelVersion)] == [run.state] * 2
    assert state.versions[("churn", 2)] == versions[0]
    assert state.versions[("churn", 1)].run_state is None


def test_a_version_has_the_state_of_its_run_from_the_start() -> None:
    """A version that is made while its run goes on, or after it has ended, says so when it is created."""
    for run_state, commands in END.items():
        made = take(given(start(), *commands), ensure("a"), NOW).outcome
        assert isinstance(made, c.Ensured)
        assert made.version.run_state is run_state
    assert take(given(), ensure("a", run=None), NOW).outcome.version.run_state is None


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.FAILED])
def test_a_lost_run_is_finished_all_the_same(state: RunState) -> None:
    """Who was only cut off from the registry says later how the run ended, and when."""
    run = take(given(start(), lose()), finish(state, error="late", end_time=NOW + 9), NOW).outcome
    assert isinstance(run, Run)
    assert (run.state, run.error, run.end_time) == (state, "late", NOW + 9)


def test_a_finished_run_keeps_its_outcome() -> None:
    """Another outcome is refused; the same one, a loss and a heartbeat that come late change nothing."""
    state = given(start(), finish())
    with pytest.raises(RunFinished):
        take(state, finish(RunState.FAILED), NOW)
    for command in (finish(), lose(), RESUME):
        decision = take(state, command, NOW)
        assert decision.events == ()
        assert decision.outcome.state is RunState.SUCCEEDED


def test_a_lost_run_goes_on_with_a_heartbeat() -> None:
    """It is running again, without an end; a heartbeat of a run that is not lost is no event."""
    state = given(start(), ensure("a"), lose())
    decision = take(state, RESUME, NOW)
    assert told(decision) == [(Kind.RUN_RESUMED, "train"), (Kind.VERSION_RUN_STATE_CHANGED, 1)]
    assert isinstance(decision.outcome, Run)
    assert (decision.outcome.state, decision.outcome.end_time) == (RunState.RUNNING, None)
    assert take(state, RESUME, NOW).events == ()


def test_a_run_that_is_not_there_is_not_found() -> None:
    """Nothing can be said of a run that was never started."""
    problem = RecordingProblem("metric 'x'", "lost", 1)
    for command in (finish(), lose(), RESUME, c.ReportProblems(**ATTEMPT, run="train", problems=(problem,))):
        with pytest.raises(RunNotFound):
            take(given(), command, NOW)


@pytest.mark.parametrize(
    ("started", "ended", "kept"),
    [
        (None, None, NOW + 100),
        (None, NOW + 50, NOW + 50),
        (None, NOW - 1, NOW),
        (NOW - 70, NOW - 60, NOW - 60),
        (NOW - 70, NOW - 80, NOW - 70),
        (NOW + 500, None, NOW + 500),
        (None, NOW + 10**9, NOW + 10**9),
    ],
)
def test_an_end_is_kept_as_the_program_says_but_never_before_the_start(
    started: int | None, ended: int | None, kept: int
) -> None:
    """A clock that is behind ends a run when it began, one that is ahead is believed, and none is asked by default."""
    step = c.StartStep(**ATTEMPT, run="train", step="fit", name="fit", start_time=started)
    state = given(start(start_time=started), step)
    finished = c.FinishStep(**ATTEMPT, run="train", step="fit", state=RunState.SUCCEEDED, end_time=ended)
    for command in (finished, finish(end_time=ended)):
        assert take(state, command, NOW + 100).outcome.end_time == kept


def test_a_lost_run_ends_with_its_last_sign_of_life() -> None:
    """Its end is the last heartbeat, but not before its start."""
    for last_seen, end in ((NOW + 7, NOW + 7), (NOW - 7, NOW)):
        assert take(given(start()), lose(last_seen), NOW + 100).outcome.end_time == end


def report(*problems: tuple[str, str, int]) -> c.ReportProblems:
    return c.ReportProblems(**ATTEMPT, run="train", problems=tuple(RecordingProblem(*each) for each in problems))


def test_recording_problems_add_up() -> None:
    """Counts of the same subject and problem are added, beyond 100 different ones under `more`, without overflow."""
    state = given(start(), finish(), report(("metric 'a'", "lost", 2), ("metric 'b'", "lost", 1)))
    run = take(state, report(("metric 'a'", "lost", 3), ("metric 'a'", "cut", 1)), NOW).outcome
    assert isinstance(run, Run)
    assert [(each.subject, each.problem, each.count) for each in run.recording_problems] == [
        ("metric 'a'", "lost", 5), ("metric 'b'", "lost", 1), ("metric 'a'", "cut", 1),
    ]  # fmt: skip
    run = take(state, report(*((f"metric {n}", "lost", 2) for n in range(MAX_PROBLEMS))), NOW).outcome
    assert isinstance(run, Run)
    assert len(run.recording_problems) == MAX_PROBLEMS + 1
    assert run.recording_problems[-1] == RecordingProblem("more", "other problems", 6)
    run = take(state, report(("metric 'a'", "lost", 2**63 - 1), ("new", "lost", 1)), NOW).outcome
    assert isinstance(run, Run)
    assert run.recording_problems[0].count == 2**63 - 1
    assert run.recording_problems[-1].count == 7


@pytest.mark.parametrize("stage", [Stage.PRODUCTION, Stage.STAGING])
@pytest.mark.parametrize("run_state", STATES)
def test_only_a_run_that_succeeded_promotes_without_a_word(run_state: RunState, stage: Stage) -> None:
    """A version of a failed, lost or running run enters staging and production only if that is allowed, and why."""
    state = given(start(), ensure("a"), *END[run_state])
    if run_state is RunState.SUCCEEDED:
        assert told(take(state, promote(stage=stage), NOW)) == [(Kind.STAGE_CHANGED, 1)]
        return
    with pytest.raises(RunNotSucceeded, match="allow_unfinished_run and a reason") as refusal:
        take(state, promote(stage=stage, reason="good"), NOW)
    assert refusal.value.metadata == {
        "project": "default", "model": "churn", "number": "1", "run": "train", "run_state": run_state.value,
    }  # fmt: skip
    with pytest.raises(InvalidField, match="reason"):
        take(state, promote(stage=stage, allow_unfinished_run=True, reason=" "), NOW)
    decision = take(state, promote(stage=stage, allow_unfinished_run=True, reason="good"), NOW)
    assert [event.reason for event in decision.events] == ["good"]


def test_what_no_run_made_and_where_nobody_serves_needs_no_run() -> None:
    """A version that was made outside runs is promoted as ever, and one of a failed run is archived as ever."""
    state = given(ensure("b", run=None), start(), ensure("a"), finish(RunState.FAILED))
    assert told(take(state, promote(1), NOW)) == [(Kind.STAGE_CHANGED, 1)]
    assert told(take(state, promote(2, Stage.ARCHIVED), NOW)) == [(Kind.STAGE_CHANGED, 2)]


def test_the_run_is_refused_before_the_stage_is() -> None:
    """Who must say two things is told the graver one first; both said, the version goes in."""
    state = given(ensure("b", run=None), promote(1), start(), ensure("a"))
    with pytest.raises(RunNotSucceeded):
        take(state, promote(2), NOW)
    allowed = {"allow_unfinished_run": True, "reason": "good"}
    with pytest.raises(StageOccupied):
        take(state, promote(2, **allowed), NOW)
    assert told(take(state, promote(2, force=True, **allowed), NOW)) == [
        (Kind.STAGE_CHANGED, 1), (Kind.STAGE_CHANGED, 2),
    ]  # fmt: skip


def test_a_repeated_finish_is_answered_with_the_run() -> None:
    """The answer to a repetition is the run as it was finished then, whatever its versions became with it."""
    state = given(start(), ensure("a"))
    command = finish(request_id="one", fingerprint=b"1")
    state.receipts["one"] = None
    first = take(state, command, NOW)
    assert isinstance(first.outcome, Run)
    assert state.receipts["one"] == Receipt(fingerprint=b"1", time=NOW, events=first.events, images=(first.outcome,))
    again = take(state, command, NOW)
    assert (again.outcome, again.events) == (first.outcome, ())
    assert isinstance(again.outcome, Run)


def test_an_answer_that_cannot_be_remembered_is_not_given() -> None:
    """While as many answers without effect are remembered as may be, no more are given, but for requests without id."""
    state = given(start())
    state.full_since, now = NOW, NOW + REMEMBERED_AT_LEAST - 1
    asked: dict[str, Any] = {"request_id": "one", "fingerprint": b"1"}
    state.receipts["one"] = None
    nothing, refused = replace(start(), **asked), replace(finish(run="other"), **asked)
    for command in (nothing, refused):
        with pytest.raises(Overloaded):
            take(state, command, now)
    assert state.receipts["one"] is None
    assert take(state, start(), now).events == ()
    with pytest.raises(RunNotFound):
        take(state, refused, now + 1)
    state.receipts["two"] = None
    assert take(state, finish(request_id="two", fingerprint=b"2"), now).events


@pytest.mark.parametrize("number", [0, 5, -(2**53), 2**53, 2**60, -(2**63), 10**400])
def test_equal_numbers_are_kept_in_one_way(number: int) -> None:
    """A whole number that a double keeps exactly is a double, and another stays as it is."""
    kept = whole(number)
    assert kept == number
    assert isinstance(kept, int) is (number == 10**400)
    assert all(type(whole(each)) is int for each in (2**53 + 1, -(2**63) + 1, 2**63 - 1))
