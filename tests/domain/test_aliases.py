"""Where aliases point, and how they move."""

from __future__ import annotations

from typing import Any

import pytest
from domain.fixtures import given
from domain.events import (
    Happened,
    alias_deleted,
    alias_set,
    model_created,
    model_deleted,
    stage_changed,
    version_created,
    version_deleted,
)
from domain.commands import delete_alias, ensure, set_alias

from tallymark_server.domain.errors import (
    AliasMoved,
    AliasNotFound,
    ModelDeleted,
    ModelNotFound,
    VersionDeleted,
    VersionNotFound,
)
from tallymark_server.domain.model import Stage

TWO = (model_created(), version_created(1), version_created(2))
SET = (*TWO, alias_set(1, "champion"))


def test_an_alias_is_set() -> None:
    """An alias points at a version from the event on that sets it, for the reason that is given."""
    project = given(*TWO).when(set_alias(1, "champion", reason="best")).then(alias_set(1, "champion", reason="best"))
    assert project.when(ensure("@champion")).answer.version.number == 1


def test_an_alias_moves_to_another_version() -> None:
    """It is first taken from the version at which it points, and then set, with its place before."""
    project = given(*SET).when(set_alias(2, "champion", reason="better"))
    moved = project.then(
        alias_deleted(1, "champion", reason="better"), alias_set(2, "champion", previous=1, reason="better")
    )
    assert moved.when(ensure("@champion")).answer.version.number == 2


def test_an_alias_that_points_there_already_is_not_set_again() -> None:
    """Setting an alias where it is already creates no event, whatever the reference to the version."""
    given(*SET).when(set_alias(1, "champion")).then()
    given(*SET).when(set_alias("@champion", "champion")).then()


def test_an_alias_may_follow_another_reference() -> None:
    """An alias is set by a reference to the version: its stage, another alias, its name, or `latest`."""
    project = given(*SET, stage_changed(2, Stage.NONE, Stage.PRODUCTION), version_created(3, "a"))
    for reference, number in {"@production": 2, "@champion": 1, "=a": 3, "latest": 3}.items():
        project.when(set_alias(reference, "canary")).then(alias_set(number, "canary"))


def test_a_version_has_any_number_of_aliases() -> None:
    """The aliases of a version are kept in order, and each moves for itself."""
    project = given(*SET, alias_set(1, "canary"))
    version = project.history.version("churn", 1)
    assert version is not None
    assert version.aliases == ("canary", "champion")
    project.when(set_alias(2, "canary")).then(alias_deleted(1, "canary"), alias_set(2, "canary", previous=1))


def test_each_model_has_its_own_aliases() -> None:
    """An alias of one model says nothing of the same word in another."""
    project = given(*SET, model_created("fraud"), version_created(1, model="fraud"))
    project.when(set_alias(1, "champion", model="fraud", expected=0)).then(alias_set(1, "champion", model="fraud"))


@pytest.mark.parametrize(("happened", "points_at"), [(TWO, 0), (SET, 1)])
def test_an_alias_moves_only_from_where_it_is_expected(happened: tuple[Happened, ...], points_at: int) -> None:
    """With an expected number, 0 for nowhere, an alias that points elsewhere by now stays, and the refusal says where
    it points."""
    for expected in range(3):
        when = given(*happened).when(set_alias(2, "champion", expected=expected))
        if expected != points_at:
            when.refused(AliasMoved, model="churn", alias="champion", number=points_at)
        else:
            taken = (alias_deleted(points_at, "champion"),) if points_at else ()
            when.then(*taken, alias_set(2, "champion", previous=points_at))


def test_an_expectation_counts_also_where_nothing_would_change() -> None:
    """An alias that is already where it should go is refused all the same when it was expected elsewhere."""
    given(*SET).when(set_alias(1, "champion", expected=2)).refused(AliasMoved, number=1)


def test_an_alias_is_deleted() -> None:
    """The alias then points nowhere, and may be set anew."""
    project = given(*SET).when(delete_alias("champion", reason="old")).then(alias_deleted(1, "champion", reason="old"))
    project.when(ensure("@champion")).refused(AliasNotFound, model="churn", alias="champion")
    project.when(set_alias(2, "champion", expected=0)).then(alias_set(2, "champion"))


def test_an_alias_is_deleted_only_where_it_is_expected() -> None:
    """With another expected number than that of its version an alias stays."""
    given(*SET).when(delete_alias("champion", expected=2)).refused(AliasMoved, alias="champion", number=1)
    given(*SET).when(delete_alias("champion", expected=1)).then(alias_deleted(1, "champion"))


def test_an_alias_that_is_not_there_is_not_deleted() -> None:
    """The refusal says that the model has no such alias, whatever was expected."""
    given(*TWO).when(delete_alias("champion")).refused(AliasNotFound, model="churn", alias="champion")
    given(*TWO).when(delete_alias("champion", expected=0)).refused(AliasNotFound, alias="champion")


def test_a_deleted_version_leaves_its_aliases() -> None:
    """The aliases of a version that was deleted are free, and it is given no other."""
    project = given(*SET, alias_deleted(1, "champion"), version_deleted(1))
    project.when(set_alias(2, "champion", expected=0)).then(alias_set(2, "champion"))
    project.when(set_alias(1, "canary")).refused(VersionDeleted, number=1)


@pytest.mark.parametrize(
    ("happened", "version", "error", "data"),
    [
        ((), 1, ModelNotFound, {"model": "churn"}),
        ((*SET, model_deleted()), 1, ModelDeleted, {"model": "churn"}),
        (SET, 3, VersionNotFound, {"version": "3"}),
        (SET, "@canary", AliasNotFound, {"alias": "canary"}),
    ],
)
def test_what_is_not_there_gets_no_alias(
    happened: tuple[Happened, ...], version: int | str, error: Any, data: dict[str, str]
) -> None:
    """A version that is missing is refused with the error that says so, and no alias is moved."""
    given(*happened).when(set_alias(version, "champion")).refused(error, **data)
