"""For how long answers without effect are remembered, and that what they say can be given again."""

from __future__ import annotations

from msgspec.structs import replace
from typing import Any

import pytest
from storage.conftest import Open
from storage.commands import ATTEMPT, create_model, create_versions, write

from tallymark_server.domain import commands as c
from tallymark_server.domain.errors import (
    ModelExists,
    ModelNotFound,
    Overloaded,
    ProjectNotFound,
    RegistryError,
    remembered,
)
from tallymark_server.domain.model import Model, Stage
from tallymark_server.domain.reference import numbered
from tallymark_server.domain.state import REMEMBERED_AT_LEAST, REMEMBERED_AT_MOST
from tallymark_server.storage.contract import Storage
from tallymark_server.storage.sql.receipts import MANY_ANSWERS

BEGIN = 1_000_000_000


def asked(request_id: str, **attempt: Any) -> c.CreateVersions:
    return create_versions(None, request_id=request_id, fingerprint=b"1", **attempt)


async def test_a_refusal_is_remembered_for_a_day(storage: Storage) -> None:
    """Until then the refusal is returned whatever has changed; afterwards the request is decided anew, and kept."""
    (first,) = await write(storage, asked("one"), now=BEGIN)
    assert isinstance(first, ModelNotFound)
    await write(storage, create_model(), now=BEGIN)
    (again,) = await write(storage, asked("one"), now=BEGIN + REMEMBERED_AT_MOST)
    assert isinstance(again, ModelNotFound)
    assert (str(again), again.metadata) == (str(first), first.metadata)
    later = BEGIN + REMEMBERED_AT_MOST + 1
    made = await write(storage, asked("one"), now=later)
    assert not isinstance(made[0], RegistryError)
    assert await write(storage, asked("one"), now=2 * later) == made


async def test_what_changed_nothing_is_remembered_as_it_was(open_storage: Open) -> None:
    """Also in another process: the version is given as it was when it was answered, and nothing happens."""
    promote = c.SetStage(**ATTEMPT, model="churn", reference=numbered(1), stage=Stage.PRODUCTION)
    again = replace(promote, request_id="one", fingerprint=b"1")
    async with open_storage() as storage:
        await write(storage, create_model(), create_versions(None), create_versions(None), promote)
        (first,) = await write(storage, again)
        await write(storage, replace(promote, reference=numbered(2), force=True))
        head = await storage.head("default")
    async with open_storage() as storage:
        assert await write(storage, again) == [first]
        assert await storage.head("default") == head


async def test_what_changed_nothing_tells_nothing_of_what_came_after_it(open_storage: Open) -> None:
    """A model is given as it was when the request had its turn, although others of the same batch changed it then."""
    update = c.UpdateModel(**ATTEMPT, model="churn", changes={"license": "MIT"})
    again = replace(update, request_id="one", fingerprint=b"1")
    async with open_storage() as storage:
        await write(storage, create_model(), create_versions(None), update)
        first, _ = await write(storage, again, create_versions(None))
        assert isinstance(first, Model)
        assert first.holders is not None
        assert first.holders.latest == 1
    async with open_storage() as storage:
        assert await write(storage, again) == [first]


async def test_what_a_missing_project_was_asked_is_remembered(storage: Storage) -> None:
    """A late copy of a request that was refused for want of its project has no effect once the project is there."""
    for _ in range(2):
        (refusal,) = await write(storage, create_model(project="lab", request_id="one"), now=BEGIN)
        assert isinstance(refusal, ProjectNotFound)
        await write(storage, c.CreateProject(project="lab", actor="ana"), now=BEGIN)
    assert (await storage.head("lab")).revision == 1
    (made,) = await write(storage, create_model(project="lab", request_id="two"), now=BEGIN)
    assert not isinstance(made, RegistryError)


async def test_of_very_many_the_oldest_are_forgotten_but_no_young_ones(storage: Storage) -> None:
    """Each answer is kept for ten minutes, and of older ones a bounded number."""
    step = 10_000
    await write(storage, asked("old"), now=BEGIN)
    for begin in range(0, MANY_ANSWERS, step):
        await write(storage, *(asked(f"id-{each}") for each in range(begin, begin + step)), now=BEGIN)
    await write(storage, create_model(), now=BEGIN)
    young = BEGIN + REMEMBERED_AT_LEAST
    assert isinstance(
        (await write(storage, asked("old"), asked("new"), create_model(request_id="x"), now=young))[0], ModelNotFound
    )
    old = young + 1
    await write(storage, *(create_model(request_id=f"more-{each}") for each in range(3)), now=old)
    answers = await write(storage, asked("old"), asked(f"id-{MANY_ANSWERS - 1}"), now=old)
    assert [isinstance(answer, ModelNotFound) for answer in answers] == [False, True]


@pytest.mark.parametrize(
    "error",
    [ModelExists("default", "churn"), ModelNotFound("default", "churn", "leavers"), ProjectNotFound("é" * 400)],
)
def test_a_refusal_is_made_again_from_what_it_says(error: RegistryError) -> None:
    """Of the same kind, in the same words, with the same metadata."""
    again = remembered(error.reason, str(error), error.metadata)
    assert type(again) is type(error)
    assert (str(again), again.metadata) == (str(error), error.metadata)


def test_what_is_no_answer_is_not_remembered() -> None:
    """Whoever is turned away for now is decided about when the request is sent again."""
    assert not Overloaded(1).is_answer
    assert ModelNotFound("default", "churn").is_answer
