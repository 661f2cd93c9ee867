"""Which version has an explicit name."""

from __future__ import annotations

import pytest
from domain.fixtures import given
from domain.events import (
    model_created,
    run_started,
    version_created,
    version_deleted,
    version_made,
    version_purged,
    version_renamed,
    version_updated,
)
from domain.commands import create_version, ensure, set_alias, update_version

from tallymark_server.domain.errors import EtagMismatch, VersionDeleted, VersionNameTaken, VersionNotFound


def test_a_name_is_that_of_one_version() -> None:
    """A name that a version of the model has is refused for another, and the refusal says which has it."""
    project = given(model_created(), version_created(1), version_created(2, "a"))
    project.when(create_version("a")).refused(VersionNameTaken, model="churn", version="a", number=2)
    project.when(update_version(1, name="a")).refused(VersionNameTaken, model="churn", version="a", number=2)


def test_a_name_is_taken_in_its_model_only() -> None:
    """Two models may each have a version of the same name."""
    project = given(model_created(), model_created("fraud"), version_created(1, "a"))
    project.when(create_version("a", model="fraud")).then(version_created(1, "a", model="fraud"))


def test_names_are_matched_whole() -> None:
    """A name is neither its beginning nor itself in another letter case."""
    project = given(model_created(), version_created(1, "release-1"))
    for number, name in enumerate(["release", "release-10", "Release-1"], 2):
        project = project.when(create_version(name)).then(version_created(number, name))
    project.when(ensure("=rel")).then(version_created(5, "rel"))


def test_a_version_is_renamed() -> None:
    """A version gets a name, another name, or none, and the event says what it was called before."""
    project = given(model_created(), version_created(1))
    named = project.when(update_version(1, name="a")).then(version_renamed(1, "a", previous="1"))
    renamed = named.when(update_version("=a", name="b")).then(version_renamed(1, "b", previous="a"))
    renamed.when(update_version("=b", name=None)).then(version_renamed(1, None, previous="b"))


def test_a_name_that_is_left_is_free() -> None:
    """The name that a version had before may be taken by another, and no longer means the first."""
    project = given(model_created(), version_created(1, "a"), version_renamed(1, "b", previous="a"))
    project.when(set_alias("=a", "champion")).refused(VersionNotFound, version="=a")
    project.when(create_version("a")).then(version_created(2, "a"))


def test_a_version_keeps_its_own_name() -> None:
    """A version is renamed to what it is called already without any event."""
    given(model_created(), version_created(1, "a")).when(update_version(1, name="a")).then()


def test_a_rename_tells_what_else_changed() -> None:
    """A name that changes together with other fields is one event with all of them."""
    project = given(model_created(), version_created(1))
    command = update_version(1, name="a", description="good", tags=("x",))
    project.when(command).then(version_renamed(1, "a", previous="1", description="good", tags=("x",)))


def test_a_refused_rename_changes_no_other_field() -> None:
    """With a name that is taken, the description stays as it was, too."""
    project = given(model_created(), version_created(1), version_created(2, "a"))
    project.when(update_version(1, name="a", description="good")).refused(VersionNameTaken, number=2)


def test_only_what_is_different_is_changed() -> None:
    """Fields that are as requested already make no event, alone or beside one that changes."""
    project = given(model_created(), version_created(1, description="good"))
    project.when(update_version(1, description="good")).then()
    project.when(update_version(1, description="good", tags=("x",))).then(version_updated(1, tags=("x",)))


@pytest.mark.parametrize("purged", [False, True])
def test_the_name_of_a_deleted_version_stays_taken(purged: bool) -> None:
    """The name of a version that is deleted, or purged, is never given to another."""
    project = given(model_created(), version_created(1, "a"), version_deleted(1), version_created(2))
    project = project.and_then(version_purged(1)) if purged else project
    project.when(create_version("a")).refused(VersionNameTaken, number=1)
    project.when(update_version(2, name="a")).refused(VersionNameTaken, number=1)
    if purged:
        project.when(ensure("a")).refused(VersionNotFound, version="=a")
    else:
        project.when(ensure("a")).refused(VersionDeleted, number=1)


def test_a_version_is_renamed_only_as_it_was_read() -> None:
    """With the etag of an older state the version keeps its name; with that of its state it gets the new one."""
    project = given(model_created(), version_created(1), version_updated(1, description="good"))
    project.when(update_version(1, name="a", etag="r2")).refused(EtagMismatch, number=1, etag="r3")
    project.when(update_version(1, name="a", etag="r3")).then(version_renamed(1, "a", previous="1"))


def test_a_run_makes_versions_by_name() -> None:
    """A version that a run makes by name is not the run's automatic one, and has its name like any other."""
    project = given(model_created(), run_started())
    project = project.when(ensure("a", run="train")).then(version_made(1, "a"))
    project.when(ensure(run="train")).then(version_made(2))
    project.when(create_version("a")).refused(VersionNameTaken, number=1)
