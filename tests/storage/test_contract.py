"""The promises of the storage contract, on every engine."""

from __future__ import annotations

from msgspec.structs import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage.conftest import Open
from storage.deciding import ATTEMPT, create_model, create_versions, ensure, models_of, start_run, versions_of, write

from tallymark_server.domain import commands as c
from tallymark_server.domain.commands import Keys
from tallymark_server.domain.errors import ProjectNotFound, RequestIdReused, VersionNameTaken
from tallymark_server.domain.model import Model, ModelCard, ModelVersion, Run, RunState, Stage, Time, Uri, Value
from tallymark_server.domain.reference import LATEST, aliased, in_stage, named, numbered
from tallymark_server.storage.codec import decode_model, decode_run, decode_version, encode
from tallymark_server.storage.contract import Storage, Writing


def numbers_of(answers: list[Any]) -> list[int]:
    return [version.number for answer in answers for version in answer]


async def test_a_batch_sees_what_its_earlier_commands_did(storage: Storage) -> None:
    """Within one batch, names are taken, numbers go on, and stages pass on, as if one command came after the other."""
    answers = await write(
        storage,
        create_model(),
        create_versions("a", None),
        create_versions("a"),
        ensure("a"),
        ensure("b"),
        c.SetStage(**ATTEMPT, model="churn", reference=numbered(1), stage=Stage.PRODUCTION),
        c.SetStage(**ATTEMPT, model="churn", reference=LATEST, stage=Stage.PRODUCTION, force=True),
        c.SetAlias(**ATTEMPT, model="churn", reference=in_stage(Stage.PRODUCTION), alias="champion"),
        c.SetAlias(**ATTEMPT, model="churn", reference=named("a"), alias="champion"),
    )
    assert isinstance(answers[2], VersionNameTaken)
    assert [(answer.version.number, answer.created) for answer in cast("list[c.Ensured]", answers[3:5])] == [
        (1, False),
        (3, True),
    ]
    for reference, number in ((in_stage(Stage.PRODUCTION), 3), (aliased("champion"), 1), (LATEST, 3), (named("a"), 1)):
        found = await storage.version("default", "churn", reference)
        assert found is not None
        assert found.number == number, reference
    assert (await storage.version("default", "churn", numbered(1))) == replace(
        cast("ModelVersion", answers[8]), stage=Stage.ARCHIVED
    )


async def test_revisions_have_no_gap_and_events_no_loss(storage: Storage) -> None:
    """The log has every event of every batch once, in order, and reads give the newest image."""
    await write(storage, create_model(), create_versions(None, None))
    await write(storage, create_versions(None), start_run("r1"))
    page = await storage.events("default", 0, 100)
    assert [event.revision for event in page.items] == [1, 2, 3, 4, 5]
    assert page.head == await storage.head("default")
    assert page.head.revision == 5
    assert [event.revision for event in (await storage.events("default", 2, 2)).items] == [3, 4]


async def test_time_never_runs_backwards(storage: Storage) -> None:
    """An event's time is at least that of the event before it, whatever the clock says."""
    await write(storage, create_model(), now=2_000_000)
    await write(storage, create_versions(None), now=1_000_000)
    assert [event.time for event in (await storage.events("default", 0, 10)).items] == [2_000_000, 2_000_000]


@pytest.mark.parametrize("brief", [True, False])
async def test_a_failed_write_leaves_nothing(storage: Storage, brief: bool) -> None:
    """An exception out of the work undoes all of it, and the next write goes on as if it had not been."""
    await write(storage, create_model())

    def work(writing: Writing) -> None:
        state = writing.load("default", Keys(models={"churn"}))
        model = state.model("churn")
        version = ModelVersion(
            model_id=model.id,
            model="churn",
            number=1,
            creator="",
            create_time=0,
            update_time=0,
            create_revision=2,
            mod_revision=2,
        )
        del version
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await storage.write(work, brief=brief)
    assert numbers_of(await write(storage, create_versions(None))) == [1]
    assert (await storage.head("default")).revision == 2


async def test_a_version_is_as_the_last_write_left_it(storage: Storage) -> None:
    """Who asks again after a write, also for a model that was renamed, is told what is there now."""
    await write(storage, create_model(), create_versions("a"))
    called = named("a")
    for change in (
        c.LogMetadata(**ATTEMPT, model="churn", reference=called, metadata={"auc": 0.9}),
        create_versions(None),
        c.RenameModel(**ATTEMPT, model="churn", name="leavers"),
    ):
        await storage.version("default", "churn", called)
        await storage.version("default", "churn", LATEST)
        await write(storage, change)
    assert await storage.version("default", "churn", called) is None
    found = await storage.version("default", "leavers", called)
    newest = await storage.version("default", "leavers", LATEST)
    assert found is not None
    assert (found.model, found.metadata) == ("leavers", {"auc": 0.9})
    assert newest is not None
    assert newest.number == 2


async def test_what_was_written_is_there_after_opening_again(open_storage: Open) -> None:
    """Models, versions, receipts and the log outlive the process, and numbers go on."""
    async with open_storage() as storage:
        first = await write(storage, create_model(), create_versions("a", request_id="one", fingerprint=b"1"))
        head = await storage.head("default")
    async with open_storage() as storage:
        assert await storage.head("default") == head
        again = await write(
            storage,
            create_versions("a", request_id="one", fingerprint=b"1"),
            create_versions("b", request_id="one", fingerprint=b"2"),
            create_versions(None),
        )
    assert again[0] == first[1]
    assert isinstance(again[1], RequestIdReused)
    assert numbers_of([again[2]]) == [2]


async def test_projects_have_logs_of_their_own(storage: Storage) -> None:
    """What happens in one project is not seen in another, and their logs are told apart."""
    await write(storage, create_model(), create_model(project="other"), create_versions(None, project="other"))
    heads = [await storage.head(project) for project in ("default", "other")]
    assert [head.revision for head in heads] == [1, 2]
    assert heads[0].log_id != heads[1].log_id
    assert await versions_of(storage) == []
    for read in (storage.head("none"), storage.model("none", "churn"), storage.events("none", 0, 1)):
        with pytest.raises(ProjectNotFound):
            await read
    answers = await write(storage, create_model(project="none"), create_versions(None))
    assert isinstance(answers[0], ProjectNotFound)
    assert numbers_of([answers[1]]) == [1]


async def test_text_is_sorted_by_code_point(storage: Storage) -> None:
    """Names differ by letter case and accent, and are listed by code point."""
    names = ["z", "Z", "é", "e", "a b", "😀", "～"]
    await write(storage, *(create_model(name) for name in names))
    assert [model.name for model in await models_of(storage)] == sorted(names)
    assert [model.name for model in await models_of(storage, "Z", 2)] == ["a b", "e"]
    assert await storage.model("default", "É") is None


async def test_missing_is_told_from_unknown(storage: Storage) -> None:
    """`load` gives None for each key that is missing, and nothing for a key that was not asked for."""
    keys = Keys(
        receipts={"one"},
        models={"churn"},
        versions={("churn", numbered(1)), ("churn", LATEST)},
        automatic={("r1", "churn")},
        runs={"r1"},
    )
    state = await storage.write(lambda writing: writing.load("default", keys))
    assert (state.receipts, state.models, state.runs) == ({"one": None}, {"churn": None}, {"r1": None})
    assert state.versions == {("churn", 1): None}
    assert state.pointers == {("churn", LATEST): None}
    assert state.automatic == {("r1", "churn"): None}


async def test_a_run_comes_with_its_automatic_version(storage: Storage) -> None:
    """One automatic version of a run and model is found by run and model."""
    await write(storage, start_run("r1"), start_run("r2"), ensure(run="r1"), ensure(run="r2"), ensure(run="r1"))
    assert [version.run for version in await versions_of(storage)] == ["r2", "r1"]
    state = await storage.write(
        lambda writing: writing.load("default", Keys(models={"churn"}, automatic={("r1", "churn")}))
    )
    assert state.automatic == {("r1", "churn"): 1}


values: st.SearchStrategy[Value] = st.recursive(
    st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.booleans()
    | st.integers(-(2**50), 2**50).map(Time)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5).map(Uri),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text("abmnuertip", max_size=6), inner),
    max_leaves=8,
)
WHO_AND_WHEN: dict[str, Any] = {
    "creator": "ana", "create_time": 1, "update_time": 2, "create_revision": 3, "mod_revision": 4
}  # fmt: skip


@given(st.dictionaries(st.text("abmnuertip", max_size=6), values, max_size=4))
def test_an_image_is_read_as_it_was_written(metadata: dict[str, Value]) -> None:
    """Metadata of any shape keeps its types, also where its keys look like those of the encoding."""
    version = ModelVersion(
        model_id=1, model="churn", number=7, name="é", stage=Stage.STAGING, aliases=("a",), tags=("b",),
        metadata=metadata, run="r1", step="fit", automatic=True, **WHO_AND_WHEN,
    )  # fmt: skip
    assert decode_version(encode(version), "churn") == version


def test_an_image_leaves_out_what_is_said_elsewhere() -> None:
    """Defaults, and what a table knows better, are not written; they come back all the same."""
    card = ModelCard(license="MIT", tags=("a",))
    model = Model(id=1, name="churn", card=card, last_number=9, **WHO_AND_WHEN)
    run = Run(
        id="r1", pipeline="p", state=RunState.FAILED, error="e", model_id=1, model="churn", number=2, creator="ana",
        create_time=1, end_time=2, create_revision=3, mod_revision=4,
    )  # fmt: skip
    assert decode_model(encode(model), 9) == model
    assert decode_run(encode(run), "churn") == run
    assert "last_number" not in encode(model)
    assert "churn" not in encode(run)
