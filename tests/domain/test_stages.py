"""Who is in which stage, and how stages pass from one version to another."""

from __future__ import annotations

from typing import Any

import pytest
from domain.fixtures import given
from domain.events import (
    Happened,
    model_created,
    model_deleted,
    run_finished,
    run_lost,
    run_started,
    run_state_changed,
    stage_changed,
    version_created,
    version_deleted,
    version_made,
    version_updated,
)
from domain.commands import set_stage

from tallymark_server.domain.errors import (
    EtagMismatch,
    InvalidField,
    ModelDeleted,
    ModelNotFound,
    RunNotSucceeded,
    StageEmpty,
    StageMoved,
    StageOccupied,
    VersionDeleted,
    VersionNotFound,
)
from tallymark_server.domain.model import RunState, Stage

NONE, STAGING, PRODUCTION, ARCHIVED = Stage.NONE, Stage.STAGING, Stage.PRODUCTION, Stage.ARCHIVED
SINGLE = pytest.mark.parametrize("stage", [STAGING, PRODUCTION])
TWO = (model_created(), version_created(1), version_created(2))


@pytest.mark.parametrize("after", [STAGING, PRODUCTION, ARCHIVED])
@pytest.mark.parametrize("before", [NONE, STAGING, PRODUCTION, ARCHIVED])
def test_a_version_goes_from_any_stage_to_any_other(before: Stage, after: Stage) -> None:
    """Each move is one event that says where the version came from; none is written when it is there already."""
    happened = () if before is NONE else (stage_changed(1, NONE, before),)
    moved = given(*TWO, *happened).when(set_stage(1, after))
    moved.then(*() if before is after else (stage_changed(1, before, after),))


@pytest.mark.parametrize("before", [STAGING, PRODUCTION, ARCHIVED])
def test_a_version_leaves_its_stage(before: Stage) -> None:
    """A version may go back to no stage at all."""
    given(*TWO, stage_changed(1, NONE, before)).when(set_stage(1, NONE)).then(stage_changed(1, before, NONE))


@SINGLE
def test_a_stage_has_one_holder(stage: Stage) -> None:
    """While a version is in staging or production, another one is refused, and the refusal names the holder."""
    project = given(*TWO, stage_changed(1, NONE, stage))
    project.when(set_stage(2, stage)).refused(StageOccupied, model="churn", stage=stage.value, number=1)


@SINGLE
def test_force_moves_the_holder_to_the_archive(stage: Stage) -> None:
    """With force the holder is archived first and the version moves in after it, both for the same reason."""
    project = given(*TWO, stage_changed(1, NONE, stage))
    project.when(set_stage(2, stage, force=True, reason="better")).then(
        stage_changed(1, stage, ARCHIVED, reason="better"), stage_changed(2, NONE, stage, reason="better")
    )


def test_force_of_an_empty_stage_moves_nobody_else() -> None:
    """Where nobody is, force archives nobody, not even the holder of the other stage."""
    project = given(*TWO, stage_changed(1, NONE, STAGING))
    project.when(set_stage(2, PRODUCTION, force=True)).then(stage_changed(2, NONE, PRODUCTION))


def test_staging_and_production_change_places() -> None:
    """The version in staging replaces the one in production, and leaves staging empty behind it."""
    project = given(*TWO, stage_changed(1, NONE, PRODUCTION), stage_changed(2, NONE, STAGING))
    project = project.when(set_stage("@staging", PRODUCTION, force=True)).then(
        stage_changed(1, PRODUCTION, ARCHIVED), stage_changed(2, STAGING, PRODUCTION)
    )
    project.when(set_stage("@staging", ARCHIVED)).refused(StageEmpty, model="churn", stage="staging")
    project.when(set_stage(1, STAGING)).then(stage_changed(1, ARCHIVED, STAGING))


@pytest.mark.parametrize("stage", [ARCHIVED, NONE])
def test_any_number_of_versions_may_be_archived_or_nowhere(stage: Stage) -> None:
    """A version is archived, or taken out of its stage, without regard to others that are."""
    project = given(*TWO, stage_changed(1, NONE, ARCHIVED), stage_changed(2, NONE, PRODUCTION))
    project.when(set_stage(2, stage)).then(stage_changed(2, PRODUCTION, stage))


def test_each_model_has_its_own_stages() -> None:
    """A version in production of one model is in nobody's way in another."""
    project = given(*TWO, stage_changed(1, NONE, PRODUCTION), model_created("fraud"), version_created(1, model="fraud"))
    project.when(set_stage(1, PRODUCTION, model="fraud")).then(stage_changed(1, NONE, PRODUCTION, model="fraud"))


def test_a_stage_that_is_left_is_free() -> None:
    """When the holder has left, or was deleted, another version may enter without force."""
    left = given(*TWO, stage_changed(1, NONE, PRODUCTION), stage_changed(1, PRODUCTION, ARCHIVED))
    left.when(set_stage(2, PRODUCTION)).then(stage_changed(2, NONE, PRODUCTION))
    left.and_then(version_deleted(1)).when(set_stage(2, PRODUCTION)).then(stage_changed(2, NONE, PRODUCTION))


def test_a_swap_may_be_for_one_holder_only() -> None:
    """With an expected holder, force replaces that one, and is refused when another version holds the stage."""
    project = given(*TWO, stage_changed(1, NONE, PRODUCTION))
    swap = (stage_changed(1, PRODUCTION, ARCHIVED), stage_changed(2, NONE, PRODUCTION))
    project.when(set_stage(2, PRODUCTION, force=True, expected=1)).then(*swap)
    project.when(set_stage(2, PRODUCTION, force=True, expected=7)).refused(StageMoved, model="churn", number=1)
    project.when(set_stage(2, PRODUCTION, force=True, expected=0)).refused(StageMoved, stage="production", number=1)
    project.when(set_stage(1, PRODUCTION, expected=2)).refused(StageMoved, number=1)
    project.when(set_stage(2, PRODUCTION, expected=1)).refused(StageOccupied, number=1)
    project.when(set_stage(1, PRODUCTION, expected=1)).then()


def test_a_version_may_enter_an_empty_stage_only() -> None:
    """With 0 as expected holder a version enters an empty stage; where the expected holder has left, it is refused."""
    project = given(*TWO, stage_changed(1, NONE, PRODUCTION), stage_changed(1, PRODUCTION, ARCHIVED))
    project.when(set_stage(2, PRODUCTION, force=True, expected=1)).refused(StageMoved, number=0)
    project.when(set_stage(2, PRODUCTION, expected=0)).then(stage_changed(2, NONE, PRODUCTION))


@pytest.mark.parametrize("stage", [ARCHIVED, NONE])
def test_only_a_stage_of_one_version_has_an_expected_holder(stage: Stage) -> None:
    """An expected holder of the archive, or of no stage, is refused."""
    given(*TWO).when(set_stage(1, stage, expected=0)).refused(InvalidField, field="expected_number")


def test_a_version_moves_only_as_it_was_read() -> None:
    """With the etag of an older state the version stays, also where it is already; with that of its state it moves."""
    project = given(*TWO, version_updated(2, description="good"))
    project.when(set_stage(2, PRODUCTION, etag="r3")).refused(EtagMismatch, model="churn", number=2, etag="r4")
    project.when(set_stage(2, NONE, etag="r3")).refused(EtagMismatch, number=2)
    project.when(set_stage(2, PRODUCTION, etag="r4")).then(stage_changed(2, NONE, PRODUCTION))


def test_every_change_of_a_version_changes_its_etag() -> None:
    """The etag from before a version entered a stage is refused afterwards."""
    project = given(*TWO, stage_changed(1, NONE, STAGING))
    project.when(set_stage(1, ARCHIVED, etag="r2")).refused(EtagMismatch, number=1, etag="r4")


ENDS: dict[RunState, tuple[Happened, ...]] = {
    RunState.RUNNING: (),
    RunState.SUCCEEDED: (run_finished(RunState.SUCCEEDED), run_state_changed(1, RunState.SUCCEEDED)),
    RunState.FAILED: (run_finished(RunState.FAILED), run_state_changed(1, RunState.FAILED)),
    RunState.LOST: (run_lost(end_time=0), run_state_changed(1, RunState.LOST)),
}


@SINGLE
@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.FAILED, RunState.LOST])
def test_a_version_of_an_unfinished_run_needs_a_word(state: RunState, stage: Stage) -> None:
    """A version whose run did not succeed enters staging or production only if that is allowed, with a reason."""
    project = given(model_created(), run_started(), version_made(1), *ENDS[state])
    project.when(set_stage(1, stage, reason="good", force=True)).refused(
        RunNotSucceeded, number=1, run="train", run_state=state.value
    )
    project.when(set_stage(1, stage, allow_unfinished_run=True, reason=" ")).refused(InvalidField, field="reason")
    allowed = set_stage(1, stage, allow_unfinished_run=True, reason="good")
    project.when(allowed).then(stage_changed(1, NONE, stage, reason="good"))


@SINGLE
def test_a_version_of_a_successful_run_needs_no_word(stage: Stage) -> None:
    """A version whose run succeeded is promoted like one that no run made."""
    project = given(model_created(), run_started(), version_made(1), *ENDS[RunState.SUCCEEDED])
    project.when(set_stage(1, stage)).then(stage_changed(1, NONE, stage))


def test_the_run_is_refused_before_the_stage_is() -> None:
    """Who must say two things hears of the run first; once both are said, the version goes in."""
    project = given(model_created(), version_created(1), stage_changed(1, NONE, PRODUCTION), run_started())
    project = project.and_then(version_made(2))
    allowed: dict[str, Any] = {"allow_unfinished_run": True, "reason": "good"}
    project.when(set_stage(2, PRODUCTION, force=True)).refused(RunNotSucceeded, number=2)
    project.when(set_stage(2, PRODUCTION, **allowed)).refused(StageOccupied, number=1)
    project.when(set_stage(2, PRODUCTION, force=True, **allowed)).then(
        stage_changed(1, PRODUCTION, ARCHIVED, reason="good"), stage_changed(2, NONE, PRODUCTION, reason="good")
    )


@pytest.mark.parametrize("state", ENDS)
def test_any_version_may_be_archived(state: RunState) -> None:
    """A version is archived without a word, however its run ended."""
    project = given(model_created(), run_started(), version_made(1), *ENDS[state])
    project.when(set_stage(1, ARCHIVED)).then(stage_changed(1, NONE, ARCHIVED))


@pytest.mark.parametrize(
    ("happened", "version", "error", "data"),
    [
        ((), 1, ModelNotFound, {"model": "churn"}),
        ((*TWO, model_deleted()), 1, ModelDeleted, {"model": "churn"}),
        (TWO, 3, VersionNotFound, {"version": "3"}),
        (TWO, "=a", VersionNotFound, {"version": "=a"}),
        (TWO, "@production", StageEmpty, {"stage": "production"}),
        ((model_created(),), "latest", VersionNotFound, {"version": "latest"}),
        ((*TWO, version_deleted(1)), 1, VersionDeleted, {"number": "1"}),
    ],
)
def test_what_is_not_there_enters_no_stage(
    happened: tuple[Happened, ...], version: int | str, error: Any, data: dict[str, str]
) -> None:
    """A version that is missing or deleted is refused with the error that says so."""
    given(*happened).when(set_stage(version, PRODUCTION, force=True)).refused(error, **data)


def test_the_latest_version_is_the_highest_that_is_there() -> None:
    """`latest` passes to the next lower number when the highest version is deleted."""
    project = given(*TWO)
    project.when(set_stage("latest", STAGING)).then(stage_changed(2, NONE, STAGING))
    project.and_then(version_deleted(2)).when(set_stage("latest", STAGING)).then(stage_changed(1, NONE, STAGING))
