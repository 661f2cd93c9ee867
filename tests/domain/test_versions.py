"""Which number a version gets."""

from __future__ import annotations

import pytest
from domain.fixtures import NOW, given
from domain.events import (
    model_created,
    model_deleted,
    model_purged,
    model_renamed,
    run_started,
    version_created,
    version_deleted,
    version_made,
    version_purged,
)
from domain.history import SECOND
from domain.commands import create_model, create_version, create_versions, ensure

from tallymark_server.domain.decisions import AnyCommand
from tallymark_server.domain.errors import (
    ModelDeleted,
    ModelExists,
    ModelNotFound,
    RegistryError,
    StageEmpty,
    VersionNameTaken,
    VersionNotFound,
)


def test_a_model_begins_without_versions() -> None:
    """A new model has no version, and its first version has number 1."""
    begun = given().when(create_model()).then(model_created())
    begun.when(create_version()).then(version_created(1))


def test_a_model_is_created_once() -> None:
    """The name of a model that is there, or deleted, is refused for another model."""
    given(model_created()).when(create_model()).refused(ModelExists, model="churn")
    given(model_created(), model_deleted()).when(create_model()).refused(ModelExists, model="churn")


def test_numbers_have_no_gaps() -> None:
    """Each version gets the number after the last one, whether it has a name or not."""
    project = given(model_created())
    for number, name in enumerate([None, "a", None, "b"], 1):
        project = project.when(create_version(name)).then(version_created(number, name))


def test_each_model_counts_for_itself() -> None:
    """Versions of one model take no numbers of another."""
    project = given(model_created(), model_created("fraud"), version_created(1), version_created(2))
    project.when(create_version(model="fraud")).then(version_created(1, model="fraud"))


def test_a_batch_gets_successive_numbers() -> None:
    """The versions of a batch are numbered in their order, from the number after the last one."""
    project = given(model_created(), version_created(1))
    numbered = project.when(create_versions(None, "a", None))
    numbered.then(version_created(2), version_created(3, "a"), version_created(4))
    assert [version.number for version in numbered.answer] == [2, 3, 4]


@pytest.mark.parametrize(("names", "number"), [((None, "b", "a"), 1), (("b", None, "b"), 2), (("b", "b", "a"), 2)])
def test_a_batch_is_created_whole_or_not_at_all(names: tuple[str | None, ...], number: int) -> None:
    """A name that is taken, by a version or earlier in the batch, refuses the batch, and no number is used up."""
    project = given(model_created(), version_created(1, "a"))
    project.when(create_versions(*names)).refused(VersionNameTaken, number=number)
    project.when(create_version("b")).then(version_created(2, "b"))


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (create_version("a"), VersionNameTaken),
        (create_model(), ModelExists),
        (ensure("7"), VersionNotFound),
        (ensure("production"), StageEmpty),
    ],
)
def test_a_refused_request_uses_up_no_number(command: AnyCommand, error: type[RegistryError]) -> None:
    """The next version gets the number after the last one that was created, whatever was refused in between."""
    project = given(model_created(), version_created(1, "a"))
    project.when(command).refused(error)
    project.when(create_version()).then(version_created(2))


def test_the_number_of_a_deleted_version_stays_given() -> None:
    """The number of a version that is deleted, or purged, is never given again, not even the highest."""
    deleted = given(model_created(), version_created(1), version_deleted(1))
    deleted.when(create_version()).then(version_created(2))
    deleted.and_then(version_purged(1)).when(create_version()).then(version_created(2))


def test_a_model_recreated_goes_on_in_its_line() -> None:
    """Under the name of a purged model a new one begins, which keeps its id and never gives its numbers again."""
    purged = given(model_created(), version_created(1), version_created(2), model_deleted(), model_purged())
    again = purged.when(create_model())
    recreated = again.then(model_created())
    assert (again.answer.id, again.answer.last_number) == (1, 2)
    recreated.when(create_version()).then(version_created(3))
    purged.when(ensure()).then(model_created(), version_created(3))


def test_a_version_counted_before_the_purge_is_no_version_of_the_new_model() -> None:
    """The numbers that a purged model gave mean nothing in the model that goes on in its line."""
    again = given(model_created(), version_created(1), model_deleted(), model_purged(), model_created())
    again.when(ensure("1")).refused(VersionNotFound, version="1")
    again.when(ensure("latest")).refused(VersionNotFound, version="latest")


def test_the_line_goes_with_the_name() -> None:
    """A renamed model goes on in its line; a new model under its old name begins a line and an id of its own."""
    project = given(model_created(), version_created(1), model_renamed("churn", "fraud"))
    project.when(create_version(model="fraud")).then(version_created(2, model="fraud"))
    again = project.when(create_model())
    again.then(model_created()).when(create_version()).then(version_created(1))
    assert again.answer.id == 2


def test_a_version_needs_a_model() -> None:
    """No version is created in a model that is missing, purged, renamed or deleted, and the refusal says which."""
    given().when(create_version()).refused(ModelNotFound, model="churn")
    deleted = given(model_created(), model_deleted())
    deleted.when(create_version()).refused(ModelDeleted, model="churn")
    deleted.and_then(model_purged()).when(create_version()).refused(ModelNotFound, model="churn")
    renamed = given(model_created(), model_renamed("churn", "fraud"))
    renamed.when(create_version()).refused(ModelNotFound, model="churn", renamed_to="fraud")


def test_runs_take_numbers_from_the_same_line() -> None:
    """Versions that runs make and versions that people create are numbered together."""
    project = given(model_created(), run_started(), version_created(1), version_made(2))
    project.when(create_version()).then(version_created(3))


def test_the_time_of_the_log_never_runs_backwards() -> None:
    """What is created while the machine's clock is behind has the time of the event before it."""
    project = given(model_created()).when(create_version()).then(version_created(1))
    late = project.when(create_version(), now=NOW - SECOND)
    late.then(version_created(2))
    assert late.answer[0].create_time == NOW
