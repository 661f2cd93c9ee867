"""Which version `Model(name, version)` in a program means, and when it is made."""

from __future__ import annotations

from typing import Any

import pytest
from domain.fixtures import given
from domain.events import (
    Happened,
    alias_set,
    model_created,
    model_deleted,
    run_started,
    stage_changed,
    version_created,
    version_deleted,
    version_made,
    version_renamed,
    version_used,
)
from domain.commands import config, ensure

from tallymark_server.domain.errors import (
    AliasNotFound,
    ModelDeleted,
    ModelNotFound,
    RunNotFound,
    StageEmpty,
    VersionDeleted,
    VersionNotFound,
)
from tallymark_server.domain.model import ModelCard, Stage

FULL = (
    model_created(), version_created(1), version_created(2, "a"), version_created(3), run_started(),
    stage_changed(1, Stage.NONE, Stage.PRODUCTION), stage_changed(2, Stage.NONE, Stage.STAGING),
    alias_set(2, "champion"),
)  # fmt: skip
SHAPES = pytest.mark.parametrize(
    ("version", "number"),
    [
        ("1", 1),
        ("a", 2),
        ("=a", 2),
        ("latest", 3),
        ("production", 1),
        ("@production", 1),
        ("staging", 2),
        ("@champion", 2),
    ],
)
MISSING = pytest.mark.parametrize(
    ("version", "error", "data"),
    [
        ("7", VersionNotFound, {"version": "7"}),
        ("latest", VersionNotFound, {"version": "latest"}),
        ("production", StageEmpty, {"stage": "production"}),
        ("staging", StageEmpty, {"stage": "staging"}),
        ("@champion", AliasNotFound, {"alias": "champion"}),
    ],
)


@SHAPES
def test_a_version_that_is_there_is_found(version: str, number: int) -> None:
    """By number, name, stage, alias or as the latest: the version is answered, and nothing happens."""
    found = given(*FULL).when(ensure(version))
    found.then()
    assert (found.answer.version.number, found.answer.created) == (number, False)


@SHAPES
def test_a_run_says_once_what_it_uses(version: str, number: int) -> None:
    """A run uses a version by any reference, from the first step that requests it."""
    project = given(*FULL).when(ensure(version, run="train", step="fit")).then(version_used(number, step="fit"))
    project.when(ensure(version, run="train", step="score")).then()
    project.when(ensure(str(number), run="train")).then()


def test_outside_a_run_nothing_is_used() -> None:
    """A version that a run made is found without a run, and no run is said to use it."""
    given(model_created(), run_started(), version_made(1)).when(ensure("1")).then()


def test_each_run_says_for_itself_what_it_uses() -> None:
    """A version that one run uses is used by another one in an event of its own."""
    project = given(*FULL, version_used(1), run_started("other"))
    project.when(ensure("1", run="other")).then(version_used(1, run="other"))
    project.when(ensure("3", run="train")).then(version_used(3))


def test_a_run_does_not_use_what_it_made() -> None:
    """A version that the run itself made is found without another event."""
    project = given(model_created(), run_started(), version_made(1), version_made(2, "a"))
    for version in ("1", "a", "latest"):
        project.when(ensure(version, run="train")).then()


@MISSING
@pytest.mark.parametrize("run", [None, "train"])
def test_a_lookup_that_fails_creates_nothing(version: str, error: Any, data: dict[str, str], run: str | None) -> None:
    """A number, stage, alias or `latest` that means nothing is refused, and where there is no model, none is made."""
    given(model_created(), run_started()).when(ensure(version, run=run)).refused(error, model="churn", **data)
    given(run_started()).when(ensure(version, run=run)).refused(ModelNotFound, model="churn")


def test_a_name_is_found_or_created() -> None:
    """The version of that name is created once, and found from then on."""
    project = given(model_created(), version_created(1)).when(ensure("a")).then(version_created(2, "a"))
    found = project.when(ensure("a"))
    found.then()
    assert (found.answer.version.number, found.answer.created) == (2, False)


def test_a_name_that_was_left_is_created_anew() -> None:
    """A name that no version has any more means a new version."""
    project = given(model_created(), version_created(1, "a"), version_renamed(1, "b", previous="a"))
    project.when(ensure("a")).then(version_created(2, "a"))


def test_the_model_is_created_with_its_first_version() -> None:
    """A name, or no version at all, makes the model as the program describes it, and then the version."""
    for version, name in (("a", "a"), ("", None)):
        asked = config(version, card=ModelCard(license="MIT"), description="good", tags=("x",), metadata={"auc": 0.9})
        made = given().when(ensure(config=asked))
        version_is = version_created(1, name, description="good", tags=("x",), metadata={"auc": 0.9})
        made.then(model_created(license="MIT"), version_is)
        assert made.answer.created


def test_the_card_of_a_model_that_is_there_stays() -> None:
    """What a program says of the model, or of a version that is found, changes neither of them."""
    project = given(model_created(license="MIT"), version_created(1, "a", description="good"))
    asked = config("a", card=ModelCard(license="Apache-2.0"), description="bad")
    project.when(ensure(config=asked)).then()


def test_without_a_run_each_request_is_a_new_version() -> None:
    """A model without a version means the next number, at each request."""
    project = given(model_created())
    for number in (1, 2, 3):
        project = project.when(ensure()).then(version_created(number))


def test_a_run_makes_one_automatic_version_of_a_model() -> None:
    """All steps of a run that name no version share the one that the first of them made."""
    project = (
        given(run_started()).when(ensure(run="train", step="fit")).then(model_created(), version_made(1, step="fit"))
    )
    again = project.when(ensure(run="train", step="score"))
    again.then()
    assert (again.answer.version.number, again.answer.version.step, again.answer.created) == (1, "fit", False)


def test_automatic_versions_are_of_one_run_and_one_model() -> None:
    """Another run makes a version of its own, and so does the same run of another model."""
    project = given(model_created(), run_started(), run_started("other"), version_made(1))
    project.when(ensure(run="other")).then(version_made(2, run="other"))
    project.when(ensure(run="train", model="fraud")).then(model_created("fraud"), version_made(1, model="fraud"))


def test_a_version_by_name_is_not_the_automatic_one() -> None:
    """A run may make versions by name beside its automatic one, also when it named that one since."""
    project = (
        given(model_created(), run_started(), version_made(1, "a")).when(ensure(run="train")).then(version_made(2))
    )
    renamed = project.and_then(version_renamed(2, "b", previous="2")).when(ensure(run="train"))
    renamed.then()
    assert renamed.answer.version.number == 2


def test_a_run_must_be_started_first() -> None:
    """In a run that is missing no version is found or made, and no model either."""
    for version in ("", "a", "1"):
        given(model_created(), version_created(1)).when(ensure(version, run="train")).refused(RunNotFound, run="train")
    given().when(ensure(run="train")).refused(RunNotFound, run="train")


@pytest.mark.parametrize("version", ["1", "a"])
def test_a_deleted_version_is_not_given(version: str) -> None:
    """A deleted version is refused by its number and by its name, and is not made again."""
    project = given(model_created(), version_created(1, "a"), version_deleted(1))
    project.when(ensure(version)).refused(VersionDeleted, number=1)


@pytest.mark.parametrize("happened", [(), (version_created(1),)])
@pytest.mark.parametrize("version", ["", "a", "1", "latest", "production", "@champion"])
def test_a_deleted_model_gives_no_version(version: str, happened: tuple[Happened, ...]) -> None:
    """Whatever the reference, a deleted model must be undeleted first."""
    given(model_created(), *happened, model_deleted()).when(ensure(version)).refused(ModelDeleted, model="churn")


def test_a_deleted_model_gives_a_run_no_version() -> None:
    """Not even the automatic version that the run has made of it already."""
    project = given(model_created(), run_started(), version_made(1), model_deleted())
    project.when(ensure(run="train")).refused(ModelDeleted, model="churn")
