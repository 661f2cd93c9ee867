"""How models and versions are changed, deleted, brought back and purged."""

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
    model_purged,
    model_renamed,
    model_undeleted,
    model_updated,
    run_started,
    stage_changed,
    version_created,
    version_deleted,
    version_made,
    version_purged,
    version_undeleted,
    version_updated,
)
from domain.commands import (
    create_model,
    create_version,
    delete_model,
    delete_version,
    ensure,
    log_metadata,
    purge_model,
    purge_version,
    rename_model,
    set_stage,
    undelete_model,
    undelete_version,
    update_model,
    update_version,
)

from tallymark_server.domain.errors import (
    EtagMismatch,
    ModelDeleted,
    ModelExists,
    ModelNotDeleted,
    ModelNotFound,
    RegistryError,
    VersionDeleted,
    VersionInUse,
    VersionNotDeleted,
    VersionNotFound,
)
from tallymark_server.domain.model import Holders, ModelCard, RunState, Stage

NONE, STAGING, PRODUCTION, ARCHIVED = Stage.NONE, Stage.STAGING, Stage.PRODUCTION, Stage.ARCHIVED
TWO = (model_created(), version_created(1), version_created(2))


# Models.


def test_a_model_is_created_with_its_card() -> None:
    """What people write about a model is there from its first event on."""
    card: dict[str, Any] = {"description": "who leaves", "license": "MIT", "tags": ("telco",)}
    given().when(create_model(card=ModelCard(**card))).then(model_created(**card))


def test_a_card_is_changed_by_its_fields() -> None:
    """The fields that are given change, and the others stay."""
    project = given(model_created(description="who leaves", license="MIT"))
    project = project.when(update_model(license="Apache-2.0")).then(model_updated(license="Apache-2.0"))
    project.when(update_model(license="Apache-2.0", description="who leaves")).then()


@pytest.mark.parametrize(
    ("command", "happens"),
    [
        (lambda etag: update_model(description="x", etag=etag), model_updated(description="x")),
        (lambda etag: rename_model("churn", "fraud", etag=etag), model_renamed("churn", "fraud")),
        (lambda etag: delete_model(etag=etag), model_deleted()),
    ],
    ids=["update", "rename", "delete"],
)
def test_a_model_changes_only_as_it_was_read(command: Any, happens: Happened) -> None:
    """With the etag of an older state a model stays as it is; with that of its state it changes."""
    project = given(model_created(), model_updated(license="MIT"))
    project.when(command("r1")).refused(EtagMismatch, model="churn", etag="r2")
    project.when(command("r2")).then(happens)


def test_a_model_is_renamed_with_all_that_it_has() -> None:
    """Versions, names, stages and aliases are found under the new name."""
    had = (version_created(1, "a"), stage_changed(1, NONE, PRODUCTION), alias_set(1, "champion"))
    renamed = given(model_created(), *had).when(rename_model("churn", "fraud"))
    assert renamed.answer.holders == Holders(latest=1, production=1, aliases={"champion": 1})
    project = renamed.then(model_renamed("churn", "fraud"))
    for version in ("1", "=a", "latest", "production", "@champion"):
        assert project.when(ensure(version, model="fraud")).answer.version.number == 1


def test_a_renamed_model_says_what_it_is_called() -> None:
    """The old name is refused with the present name, until another model has the old name."""
    project = given(*TWO, model_renamed("churn", "fraud"), model_renamed("fraud", "risk"))
    for old in ("churn", "fraud"):
        project.when(create_version(model=old)).refused(ModelNotFound, model=old, renamed_to="risk")
    project.when(create_model()).then(model_created()).when(create_version()).then(version_created(1))


def test_a_model_takes_no_name_of_another() -> None:
    """The name of a model that is there, deleted or purged is refused; its own name changes nothing."""
    for gone in ((), (model_deleted("fraud"),), (model_deleted("fraud"), model_purged("fraud"))):
        project = given(model_created(), model_created("fraud"), *gone)
        project.when(rename_model("churn", "fraud")).refused(ModelExists, model="fraud")
    given(model_created()).when(rename_model("churn", "churn")).then()


def test_a_model_takes_its_old_name_back() -> None:
    """A model may be renamed to what it was called before."""
    project = given(model_created(), model_renamed("churn", "fraud"))
    project.when(rename_model("fraud", "churn")).then(model_renamed("fraud", "churn"))


def test_a_model_is_deleted_and_undeleted() -> None:
    """It comes back with everything that it had, for the reasons that were given."""
    had = (*TWO, stage_changed(1, NONE, STAGING), alias_set(1, "champion"))
    deleted = given(*had).when(delete_model(reason="old")).then(model_deleted(reason="old"))
    back = deleted.when(undelete_model(reason="needed")).then(model_undeleted(reason="needed"))
    for version in ("staging", "@champion"):
        assert back.when(ensure(version)).answer.version.number == 1
    back.when(create_version()).then(version_created(3))


@pytest.mark.parametrize(
    "command",
    [
        update_model(description="x"),
        rename_model("churn", "fraud"),
        delete_model(force=True),
        create_version(),
        update_version(1, description="x"),
        delete_version(1),
        undelete_version(2),
        purge_version(2),
        set_stage(1, STAGING),
        log_metadata(1, {"auc": 0.9}),
        ensure("1"),
        ensure(),
        ensure("new"),
    ],
)
def test_nothing_in_a_deleted_model_changes(command: Any) -> None:
    """Whatever is requested of a deleted model or of a version of it is refused until the model is undeleted."""
    given(*TWO, version_deleted(2), model_deleted()).when(command).refused(ModelDeleted, model="churn")


def test_a_model_in_production_is_deleted_only_by_force() -> None:
    """The refusal names the version in production; a version in staging keeps no model."""
    project = given(*TWO, stage_changed(2, NONE, PRODUCTION))
    project.when(delete_model()).refused(VersionInUse, model="churn", number=2)
    project.when(delete_model(force=True)).then(model_deleted())
    given(*TWO, stage_changed(2, NONE, STAGING)).when(delete_model()).then(model_deleted())


@pytest.mark.parametrize("command", [undelete_model(), purge_model()])
def test_only_a_deleted_model_is_undeleted_or_purged(command: Any) -> None:
    """A model that is not deleted stays, and one that is missing or purged is not found."""
    given(model_created()).when(command).refused(ModelNotDeleted, model="churn")
    given().when(command).refused(ModelNotFound, model="churn")
    given(model_created(), model_deleted(), model_purged()).when(command).refused(ModelNotFound, model="churn")


def test_a_model_is_purged() -> None:
    """Afterwards neither the model nor any of its versions is found, and nothing holds its places."""
    purged = given(*TWO, stage_changed(1, NONE, STAGING), model_deleted()).when(purge_model(reason="law"))
    assert purged.answer.holders == Holders()
    project = purged.then(model_purged(reason="law"))
    for command in (ensure("1"), ensure("staging"), update_model(description="x"), delete_model(), create_version()):
        project.when(command).refused(ModelNotFound, model="churn")


def test_a_recreated_model_begins_empty() -> None:
    """Under the name of a purged model nothing of it is left but the count: no name, stage, alias or card."""
    had = (version_created(1, "a"), stage_changed(1, NONE, PRODUCTION), alias_set(1, "champion"))
    project = given(model_created(license="MIT"), *had, model_deleted(), model_purged())
    again = project.when(create_model())
    assert (again.answer.card, again.answer.holders) == (ModelCard(), Holders())
    project = again.then(model_created())
    project.when(create_version("a")).then(version_created(2, "a"))
    for version in ("1", "production", "@champion"):
        assert isinstance(project.when(ensure(version)).result, RegistryError)


# Versions.


def test_a_version_is_described() -> None:
    """Description and tags are written over those before; the event has the version as it is then."""
    described = given(*TWO).when(update_version(1, description="good", tags=("x",)))
    project = described.then(version_updated(1, description="good", tags=("x",)))
    project.when(update_version(1, tags=())).then(version_updated(1, tags=()))


def test_a_version_is_deleted_and_undeleted() -> None:
    """It comes back with its number, name and metadata, for the reasons that were given."""
    version = version_created(1, "a", description="good", metadata={"auc": 0.9})
    deleted = (
        given(model_created(), version).when(delete_version(1, reason="bad")).then(version_deleted(1, reason="bad"))
    )
    back = deleted.when(undelete_version(1, reason="good")).then(version_undeleted(1, reason="good"))
    found = back.when(ensure("a")).answer.version
    assert (found.number, found.metadata) == (1, {"auc": 0.9})


def test_a_deleted_version_leaves_its_places() -> None:
    """It loses its aliases in their order and is archived out of staging, each in an event with the same reason, and
    has none of them again when it is undeleted."""
    project = given(*TWO, alias_set(1, "b"), alias_set(1, "a"), stage_changed(1, NONE, STAGING))
    project = project.when(delete_version(1, reason="bad")).then(
        alias_deleted(1, "a", reason="bad"),
        alias_deleted(1, "b", reason="bad"),
        stage_changed(1, STAGING, ARCHIVED, reason="bad"),
        version_deleted(1, reason="bad"),
    )
    back = project.when(undelete_version(1))
    back.then(version_undeleted(1))
    assert (back.answer.stage, back.answer.aliases) == (ARCHIVED, ())


def test_a_version_in_production_is_deleted_only_by_force() -> None:
    """The refusal names it; with force it leaves production for the archive first."""
    project = given(*TWO, stage_changed(1, NONE, PRODUCTION))
    project.when(delete_version(1)).refused(VersionInUse, model="churn", number=1)
    project.when(delete_version(1, force=True)).then(stage_changed(1, PRODUCTION, ARCHIVED), version_deleted(1))


def test_a_version_changes_only_as_it_was_read() -> None:
    """With the etag of an older state a version is neither described nor deleted; with that of its state it is."""
    project = given(model_created(), version_created(1), version_updated(1, description="good"))
    project.when(update_version(1, description="x", etag="r2")).refused(EtagMismatch, number=1, etag="r3")
    project.when(update_version(1, description="x", etag="r3")).then(version_updated(1, description="x"))
    project.when(delete_version(1, etag="r2")).refused(EtagMismatch, number=1, etag="r3")
    project.when(delete_version(1, etag="r3")).then(version_deleted(1))


@pytest.mark.parametrize(
    "command",
    [update_version(1, description="x"), delete_version(1), set_stage(1, STAGING), log_metadata(1, {"auc": 0.9})],
)
def test_a_deleted_version_does_not_change(command: Any) -> None:
    """Whatever is requested of a deleted version is refused until it is undeleted; once purged, it is not found."""
    project = given(*TWO, version_deleted(1))
    project.when(command).refused(VersionDeleted, model="churn", number=1)
    project.and_then(version_purged(1)).when(command).refused(VersionNotFound, version="1")


@pytest.mark.parametrize("command", [undelete_version(1), purge_version(1)])
def test_only_a_deleted_version_is_undeleted_or_purged(command: Any) -> None:
    """A version that is not deleted stays, and one that is missing or purged is not found."""
    given(*TWO).when(command).refused(VersionNotDeleted, model="churn", number=1)
    given(model_created()).when(command).refused(VersionNotFound, version="1")
    given(*TWO, version_deleted(1), version_purged(1)).when(command).refused(VersionNotFound, version="1")


def test_a_version_is_purged() -> None:
    """Afterwards it is not found by number or name, and cannot be brought back."""
    project = given(model_created(), version_created(1, "a"), version_deleted(1))
    project = project.when(purge_version("=a", reason="law")).then(version_purged(1, reason="law"))
    for version in ("1", "a"):
        assert isinstance(project.when(ensure(version)).result, VersionNotFound)


def test_the_history_is_kept() -> None:
    """What is deleted or purged takes no event away: each is one more, after all that went before."""
    before = given(*TWO, version_deleted(1), version_deleted(2), version_purged(2))
    after = before.when(purge_version(1)).then(version_purged(1)).when(delete_model()).then(model_deleted())
    after = after.when(purge_model()).then(model_purged())
    assert after.history.events[: before.history.revision] == before.history.events
    assert [event.revision for event in after.history.events] == list(range(1, 10))


def test_a_run_gets_another_version_for_one_that_was_deleted() -> None:
    """A deleted version is no longer its run's automatic one, not even when it is undeleted."""
    project = given(model_created(), run_started(), version_made(1)).when(delete_version(1)).then(version_deleted(1))
    again = project.when(undelete_version(1)).then(version_undeleted(1))
    for then in (project, again):
        then.when(ensure(run="train")).then(version_made(2, run_state=RunState.RUNNING))
