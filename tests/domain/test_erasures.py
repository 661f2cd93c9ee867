"""Whether content is erased, and what the log says of it afterwards. What becomes of each event: test_erasing."""

from __future__ import annotations

from typing import Any

import pytest
from domain.fixtures import Given, given
from domain.events import (
    erased,
    metadata_logged,
    model_created,
    model_deleted,
    model_purged,
    model_renamed,
    run_started,
    step_started,
    version_created,
    version_deleted,
    version_purged,
)
from domain.commands import erase, meant
from msgspec.structs import replace

from tallymark_server.domain.errors import (
    AliasNotFound,
    ModelNotFound,
    NothingToErase,
    ProjectNotFound,
    RunNotFound,
    VersionNotFound,
)

FACTS: dict[str, Any] = {"ssn": "1", "auc": 0.9}
VERSION = (model_created(license="MIT"), version_created(1, "a", metadata=FACTS), version_created(2, metadata=FACTS))
OF_ONE: dict[str, Any] = {"model": "churn", "reference": meant(1)}
ONE: dict[str, Any] = {"model_id": 1, "model": "churn", "number": 1}


def test_an_erasure_says_what_it_was_and_never_the_key() -> None:
    """The event names the version, the paths without their keys, from how many events, why and by whom."""
    project = given(*VERSION, metadata_logged(1, {**FACTS, "rows": 1.0}))
    project.when(erase("metadata.ssn", "metadata.auc", **OF_ONE)).then(
        erased("metadata.*", contents=2, reason="law", **ONE)
    )


def test_only_what_is_named_is_erased() -> None:
    """Events of other versions, and those of the model itself, are none of the version's."""
    given(*VERSION).when(erase("metadata.ssn", **OF_ONE)).then(erased("metadata.*", contents=1, reason="law", **ONE))
    of_model: dict[str, Any] = {"model_id": 1, "model": "churn"}
    given(*VERSION).when(erase("license", model="churn")).then(erased("license", contents=1, reason="law", **of_model))


@pytest.mark.parametrize(
    ("paths", "place"), [(("metadata.name",), 0), (("metadata.ssn", "description"), 1), (("metadata.SSN",), 0)]
)
def test_a_path_that_leads_to_nothing_erases_nothing(paths: tuple[str, ...], place: int) -> None:
    """One such path refuses the whole request, and the refusal says which it is without repeating it."""
    refused = given(*VERSION).when(erase(*paths, **OF_ONE))
    refused.refused(NothingToErase, path=place)
    assert paths[place] not in str(refused.result)


def test_a_run_is_erased_with_its_steps() -> None:
    """Parameters of the run and of its steps go together; those of another run stay."""
    parameters = {"token": "s3cret"}
    project = given(
        run_started(parameters=parameters), step_started(parameters=parameters),
        run_started("other", parameters=parameters), step_started(run="other", parameters=parameters),
    )  # fmt: skip
    project.when(erase("parameters.token", run="train")).then(
        erased("parameters.*", contents=2, reason="law", run="train")
    )


def test_an_actor_is_erased_from_the_whole_project() -> None:
    """Whoever erases itself is not named by the event that says so, and whoever erases another is."""
    project = given(*VERSION)
    project.when(erase("actors.ana")).then(erased("actors.*", contents=3, reason="law"))
    project.when(replace(erase("actors.ana"), actor="ana")).then(
        erased("actors.*", contents=3, reason="law", actor="erased-4")
    )
    project.when(erase("actors.eve")).refused(NothingToErase, path=0)


GONE: dict[str, tuple[Given, dict[str, Any]]] = {
    "a deleted version": (given(*VERSION, version_deleted(1)), {"contents": 2}),
    "a purged version": (given(*VERSION, version_deleted(1), version_purged(1)), {"contents": 3}),
    "a version of a deleted model": (given(*VERSION, model_deleted()), {"contents": 1}),
    "a version of a purged model": (given(*VERSION, model_deleted(), model_purged()), {"contents": 1}),
    "a version from before a model began anew": (
        given(*VERSION, model_deleted(), model_purged(), model_created()), {"contents": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GONE)
def test_what_is_gone_is_erased_all_the_same(case: str) -> None:
    """The log keeps the events of what was deleted and purged, and so they can be erased."""
    project, found = GONE[case]
    project.when(erase("metadata.ssn", **OF_ONE)).then(erased("metadata.*", reason="law", **found, **ONE))


@pytest.mark.parametrize(
    ("of", "error", "data"),
    [
        ({"run": "train"}, RunNotFound, {"run": "train"}),
        ({"model": "risk"}, ModelNotFound, {"model": "risk"}),
        ({"model": "loans"}, ModelNotFound, {"model": "loans", "renamed_to": "credit"}),
        ({"model": "churn", "reference": meant(3)}, VersionNotFound, {"version": "3"}),
        ({"model": "churn", "reference": meant("=b")}, VersionNotFound, {"version": "=b"}),
        ({"model": "churn", "reference": meant("@champion")}, AliasNotFound, {"alias": "champion"}),
    ],
)
def test_nothing_is_erased_of_what_never_was(of: dict[str, Any], error: Any, data: dict[str, str]) -> None:
    """The refusal is the one of every request for a thing that is missing."""
    project = given(*VERSION, model_created("loans"), model_renamed("loans", "credit"))
    project.when(erase("metadata.ssn", **of)).refused(error, **data)
    given(exists=False).when(erase("metadata.ssn", **of)).refused(ProjectNotFound, project="default")


def test_a_repeated_erasure_erases_nothing_more() -> None:
    """The same request is answered with the erasure that it was."""
    command = erase("metadata.ssn", **OF_ONE, request_id="one", fingerprint=b"1")
    first = given(*VERSION).when(command)
    again = first.then(erased("metadata.*", contents=1, reason="law", **ONE)).when(command)
    again.then()
    assert again.answer == first.answer
