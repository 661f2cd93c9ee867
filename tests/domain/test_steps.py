"""How the steps of runs start and end."""

from __future__ import annotations

from typing import Any

import pytest
from domain.fixtures import NOW, given
from domain.events import (
    Happened,
    model_created,
    run_finished,
    run_started,
    step_finished,
    step_started,
    version_created,
    version_deleted,
)
from domain.history import BEGIN, SECOND
from domain.commands import finish_run, finish_step, meant, start_step

from tallymark_server.domain.errors import (
    AliasNotFound,
    ModelNotFound,
    RunNotFound,
    StepFinished,
    StepNotFound,
    VersionDeleted,
    VersionNotFound,
)
from tallymark_server.domain.model import RunState

SUCCEEDED, FAILED = RunState.SUCCEEDED, RunState.FAILED
RUN = (model_created(), version_created(1), run_started())


def test_a_step_starts_in_its_run() -> None:
    """A step starts as it is described, running and without an end."""
    fields: dict[str, Any] = {"name": "Fit", "parameters": {"depth": 3.0}, "start_time": 5}
    started = given(*RUN).when(start_step(**fields))
    started.then(step_started(**fields))
    assert (started.answer.state, started.answer.end_time) == (RunState.RUNNING, None)


@pytest.mark.parametrize("version", [1, "latest"])
def test_a_step_names_the_version_in_force(version: int | str) -> None:
    """Whatever the reference to the version, the step keeps its number."""
    given(*RUN).when(start_step(version=("churn", meant(version)))).then(step_started(model="churn", number=1))


def test_a_step_is_started_once() -> None:
    """A step that is there is answered as it is, finished or not; one of the same id in another run is another step."""
    for happened in ((), (step_finished(FAILED),)):
        project = given(*RUN, step_started(name="Fit"), *happened, run_started("other"))
        again = project.when(start_step(name="another"))
        again.then()
        assert again.answer.name == "Fit"
        project.when(start_step(run="other")).then(step_started(run="other"))


@pytest.mark.parametrize("state", [SUCCEEDED, FAILED])
def test_a_step_is_finished_once(state: RunState) -> None:
    """The same outcome again changes nothing, and another one is refused with the one that it has."""
    project = given(*RUN, step_started()).when(finish_step(state, error="why")).then(step_finished(state, error="why"))
    project.when(finish_step(state, error="late")).then()
    (other,) = {SUCCEEDED, FAILED} - {state}
    project.when(finish_step(other)).refused(StepFinished, run="train", step="fit", state=state.value)


@pytest.mark.parametrize(
    ("started", "ended", "kept"),
    [
        (None, None, NOW),
        (None, BEGIN, BEGIN + 3 * SECOND),
        (BEGIN - 70, BEGIN - 60, BEGIN - 60),
        (BEGIN - 70, BEGIN - 80, BEGIN - 70),
        (None, NOW + 10**9, NOW + 10**9),
    ],
)
def test_a_step_ends_when_it_says_but_not_before_it_starts(started: int | None, ended: int | None, kept: int) -> None:
    """A clock that is behind ends a step when it began, one that is ahead is believed, and without one it ends now."""
    project = given(*RUN, step_started(start_time=started))
    project.when(finish_step(SUCCEEDED, end_time=ended)).then(step_finished(SUCCEEDED, end_time=kept))


def test_a_step_and_its_run_end_by_themselves() -> None:
    """The end of a run ends none of its steps, and a step may be finished after its run."""
    project = given(*RUN, step_started()).when(finish_run(FAILED)).then(run_finished(FAILED))
    project.when(finish_step(SUCCEEDED)).then(step_finished(SUCCEEDED))


def test_a_step_needs_its_run() -> None:
    """No step starts in a run that is missing, and one that was not started is not finished."""
    given().when(start_step()).refused(RunNotFound, run="train")
    given(*RUN).when(finish_step(SUCCEEDED)).refused(StepNotFound, run="train", step="fit")


@pytest.mark.parametrize(
    ("happened", "version", "error", "data"),
    [
        ((run_started(),), 1, ModelNotFound, {"model": "churn"}),
        (RUN, 2, VersionNotFound, {"version": "2"}),
        (RUN, "@champion", AliasNotFound, {"alias": "champion"}),
        ((*RUN, version_deleted(1)), 1, VersionDeleted, {"number": "1"}),
    ],
)
def test_a_step_needs_the_version_that_is_in_force(
    happened: tuple[Happened, ...], version: int | str, error: Any, data: dict[str, str]
) -> None:
    """With a version that is missing or deleted no step starts."""
    given(*happened).when(start_step(version=("churn", meant(version)))).refused(error, **data)
