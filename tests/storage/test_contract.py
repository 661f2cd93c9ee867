"""The promises of the storage contract, on every engine."""

from __future__ import annotations

import asyncio
from operator import methodcaller
from msgspec.structs import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage.conftest import Open
from storage.commands import (
    ATTEMPT,
    create_model,
    create_versions,
    ensure,
    models_of,
    numbers_of,
    start_run,
    versions_of,
    write,
)

from tallymark_server.domain import commands as c
from tallymark_server.domain.commands import Keys
from tallymark_server.domain.query import Kind, Order, Query
from tallymark_server.domain.errors import ProjectNotFound, RequestIdReused, VersionNameTaken
from tallymark_server.domain.model import (
    Model,
    ModelCard,
    ModelVersion,
    RecordingProblem,
    Run,
    RunState,
    Stage,
    Time,
    Uri,
    Value,
)
from tallymark_server.domain.reference import LATEST, aliased, in_stage, named, numbered
from tallymark_server.storage.codec import decode_model, decode_run, decode_version, encode
from tallymark_server.storage.contract import Direction, Storage, TooMuchError, Writing


async def test_a_check_whether_changes_can_be_committed_changes_nothing(storage: Storage) -> None:
    """It leaves no event, and changes go on after it, also if it is made while another or a change is under way."""
    await write(storage, create_model())
    before = await storage.head("default")
    await asyncio.gather(storage.check_writable(), storage.check_writable())
    assert await storage.head("default") == before
    await asyncio.gather(storage.check_writable(), write(storage, create_versions("a")))
    assert (await storage.head("default")).revision == before.revision + 1


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

    async def work(writing: Writing) -> None:
        state = await writing.load("default", Keys(models={"churn"}))
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
    assert numbers_of(*await write(storage, create_versions(None))) == [1]
    assert (await storage.head("default")).revision == 2


async def test_a_version_is_as_the_last_write_left_it(storage: Storage) -> None:
    """A read after a write, also of a model that was renamed, returns the new state."""
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
    assert numbers_of(again[2]) == [2]


async def test_projects_have_logs_of_their_own(storage: Storage) -> None:
    """What happens in one project is not seen in another, and their logs have different ids."""
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
    assert numbers_of(answers[1]) == [1]


async def test_text_is_sorted_by_code_point(storage: Storage) -> None:
    """Names differ by letter case and accent, and are listed by code point."""
    names = ["z", "Z", "é", "e", "a b", "😀", "～"]
    await write(storage, *(create_model(name) for name in names))
    assert [model.name for model in await models_of(storage)] == sorted(names)
    assert [model.name for model in await models_of(storage, "Z", 2)] == ["a b", "e"]
    assert await storage.model("default", "É") is None


async def test_missing_is_told_from_unknown(storage: Storage) -> None:
    """`load` returns None for each key that is missing, and nothing for a key that was not requested."""
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


async def test_a_run_is_loaded_with_the_versions_that_it_made(storage: Storage) -> None:
    """All of them, of every model, and no other; TooMuchError when there are more than may be loaded."""
    await write(
        storage, create_model(), create_versions("b"), start_run("r1"), start_run("r2"), ensure(run="r1"),
        ensure("a", run="r1"), ensure("b", run="r1"), ensure(run="r1", model="other"), ensure(run="r2"),
    )  # fmt: skip

    async def made(writing: Writing, most: int | None = None) -> dict[str, set[tuple[str, int]]]:
        state = await writing.load("default", Keys(made={"r1", "nobody"}), most=most)
        assert state.versions.keys() == state.made["r1"]
        return state.made

    expected = {"r1": {("churn", 2), ("churn", 3), ("other", 1)}, "nobody": set()}
    assert await storage.write(made) == expected
    assert await storage.write(lambda writing: made(writing, 3)) == expected
    with pytest.raises(TooMuchError):
        await storage.write(lambda writing: made(writing, 2))


async def test_runs_of_which_heartbeats_are_awaited_are_found(storage: Storage) -> None:
    """Running runs with a timeout, of all projects, in pages, each with its last sign of life."""
    awaited = [replace(start_run(run), heartbeat_timeout=9) for run in ("b", "a", "done", "lost", "back")]
    await write(storage, start_run("old"), *awaited, now=5)
    await write(storage, replace(awaited[0], project="other"), now=6)
    lose = c.LoseRun(**ATTEMPT, run="lost", last_seen=6)
    finish = c.FinishRun(**ATTEMPT, run="done", state=RunState.SUCCEEDED)
    await write(storage, lose, finish, replace(lose, run="back"), c.ResumeRun(**ATTEMPT, run="back"), now=7)
    await write(storage, c.StartStep(**ATTEMPT, run="a", step="s", name="fit"), now=8)
    expected = [
        ("default", "a", 9, 8), ("default", "b", 9, 5), ("default", "back", 9, 7), ("other", "b", 9, 6),
    ]  # fmt: skip
    found = await storage.awaited(("", ""), 10)
    assert sorted(found) == expected
    assert await storage.awaited(("", ""), 2) == found[:2]
    assert await storage.awaited(found[1][:2], 10) == found[2:]
    assert await storage.awaited(found[-1][:2], 10) == []


async def test_a_run_is_read_as_it_was_at_every_revision(storage: Storage) -> None:
    """Started, lost, resumed, reported about and finished: alone, in a list and in a lineage."""
    problem = RecordingProblem("metric 'a'", "lost", 1)
    report = c.ReportProblems(**ATTEMPT, run="r1", problems=(problem,))
    await write(
        storage, start_run("r1"), ensure(run="r1"), report, c.LoseRun(**ATTEMPT, run="r1", last_seen=9), report,
        c.ResumeRun(**ATTEMPT, run="r1"), c.FinishRun(**ATTEMPT, run="r1", state=RunState.FAILED), report,
        start_run("r2"),
    )  # fmt: skip
    running, lost, failed = (RunState.RUNNING, 1), (RunState.LOST, 1), (RunState.FAILED, 2)
    expected = {
        1: (RunState.RUNNING, 0), 3: (RunState.RUNNING, 0), 4: running, 5: lost, 6: lost, 7: (RunState.LOST, 2),
        8: (RunState.RUNNING, 2), 9: (RunState.RUNNING, 2), 10: failed, 11: failed, 12: (RunState.FAILED, 3),
        13: (RunState.FAILED, 3),
    }  # fmt: skip
    for at, (state, count) in expected.items():
        run = await storage.run("default", "r1", at=at)
        assert run is not None
        assert (run.state, sum(each.count for each in run.recording_problems)) == (state, count), at
        order = (Order("start_revision", Kind.NUMBER),)
        assert (await storage.read(methodcaller("runs", "default", Query(limit=9, order=order, at=at)))).items[0] == run
        (found,) = (
            await storage.read(methodcaller("lineage", "default", run, Direction.DOWNSTREAM, 1, 9, at=at))
        ).items
        assert found.nodes[0].resource == replace(run, recording_problems=())
        if at >= 3:
            version = await storage.version("default", "churn", numbered(1), at=at)
            assert version is not None
            assert version.run_state in (state, {5: RunState.RUNNING, 8: RunState.LOST, 10: RunState.RUNNING}.get(at))


values: st.SearchStrategy[Value] = st.recursive(
    st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.booleans()
    | st.none()
    | st.integers(2**53 + 1, 2**63 - 1).filter(lambda number: float(number) != number)
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
        metadata=metadata, run="r1", run_state=RunState.LOST, step="fit", automatic=True, **WHO_AND_WHEN,
    )  # fmt: skip
    read = decode_version(encode(version), "churn")
    assert read == version
    assert repr(read.metadata) == repr(version.metadata), "an equal number of another type"


def test_an_image_leaves_out_what_is_said_elsewhere() -> None:
    """Defaults, and what a table knows better, are not written; they come back all the same."""
    card = ModelCard(license="MIT", tags=("a",))
    model = Model(id=1, name="churn", card=card, last_number=9, **WHO_AND_WHEN)
    run = Run(
        id="r1", pipeline="p", state=RunState.FAILED, error="e", model_id=1, model="churn", number=2, creator="ana",
        create_time=1, end_time=2, create_revision=3, mod_revision=4, start_time=0, heartbeat_timeout=5, command="c",
        recording_problems=(RecordingProblem("metric 'a'", "lost", 2),),
    )  # fmt: skip
    assert decode_model(encode(model), 9) == model
    assert decode_run(encode(run), "churn") == run
    assert "last_number" not in encode(model)
    assert "churn" not in encode(run)


async def test_reads_at_one_moment_see_nothing_that_comes_later(storage: Storage) -> None:
    """What is committed while the block is open is seen by reads outside it, and by the next block."""
    await write(storage, create_model(), create_versions("a"))
    async with storage.at_one_moment() as reads:
        before = await reads.head("default")
        await write(storage, create_versions("b"), create_model("other"))
        assert await reads.head("default") == before
        assert await reads.version("default", "churn", named("b")) is None
        assert await reads.model("default", "other") is None
        assert await reads.read(lambda snapshot: snapshot.head("default")) == before
        assert [event.revision for event in (await reads.events("default", 0, 9)).items] == [1, 2]
        assert await storage.version("default", "churn", named("b")) is not None
    async with storage.at_one_moment() as reads:
        assert (await reads.head("default")).revision == before.revision + 2
        assert await reads.version("default", "churn", named("b")) is not None


async def test_a_block_of_reads_that_is_left_early_makes_room_for_the_next(storage: Storage) -> None:
    """Whether it is cancelled or fails, others are answered, with what was committed meanwhile."""
    await write(storage, create_model())

    async def hold() -> None:
        async with storage.at_one_moment() as reads:
            await reads.head("default")
            await asyncio.Event().wait()

    for _ in range(3):
        held = [asyncio.create_task(hold()) for _ in range(5)]
        await asyncio.wait(held, timeout=0.01)
        for task in held:
            task.cancel()
        await asyncio.wait(held)
        with pytest.raises(ProjectNotFound):
            async with storage.at_one_moment() as reads:
                await reads.project("none")
    await write(storage, create_versions("a"))
    async with storage.at_one_moment() as reads:
        assert await reads.version("default", "churn", named("a")) is not None
