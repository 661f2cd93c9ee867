"""How artifacts are linked to versions and unlinked."""

from __future__ import annotations

from typing import Any

import pytest
from domain.fixtures import given
from domain.events import (
    Happened,
    artifact_linked,
    artifact_unlinked,
    model_created,
    model_deleted,
    run_started,
    version_created,
    version_deleted,
    version_purged,
)
from domain.commands import link, unlink

from tallymark_server.domain.capacity import MAX_LINKS
from tallymark_server.domain.errors import (
    AliasNotFound,
    ArtifactNotFound,
    LimitReached,
    ModelDeleted,
    ModelNotFound,
    RunNotFound,
    VersionDeleted,
    VersionNotFound,
)
from tallymark_server.domain.model import ArtifactRole, ArtifactType

VERSION = (model_created(), version_created(1), version_created(2))
LINKED = (*VERSION, artifact_linked(1, "weights", 1, "s3://a"))
TWICE = (*LINKED, artifact_linked(1, "weights", 2, "s3://b"))


def test_an_artifact_is_linked() -> None:
    """The link is kept as it is described, with the run and the step that made it."""
    fields: dict[str, Any] = {"digest": "sha256:1", "size": 5, "format": "onnx", "run": "train", "step": "fit"}
    project = given(*VERSION, run_started()).when(link(1, "weights", "s3://a", type=ArtifactType.DATA, **fields))
    project.then(artifact_linked(1, "weights", 1, "s3://a", type=ArtifactType.DATA, **fields))


def test_a_link_that_says_the_same_is_made_once() -> None:
    """With the same uri, digest and role, the link that is there is answered, whatever else is said of it."""
    again = given(*TWICE).when(link(1, "weights", "s3://a", type=ArtifactType.DATA, size=7, format="onnx", step="fit"))
    again.then()
    assert again.answer.ordinal == 1


@pytest.mark.parametrize(
    "said", [{"uri": "s3://c"}, {"digest": "sha256:1"}, {"role": ArtifactRole.USED}], ids=["uri", "digest", "role"]
)
def test_a_link_that_says_something_else_is_another_one(said: dict[str, Any]) -> None:
    """Another uri, digest or role makes one more link of the same name, with the next ordinal."""
    project = given(*LINKED).when(link(1, "weights", **{"uri": "s3://a", **said}))
    project.then(artifact_linked(1, "weights", 2, **{"uri": "s3://a", **said}))


def test_links_of_another_name_or_version_count_for_themselves() -> None:
    """The same thing may be linked under another name, and to another version."""
    given(*LINKED).when(link(1, "model", "s3://a")).then(artifact_linked(1, "model", 1, "s3://a"))
    given(*LINKED).when(link(2, "weights", "s3://a")).then(artifact_linked(2, "weights", 1, "s3://a"))


def test_an_artifact_is_unlinked() -> None:
    """Without an ordinal it is the newest that is left; with one, that one. The event has the link as it was."""
    newest = (
        given(*TWICE).when(unlink(1, "weights", reason="old")).then(artifact_unlinked(1, "weights", 2, reason="old"))
    )
    newest.when(unlink(1, "weights")).then(artifact_unlinked(1, "weights", 1))
    given(*TWICE).when(unlink(1, "weights", 1)).then(artifact_unlinked(1, "weights", 1))


def test_an_unlinked_artifact_is_not_found() -> None:
    """What is unlinked already, or was never linked, is not found, and the refusal says which was meant."""
    gone = given(*LINKED, artifact_unlinked(1, "weights", 1))
    gone.when(unlink(1, "weights")).refused(ArtifactNotFound, number=1, artifact="weights")
    gone.when(unlink(1, "weights", 1)).refused(ArtifactNotFound, artifact="weights@1")
    given(*LINKED).when(unlink(1, "weights", 2)).refused(ArtifactNotFound, artifact="weights@2")
    given(*LINKED).when(unlink(1, "model")).refused(ArtifactNotFound, artifact="model")
    given(*LINKED).when(unlink(2, "weights")).refused(ArtifactNotFound, number=2)


def test_an_ordinal_is_never_given_again() -> None:
    """What is linked again after it was unlinked is a new link."""
    project = given(*LINKED, artifact_unlinked(1, "weights", 1))
    project.when(link(1, "weights", "s3://a")).then(artifact_linked(1, "weights", 2, "s3://a"))


def test_a_name_has_so_many_links_to_a_version() -> None:
    """One more is refused; what is there already is still answered, and another name has room."""
    project = given(*VERSION, *(artifact_linked(1, "weights", n, f"s3://{n}") for n in range(1, MAX_LINKS + 1)))
    project.when(link(1, "weights", "s3://more")).refused(LimitReached, field="artifact_id", limit=MAX_LINKS)
    project.when(link(1, "weights", "s3://5")).then()
    project.when(link(1, "model", "s3://more")).then(artifact_linked(1, "model", 1, "s3://more"))


def test_a_link_of_a_run_needs_the_run() -> None:
    """What a run that is missing should have made is not linked."""
    given(*VERSION).when(link(1, "weights", "s3://a", run="train")).refused(RunNotFound, run="train")


@pytest.mark.parametrize(
    ("happened", "version", "error", "data"),
    [
        ((), 1, ModelNotFound, {"model": "churn"}),
        ((*LINKED, model_deleted()), 1, ModelDeleted, {"model": "churn"}),
        (LINKED, 3, VersionNotFound, {"version": "3"}),
        (LINKED, "@champion", AliasNotFound, {"alias": "champion"}),
        ((*LINKED, version_deleted(1)), 1, VersionDeleted, {"number": "1"}),
        ((*LINKED, version_deleted(1), version_purged(1)), 1, VersionNotFound, {"version": "1"}),
    ],
)
def test_nothing_is_linked_to_what_is_not_there(
    happened: tuple[Happened, ...], version: int | str, error: Any, data: dict[str, str]
) -> None:
    """To a version that is missing or deleted nothing is linked, and from it nothing is unlinked."""
    given(*happened).when(link(version, "weights", "s3://a")).refused(error, **data)
    given(*happened).when(unlink(version, "weights")).refused(error, **data)
