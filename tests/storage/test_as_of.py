"""Reads as of a revision: whatever has happened since, they give what was given then."""

from __future__ import annotations

from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from storage.commands import ATTEMPT, create_model, create_versions, ensure, start_run, write

from tallymark_server.domain import commands as c
from tallymark_server.domain.decisions import AnyCommand
from tallymark_server.domain.query import Kind, Order, Query
from tallymark_server.domain.model import ArtifactRole, ArtifactType, Model, Point, Project, RunState, Stage
from tallymark_server.domain.reference import LATEST, Reference, aliased, in_stage, named, numbered
from tallymark_server.domain.events import Event
from tallymark_server.domain.events import Kind as EventKind
from tallymark_server.storage.contract import Direction, Scope, Storage
from tallymark_server.storage.sql import history
from tallymark_server.storage.sqlite.engine import open_sqlite

MODELS = ("churn", "fraud")
RUNS = ("r1", "r2")
NAMES = ("a", "b")
REFERENCES: tuple[Reference, ...] = (
    LATEST, in_stage(Stage.PRODUCTION), in_stage(Stage.STAGING), aliased("a"), aliased("b"), named("a"), named("b"),
    numbered(1), numbered(2),
)  # fmt: skip
BY_NAME, BY_NUMBER = Order("name", Kind.TEXT), Order("number", Kind.NUMBER, descending=True)
BY_START = Order("start_revision", Kind.NUMBER)

models, runs, names = st.sampled_from(MODELS), st.sampled_from(RUNS), st.sampled_from(NAMES)
chosen = st.builds(lambda model, reference: {**ATTEMPT, "model": model, "reference": reference}, models,
                   st.sampled_from([LATEST, numbered(1), numbered(2)]))  # fmt: skip
points = st.lists(st.builds(Point, names, st.integers(0, 2), st.floats(), st.integers(0, 9)), max_size=3)
changes = st.one_of(
    st.builds(create_model, models),
    st.builds(lambda m, n: create_versions(n, model=m), models, st.none() | names),
    st.builds(lambda m, r, v: ensure(v, run=r, model=m), models, runs, st.none() | st.just("1")),
    st.builds(start_run, runs),
    st.builds(lambda r: c.FinishRun(**ATTEMPT, run=r, state=RunState.FAILED, error="lost"), runs),
    st.builds(lambda r, s: c.StartStep(**ATTEMPT, run=r, step=s, name=s, version=("churn", LATEST)), runs, names),
    st.builds(lambda r, s: c.FinishStep(**ATTEMPT, run=r, step=s, state=RunState.SUCCEEDED), runs, names),
    st.builds(lambda of, s: c.SetStage(**of, stage=s, force=True), chosen, st.sampled_from(Stage)),
    st.builds(lambda of, a: c.SetAlias(**of, alias=a), chosen, names),
    st.builds(lambda m, a: c.DeleteAlias(**ATTEMPT, model=m, reference=aliased(a)), models, names),
    st.builds(
        lambda of, p, gone: c.LogMetadata(**of, metadata={}, points=tuple(p), delete_keys=frozenset(gone)),
        chosen, points, st.lists(names, max_size=1),
    ),
    st.builds(
        lambda of, n, uri, role: c.LinkArtifact(**of, name=n, uri=uri, role=role, type=ArtifactType.DATA),
        chosen, names, st.sampled_from(["s3://a", "s3://b"]), st.sampled_from(ArtifactRole),
    ),
    st.builds(lambda of, n: c.UnlinkArtifact(**of, name=n), chosen, names),
    st.builds(lambda of, n: c.UpdateVersion(**of, changes={"name": n}), chosen, names),
    st.builds(lambda of: c.DeleteVersion(**of, force=True), chosen),
    st.builds(lambda of: c.UndeleteVersion(**of), chosen),
    st.builds(lambda m, n: c.RenameModel(**ATTEMPT, model=m, name=n), models, models | st.just("other")),
    st.builds(lambda m: c.DeleteModel(**ATTEMPT, model=m, force=True), models),
    st.builds(lambda m: c.UndeleteModel(**ATTEMPT, model=m), models),
)  # fmt: skip


async def everything(storage: Storage, at: int | None) -> dict[str, str]:
    """Return everything that the storage has of a project, as text, since a point may be not a number."""

    def query(order: Order) -> Query:
        return Query(limit=100, order=(order,), at=at, deleted=True)

    found: dict[str, Any] = {"models": (await storage.models("default", query(BY_NAME))).items}
    found["runs"] = (await storage.read(methodcaller("runs", "default", query(BY_START)))).items
    for run_id in RUNS:
        found[f"run {run_id}"] = run = await storage.run("default", run_id, at=at)
        found[f"steps of {run_id}"] = (
            await storage.read(methodcaller("steps", "default", run_id, 0, 100, at=at))
        ).items
        if run is not None:
            both = Direction.BOTH
            found[f"around {run_id}"] = (
                await storage.read(methodcaller("lineage", "default", run, both, 9, 100, at=at))
            ).items
    series: tuple[list[str], ...] = ([], ["a"])
    for model in found["models"]:
        versions = (await storage.read(methodcaller("versions", "default", model, query(BY_NUMBER)))).items
        found[f"versions of {model.name}"] = versions
        for reference in REFERENCES:
            meant = await storage.version("default", model.name, reference, of_deleted=True, at=at)
            found[f"{model.name} by {reference}"] = meant
        for version in versions:
            told = [(await storage.read(methodcaller("artifacts", "default", version, query(BY_START)))).items]
            told += [
                await storage.read(methodcaller("artifact", "default", version, name, None, at=at)) for name in NAMES
            ]
            told += [
                (await storage.read(methodcaller("points", "default", version, keys, ("", -1), 100, at=at))).items
                for keys in series
            ]
            told += [(await storage.read(methodcaller("runs", "default", query(BY_START), version))).items]
            told += (
                await storage.read(methodcaller("lineage", "default", version, Direction.BOTH, 9, 100, at=at))
            ).items
            found[f"of {model.name}/{version.number}"] = told
    return {what: repr(told) for what, told in found.items()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(changes, min_size=20, max_size=60))
async def test_the_past_is_as_it_was(asked: list[AnyCommand], tmp_path_factory: pytest.TempPathFactory) -> None:
    """After any changes, everything as of each revision is what it was when that was the last one."""
    start: list[AnyCommand] = [create_model(), create_versions("a", None), start_run("r1")]
    async with open_sqlite(tmp_path_factory.mktemp("past") / "any.db", ("default",)) as storage:
        seen: dict[int, dict[str, str]] = {}
        for place, command in enumerate([*start, *asked]):
            await write(storage, command, now=1_000_000 + place)
            seen[(await storage.head("default")).revision] = await everything(storage, None)
        for at, told in seen.items():
            assert await everything(storage, at) == told, at


@pytest.mark.parametrize("newest_first", [False, True])
async def test_events_that_are_far_apart_are_found(
    newest_first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few of the events that a page looks at are of the requested kinds, the pages together hold them all."""
    monkeypatch.setattr(history, "MAX_LOOKED_AT", 3)
    fact = c.LogMetadata(**ATTEMPT, model="churn", reference=numbered(1), metadata={"a": 1.0})
    many = [create_versions(None, None, None, None)] * 3
    other = create_versions(None, model="fraud")
    asked: list[AnyCommand] = [create_model(), create_model("fraud"), *many, fact, *many, other, *many]
    async with open_sqlite(tmp_path / "far.db", ("default",)) as storage:
        await write(storage, *asked, replace(fact, metadata={"a": 2.0}), *many)
        told = (await storage.events("default", 0, 100)).items
        for kinds in ({EventKind.METADATA_LOGGED}, {EventKind.METADATA_LOGGED, EventKind.MODEL_CREATED}):
            for model, number in ((None, None), (1, None), (1, 1), (2, None)):
                scope = Scope(model_id=model, number=number, kinds=frozenset(kinds), newest_first=newest_first)
                wanted = [each.revision for each in told if _is_of(each, scope)]
                assert await _revisions(storage, scope) == (wanted[::-1] if newest_first else wanted)


def _is_of(event: Event, scope: Scope) -> bool:
    image = event.image
    assert not isinstance(image, Project), "the project was there before its first event"
    about = (image.id, None) if isinstance(image, Model) else (image.model_id, image.number)
    return event.kind in scope.kinds and scope.model_id in (None, about[0]) and scope.number in (None, about[1])


async def _revisions(storage: Storage, scope: Scope) -> list[int]:
    found: list[int] = []
    while True:
        page, left = await storage.read(methodcaller("history", "default", scope, 2))
        found += [event.revision for event in page.items]
        if page.items:
            scope = replace(scope, **{"before" if scope.newest_first else "after": found[-1]})
        elif left is None:
            return found
        else:
            scope = left
