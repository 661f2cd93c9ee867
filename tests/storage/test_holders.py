"""Who holds the places of a model: latest, production, staging and aliases, now and as of every revision."""

from __future__ import annotations


import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from storage.conftest import Open
from storage.commands import ATTEMPT, create_model, create_versions, ensure, start_run, write
from storage.test_as_of import BY_NAME, changes, chosen, models

from tallymark_server.domain import commands as c
from tallymark_server.domain.decisions import AnyCommand
from tallymark_server.domain.query import Query
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Holders, Model, ModelVersion, Stage
from tallymark_server.domain.reference import aliased, numbered
from tallymark_server.storage.contract import Storage
from tallymark_server.storage.sqlite.engine import open_sqlite

# What removes for good is rare, so that there is something to look at.
anything = st.one_of(
    changes,
    changes,
    st.builds(lambda m: c.UpdateModel(**ATTEMPT, model=m, changes={"license": "MIT"}), models),
    st.builds(lambda of: c.PurgeVersion(**of), chosen),
    st.builds(lambda m: c.PurgeModel(**ATTEMPT, model=m), models),
)


def computed(events: list[Event], at: int) -> dict[int, Holders]:
    """Return the holders of each model by its id after that revision, from the images of its versions alone.

    What was purged later holds nothing, as it can be read no more.
    """
    seen: dict[tuple[int, int], ModelVersion] = {}
    for event in events:
        image = event.image
        if event.kind is Kind.MODEL_PURGED and isinstance(image, Model):
            seen = {key: version for key, version in seen.items() if key[0] != image.id}
        elif event.kind is Kind.VERSION_PURGED and isinstance(image, ModelVersion):
            seen.pop((image.model_id, image.number), None)
        elif isinstance(image, ModelVersion) and event.revision <= at:
            seen[(image.model_id, image.number)] = image
    found: dict[int, Holders] = {}
    for (model, number), version in sorted(seen.items()):
        holders = found.setdefault(model, Holders())
        if version.delete_time is None:
            stages = {"production", "staging"} & {version.stage.value}
            holders.aliases.update(dict.fromkeys(version.aliases, number))
            found[model] = replace(holders, latest=number, **dict.fromkeys(stages, number))
    return found


async def told(storage: Storage, at: int | None) -> dict[int, Holders | None]:
    """Return the holders that a list of all models has, which are those that each model has alone."""
    page = await storage.models("default", Query(limit=100, order=(BY_NAME,), at=at, deleted=True))
    for model in page.items:
        assert await storage.model("default", model.name, at=at) == model
    return {model.id: model.holders for model in page.items}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(anything, min_size=20, max_size=60))
async def test_holders_are_those_that_the_versions_tell(
    asked: list[AnyCommand], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """After any changes, the holders as of each revision are those of the images of versions up to it; what a change
    of a model is answered with is the model as it is then; and one batch of all changes has the same answers."""
    asked = [create_model(), create_versions("a", None), *asked]
    folder = tmp_path_factory.mktemp("holders")
    async with open_sqlite(folder / "one.db", ("default",)) as storage:
        answers = []
        for command in asked:
            answers += await write(storage, command)
            if isinstance(answers[-1], Model) and not answers[-1].purged:
                assert answers[-1] == await storage.model("default", answers[-1].name)
        events = (await storage.events("default", 0, 1000)).items
        for at in [*range(1, len(events) + 1), None]:
            expected = computed(events, len(events) if at is None else at)
            found = await told(storage, at)
            assert found == {model: expected.get(model, Holders()) for model in found}, at
    async with open_sqlite(folder / "batch.db", ("default",)) as storage:
        batch = await write(storage, *asked)
        assert [repr(answer) for answer in batch] == [repr(answer) for answer in answers]


async def test_a_repeated_request_tells_the_holders_of_then(open_storage: Open) -> None:
    """Whatever has moved since, in the same batch or in a later one, the answer is the first one."""
    update = c.UpdateModel(**ATTEMPT, model="churn", changes={"license": "MIT"}, request_id="one", fingerprint=b"1")
    create = create_model(request_id="zero", fingerprint=b"0")
    before: list[AnyCommand] = [
        create,
        create_versions(None, None),
        c.SetStage(**ATTEMPT, model="churn", reference=numbered(1), stage=Stage.PRODUCTION),
        c.SetAlias(**ATTEMPT, model="churn", reference=numbered(1), alias="champion"),
        update,
    ]
    since: list[AnyCommand] = [
        c.SetStage(**ATTEMPT, model="churn", reference=numbered(2), stage=Stage.PRODUCTION, force=True),
        c.DeleteAlias(**ATTEMPT, model="churn", reference=aliased("champion")),
        create_versions(None),
    ]
    async with open_storage() as storage:
        *_, updated, _, _, _, in_batch = await write(storage, *before, *since, update)
        assert updated == in_batch
        assert isinstance(updated, Model)
        assert updated.holders == Holders(latest=2, production=1, aliases={"champion": 1})
    async with open_storage() as storage:
        created, later = await write(storage, create, update)
        assert later == updated
        assert isinstance(created, Model)
        assert created.holders == Holders()
        now = await storage.model("default", "churn")
        assert now is not None
        assert now.holders == Holders(latest=3, production=2)


async def test_a_trial_tells_the_holders_and_changes_nothing(storage: Storage) -> None:
    """With validate_only the model is answered with who holds its places now; a new one has nobody."""
    await write(storage, create_model(), create_versions(None))
    update = c.UpdateModel(**ATTEMPT, model="churn", changes={"license": "MIT"}, validate_only=True)
    updated, created = await write(storage, update, create_model("fraud", validate_only=True))
    assert isinstance(updated, Model)
    assert isinstance(created, Model)
    assert (updated.holders, created.holders) == (Holders(latest=1), Holders())
    assert (await storage.head("default")).revision == 2


async def test_events_and_images_know_nothing_of_holders(storage: Storage) -> None:
    """An event's model has none, since events of versions change them and a log never changes."""
    await write(storage, create_model(), create_versions(None))
    await write(storage, c.UpdateModel(**ATTEMPT, model="churn", changes={"license": "MIT"}))
    events = (await storage.events("default", 0, 10)).items
    assert [event.image.holders for event in events if isinstance(event.image, Model)] == [None, None]


def test_who_creates_versions_does_not_load_holders() -> None:
    """Only commands that return a model that existed before load its holders."""
    keys = c.Keys()
    for command in (create_versions(None), create_model(), ensure(run="r1"), start_run("r1")):
        command.add_required_keys(keys)
    assert keys.holders == set()
    c.UpdateModel(**ATTEMPT, model="churn", changes={}).add_required_keys(keys)
    assert keys.holders == {"churn"}


async def test_many_aliases_that_moved_often_are_told(storage: Storage) -> None:
    """Each alias is returned once, with the version that it pointed at then, however often it moved."""
    await write(storage, create_model(), create_versions(None, None, None))
    moves = [
        c.SetAlias(**ATTEMPT, model="churn", reference=numbered(1 + place % 3), alias=f"a{place % 7}")
        for place in range(40)
    ]
    await write(storage, *moves)
    await write(storage, c.DeleteAlias(**ATTEMPT, model="churn", reference=aliased("a3")), create_versions(None))
    events = (await storage.events("default", 0, 1000)).items
    for at in range(1, len(events) + 1):
        assert await told(storage, at) == {1: computed(events, at).get(1, Holders())}, at
    assert len(computed(events, len(events))[1].aliases) == 6
