"""What a request_id means: the same request again is answered as it was, and has no effect again."""

from __future__ import annotations

from typing import Any

import pytest
from domain.fixtures import NOW, Given, given
from domain.events import (
    Happened,
    artifact_linked,
    metadata_logged,
    model_created,
    model_deleted,
    model_renamed,
    model_updated,
    project_created,
    run_finished,
    run_started,
    run_state_changed,
    stage_changed,
    step_started,
    version_created,
    version_deleted,
    version_made,
    version_purged,
    version_updated,
    version_used,
)
from domain.commands import (
    config,
    create_model,
    create_project,
    create_version,
    create_versions,
    ensure,
    finish_run,
    link,
    log_metadata,
    set_stage,
    start_run,
    start_step,
    update_model,
)
from msgspec.structs import replace

from tallymark_server.domain.errors import (
    ModelExists,
    Overloaded,
    RequestIdReused,
    StageOccupied,
    VersionNameTaken,
)
from tallymark_server.domain.model import RunState, Stage
from tallymark_server.domain.state import REMEMBERED_AT_LEAST, REMEMBERED_AT_MOST

ONE: dict[str, Any] = {"request_id": "one", "fingerprint": b"1"}
SUCCEEDED = RunState.SUCCEEDED
VERSION = (model_created(), version_created(1), run_started())

# A command, what goes before it, its effect, and what happens between it and its repetition.
CASES: dict[str, tuple[tuple[Happened, ...], Any, tuple[Happened, ...], tuple[Happened, ...]]] = {
    "a model": ((), create_model(), (model_created(),), (model_updated(license="MIT"), version_created(1))),
    "a version": (VERSION, create_version(), (version_created(2),), (version_updated(2, description="x"),)),
    "a batch": (
        VERSION, create_versions(None, "a"), (version_created(2), version_created(3, "a")), (version_created(4),),
    ),
    "a card": (
        (*VERSION, stage_changed(1, Stage.NONE, Stage.PRODUCTION)), update_model(license="MIT"),
        (model_updated(license="MIT"),), (stage_changed(1, Stage.PRODUCTION, Stage.ARCHIVED), version_created(2)),
    ),
    "a stage": (
        VERSION, set_stage(1, Stage.STAGING), (stage_changed(1, Stage.NONE, Stage.STAGING),),
        (stage_changed(1, Stage.STAGING, Stage.ARCHIVED),),
    ),
    "a swap": (
        (*VERSION, version_created(2), stage_changed(2, Stage.NONE, Stage.STAGING)),
        set_stage(1, Stage.STAGING, force=True),
        (stage_changed(2, Stage.STAGING, Stage.ARCHIVED), stage_changed(1, Stage.NONE, Stage.STAGING)),
        (stage_changed(1, Stage.STAGING, Stage.ARCHIVED),),
    ),
    "a new version of a name": (VERSION, ensure("a"), (version_created(2, "a"),), (version_created(3),)),
    "an automatic version": (VERSION, ensure(run="train"), (version_made(2),), (version_created(3),)),
    "a version in use": (VERSION, ensure("1", run="train"), (version_used(1),), (version_created(2),)),
    "a run": ((), start_run(), (run_started(),), (run_finished(SUCCEEDED),)),
    "a run with its version": (
        (), start_run(config=config()),
        (model_created(), version_made(1), run_started(model="churn", number=1)), (version_created(2),),
    ),
    "a run joined": (VERSION, start_run(config=config()), (version_made(2),), (version_created(3),)),
    "the end of a run": (
        (*VERSION, version_made(2)), finish_run(SUCCEEDED), (run_finished(SUCCEEDED), run_state_changed(2, SUCCEEDED)),
        (version_created(3),),
    ),
    "a step": (VERSION, start_step(), (step_started(),), (version_created(2),)),
    "an artifact": (
        VERSION, link(1, "weights", "s3://a"), (artifact_linked(1, "weights", 1, "s3://a"),),
        (artifact_linked(1, "weights", 2, "s3://b"),),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_repeated_request_is_answered_as_it_was(case: str) -> None:
    """Whatever has happened since, the same request with the same id gets its first answer, and has no effect again."""
    before, command, effect, since = CASES[case]
    command = replace(command, **ONE)
    first = given(*before).when(command)
    again = first.then(*effect).and_then(*since).when(command)
    again.then()
    assert again.answer == first.answer


@pytest.mark.parametrize("case", CASES)
def test_another_request_with_the_same_id_is_refused(case: str) -> None:
    """A request_id that was used for one request is refused for another one, whatever that is."""
    before, command, effect, _ = CASES[case]
    project = given(*before).when(replace(command, **ONE)).then(*effect)
    for other in (replace(command, request_id="one", fingerprint=b"2"), create_model("fraud", request_id="one")):
        project.when(other).refused(RequestIdReused, request_id="one")


def test_an_effect_is_remembered_for_ever() -> None:
    """After ten years the request that created a version is still answered with it."""
    command = create_version(**ONE)
    project = given(model_created()).when(command).then(version_created(1))
    again = project.when(command, now=NOW + 3650 * REMEMBERED_AT_MOST)
    again.then()
    assert [version.number for version in again.answer] == [1]


def test_an_answer_stands_when_what_it_is_about_has_gone() -> None:
    """What could not be requested any more is answered all the same when it is a repetition."""
    command = create_version("a", **ONE)
    first = given(model_created()).when(command)
    project = first.then(version_created(1, "a"))
    for since in ((version_deleted(1), version_purged(1)), (model_renamed("churn", "fraud"),), (model_deleted(),)):
        again = project.and_then(*since).when(command)
        again.then()
        assert again.answer == first.answer


def test_each_id_is_one_request() -> None:
    """The same request with another id, or without one, is another request."""
    project = given(model_created()).when(create_version(**ONE)).then(version_created(1))
    project = project.when(create_version(request_id="two", fingerprint=b"1")).then(version_created(2))
    project.when(create_version()).then(version_created(3))


def test_a_new_project_is_created_once() -> None:
    """The repetition of the request that created a project is answered with the project."""
    project = given(exists=False).when(create_project(**ONE)).then(project_created())
    project.when(create_project(**ONE)).then()


# Answers without effect, which are remembered for some time.

OCCUPIED = (model_created(), version_created(1), version_created(2), stage_changed(1, Stage.NONE, Stage.STAGING))
LEFT = stage_changed(1, Stage.STAGING, Stage.NONE)


def test_a_refused_request_is_refused_again() -> None:
    """For a day a request with the id of one that was refused is refused alike, although nothing is in its way any
    more; with another id, or a moment later, it is decided as things are then."""
    command, entered = set_stage(2, Stage.STAGING, **ONE), stage_changed(2, Stage.NONE, Stage.STAGING)
    free = given(*OCCUPIED).when(command).refused(StageOccupied, number=1).and_then(LEFT)
    free.when(command, now=NOW + REMEMBERED_AT_MOST).refused(StageOccupied, number=1)
    free.when(command, now=NOW + REMEMBERED_AT_MOST + 1).then(entered)
    free.when(replace(command, request_id="two")).then(entered)
    free.when(replace(command, fingerprint=b"2")).refused(RequestIdReused, request_id="one")


def test_what_changed_nothing_is_answered_with_what_was() -> None:
    """For a day a request that was true already is answered with how things were then, and does not undo since what
    others have changed."""
    project = given(model_created(), version_created(1, metadata={"auc": 0.9}))
    command = log_metadata(1, {"auc": 0.9}, **ONE)
    first = project.when(command)
    since = first.then().and_then(metadata_logged(1, {"auc": 0.5}))
    again = since.when(command, now=NOW + REMEMBERED_AT_MOST)
    again.then()
    assert again.answer == first.answer
    since.when(command, now=NOW + REMEMBERED_AT_MOST + 1).then(metadata_logged(1, {"auc": 0.9}))


def test_a_run_that_was_joined_is_answered_as_it_was() -> None:
    """The repetition of the request that joined a run has the run and its version as they were then."""
    command = start_run(config=config(), **ONE)
    first = given(model_created(), version_made(1), run_started(model="churn", number=1)).when(command)
    project = first.then().and_then(run_finished(SUCCEEDED), run_state_changed(1, SUCCEEDED))
    assert project.when(command).answer == first.answer
    assert (first.answer.run.state, first.answer.version.run_state) == (RunState.RUNNING, RunState.RUNNING)


FULL_SINCE = NOW - REMEMBERED_AT_LEAST


def full(project: Given, since: int) -> Given:
    """The project in which as many answers without effect are remembered as may be, the oldest of them since then."""
    project.history.full_since = since
    return project


def test_an_answer_that_cannot_be_remembered_is_not_given() -> None:
    """While there is no room for answers without effect, requests with an id that would have none are to come again;
    those with an effect, and those without an id, are answered as ever."""
    project = full(given(*OCCUPIED), FULL_SINCE + 1)
    for command in (set_stage(2, Stage.STAGING, **ONE), set_stage(1, Stage.STAGING, **ONE)):
        project.when(command).refused(Overloaded)
    project.when(set_stage(2, Stage.STAGING)).refused(StageOccupied, number=1)
    project.when(set_stage(1, Stage.STAGING)).then()
    project.when(set_stage(2, Stage.ARCHIVED, **ONE)).then(stage_changed(2, Stage.NONE, Stage.ARCHIVED))


def test_room_is_made_after_ten_minutes() -> None:
    """Once the oldest answer without effect is old enough to be forgotten, there is room for another one."""
    project = full(given(*OCCUPIED), FULL_SINCE)
    project.when(set_stage(2, Stage.STAGING, **ONE)).refused(StageOccupied, number=1)
    project.when(set_stage(1, Stage.STAGING, **ONE)).then()


# Requests that are only validated.


def trial(project: Given, command: Any) -> Any:
    return project.when(replace(command, validate_only=True))


@pytest.mark.parametrize("case", CASES)
def test_what_is_only_validated_writes_nothing(case: str) -> None:
    """With validate_only a request is answered as it would be, and neither an event nor its id is kept."""
    before, command, effect, _ = CASES[case]
    command = replace(command, **ONE)
    tried = trial(given(*before), command)
    project = tried.then()
    assert tried.answer == given(*before).when(command).answer
    assert project.history.receipts == {}
    project.when(command).then(*effect)


def test_what_is_only_validated_is_refused_as_it_would_be() -> None:
    """With validate_only a request that cannot be fulfilled says why, and its id is not kept either."""
    project = given(model_created(), version_created(1, "a"))
    refused = trial(project, create_version("a", **ONE)).refused(VersionNameTaken, number=1)
    assert refused.history.receipts == {}
    trial(project, create_model()).refused(ModelExists, model="churn")


def test_validating_is_no_repetition() -> None:
    """With validate_only a request whose id was used already is decided as it would be now."""
    project = given(model_created()).when(create_version("a", **ONE)).then(version_created(1, "a"))
    trial(project, create_version("a", **ONE)).refused(VersionNameTaken, number=1)
    trial(project, create_version("b", **ONE)).then()
