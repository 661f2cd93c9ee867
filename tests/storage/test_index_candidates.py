"""Filters find what they ask for without a look at every version."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from storage.commands import ATTEMPT, create_model, write

from tallymark_server.domain import commands as c
from tallymark_server.domain.decisions import AnyCommand
from tallymark_server.domain.query import VERSION_FIELDS, Kind, Order, Query
from tallymark_server.domain.model import Model, ModelVersion, Stage, Uri, Value
from tallymark_server.domain.reference import numbered
from tallymark_server.filters import parse, parse_order
from tallymark_server.storage.contract import Listed
from tallymark_server.storage.immediate import run_immediately
from tallymark_server.storage.sql import index_candidates, lists
from tallymark_server.storage.sql.reader import Reader
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.storage.sqlite.session import SqliteSession
from tallymark_server.storage.sqlite.connection import connector

ROWS: list[dict[str, Any]] = [
    {"tags": ("growth", "eu"), "metadata": {"auc": 0.5, "fast": True, "note": "good"}},
    {"tags": ("growth",), "metadata": {"auc": 1.0, "fast": False, "data": Uri("s3://b/a.csv")}},
    {"name": "rc-1", "metadata": {"auc": "high", "n": float("inf"), "many": (1.0, 2.0)}},
    {"tags": ("*", "x" * 60), "metadata": {"note": "y" * 300, "auc": 0.9}},
    {},
]
FILTERS = [
    *("tags:growth", "tags:eu", "tags:none", 'tags:"*"', "tags:gro*", "tags:growth OR tags:eu", "NOT tags:growth"),
    *("metadata.auc > 0.6", "metadata.auc = 1", "metadata.auc != 1", 'metadata.auc = "high"', "metadata.auc:*"),
    *("metadata.fast = true", "metadata.fast = false", "metadata.many:*", "metadata.n:*", "metadata.n > 5"),
    *('metadata.data = "s3://b/a.csv"', "metadata.data:csv", f'metadata.note = "{"y" * 300}"', 'metadata.note > "a"'),
    *("stage = production", "stage = none", "aliases:champion", "version_name = rc-1", 'version_name = "5"'),
    *("tags:growth metadata.auc >= 0.5", "tags:none OR number = 2", "metadata.auc < 2 OR stage = production"),
    *("run = r1", "metadata.auc:0.9", "tags:growth AND (tags:eu OR metadata.auc = 1)"),
]


BY_NUMBER = Order("number", Kind.NUMBER, descending=True)
MODEL = Model(id=1, name="churn", creator="", create_time=0, update_time=0, create_revision=1, mod_revision=1)


def versions(connection: sqlite3.Connection, query: Query) -> Listed[ModelVersion]:
    """A page of the model's versions."""
    return run_immediately(Reader(SqliteSession(connection)).versions("default", MODEL, query))


def numbers(path: Path, text: str, *, at: int | None = None, deleted: bool = False, order: str = "") -> list[int]:
    """The versions that the first page of the filter lists."""
    return pages(path, text, 100, at=at, deleted=deleted, order=order)[0]


def pages(path: Path, text: str, limit: int, *, order: str = "", **how: Any) -> list[list[int]]:
    """The versions that the filter lists, page by page."""
    connection = connector(path, read_only=True)()
    condition, by = parse(text, VERSION_FIELDS), parse_order(order, VERSION_FIELDS, BY_NUMBER)
    found: list[list[int]] = []
    after: tuple[Any, ...] | None = ()
    while after is not None:
        query = Query(limit=limit, order=by, condition=condition, after=after, **how)
        page = versions(connection, query)
        found.append([version.number for version in page.items])
        after = page.next
    connection.close()
    return found


async def filled(path: Path, rows: list[dict[str, Any]], *more: AnyCommand) -> None:
    """A file with these versions of one model, and what is done to them after."""
    async with open_sqlite(path, ("default",)) as storage:
        await write(storage, create_model())
        new = tuple(c.NewVersion(**row) for row in rows)
        await write(storage, c.CreateVersions(**ATTEMPT, model="churn", versions=new))
        for command in more:
            await write(storage, command)


@pytest.mark.parametrize("text", FILTERS)
async def test_what_is_looked_up_is_what_each_version_is_asked(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter lists the same whether candidates are looked up or every version is looked at, now and in the past."""
    path = tmp_path / "tallymark.db"
    one: dict[str, Any] = {**ATTEMPT, "model": "churn", "reference": numbered(1)}
    two: dict[str, Any] = {**one, "reference": numbered(2)}
    await filled(
        path,
        ROWS,
        c.SetStage(**two, stage=Stage.PRODUCTION),
        c.SetAlias(**two, alias="champion"),
        c.LogMetadata(**one, metadata={"auc": 0.7}, delete_keys=frozenset({"fast"})),
        c.UpdateVersion(**two, changes={"tags": ("late",)}),
        c.DeleteVersion(**one),
    )
    asked: list[dict[str, Any]] = [{}, {"deleted": True}, *({"at": at} for at in range(6, 12))]
    looked_up = [numbers(path, text, **how) for how in asked]
    monkeypatch.setattr(index_candidates, "MAX_CANDIDATES", -1)
    assert looked_up == [numbers(path, text, **how) for how in asked]
    assert any(found for found in looked_up) or text in ("tags:none", "run = r1", "metadata.n > 5")


async def test_a_version_that_is_renamed_is_found_by_what_it_has_now(tmp_path: Path) -> None:
    """What is changed together with a name is looked up as what is changed without one."""
    path = tmp_path / "tallymark.db"
    changes = {"name": "rc-2", "tags": ("late",), "metadata": {"auc": 0.25}}
    await filled(path, ROWS, c.UpdateVersion(**ATTEMPT, model="churn", reference=numbered(2), changes=changes))
    for text, found in (("tags:late", [2]), ("tags:growth", [1]), ("metadata.auc < 0.4", [2]), ("metadata.data:*", [])):
        assert numbers(path, text) == found


ORDERS = ["auc", "auc desc", "auc desc, number", "note", "note desc", "fast desc", "data", "many", "n desc", "nothing"]


@pytest.mark.parametrize("order", ORDERS)
async def test_an_order_by_a_fact_is_the_same_from_its_index(
    tmp_path: Path, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page, versions come in the same order whether a fact's index leads to them or all of them are sorted."""
    path = tmp_path / "tallymark.db"
    facts: list[dict[str, Value]] = [{"auc": 0.5, "note": "good"}, {"auc": float("-1")}, {"auc": True}]
    more = [{"metadata": each} for each in facts]
    one: dict[str, Any] = {**ATTEMPT, "model": "churn"}
    await filled(path, [*ROWS, *more, *ROWS[3:]], c.DeleteVersion(**one, reference=numbered(6)))
    order = f"metadata.{order}"
    led = [pages(path, "", limit, order=order) for limit in (1, 2, 3, 100)]

    async def no_order(*_: object) -> None:
        return None

    monkeypatch.setattr(lists, "leading", no_order)
    assert led == [pages(path, "", limit, order=order) for limit in (1, 2, 3, 100)]
    assert sorted(led[-1][0]) == [1, 2, 3, 4, 5, 7, 8, 9, 10]


@pytest.mark.parametrize("order", ["", "number"])
async def test_a_filter_is_put_to_so_many_for_a_page(
    tmp_path: Path, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that finds little ends its page early, and the pages together hold all that it finds."""
    path = tmp_path / "tallymark.db"
    rows = [{"metadata": {"note": "rare" if number % 7 == 0 else "common"}} for number in range(1, 31)]
    deleted = [c.DeleteVersion(**ATTEMPT, model="churn", reference=numbered(number)) for number in (14, 20, 29)]
    await filled(path, rows, *deleted)
    for how in ({}, {"at": 40}, {"deleted": True}):
        whole = pages(path, "metadata.note:are", 2, order=order, **how)
        with monkeypatch.context() as patched:
            patched.setattr(lists, "MAX_LOOKED_AT", 3)
            parts = pages(path, "metadata.note:are", 2, order=order, **how)
        assert list(chain(*parts)) == list(chain(*whole))
        assert len(parts) >= 9
        assert [] in parts


@pytest.mark.parametrize(
    ("text", "order"), [("description:needle", ""), ("", "metadata.auc"), ("", "metadata.auc desc")]
)
async def test_a_page_costs_the_same_among_many(tmp_path: Path, text: str, order: str) -> None:
    """A search by a word, and an order by a metric, take no more steps of SQLite among 30,000 versions than 15,000."""
    steps = []
    for count in (15_000, 30_000):
        path = tmp_path / f"{count}.db"
        rows = [{"metadata": {"auc": number % 1000 / 1000}} for number in range(1000)]
        await filled(path, rows, *[_thousand(rows)] * (count // 1000 - 1))
        steps.append(_steps(partial(pages_once, path, text, order)))
    assert steps[1] <= steps[0] * 1.2


@pytest.mark.parametrize("text", ["tags:rare", "metadata.auc > 0.9", "version_name = odd", "stage = production"])
async def test_a_rare_version_is_found_at_the_same_cost_among_many(tmp_path: Path, text: str) -> None:
    """SQLite takes no more steps to find one version among 4,000 than among 40."""
    steps = []
    for count in (40, 4000):
        path = tmp_path / f"{count}.db"
        rows: list[dict[str, Any]] = [{"tags": ("common",), "metadata": {"auc": 0.5}} for _ in range(count)]
        rows[3] = {"name": "odd", "tags": ("rare",), "metadata": {"auc": 0.95}}
        promoted = c.SetStage(**ATTEMPT, model="churn", reference=numbered(4), stage=Stage.PRODUCTION)
        await filled(path, rows, promoted)
        steps.append(_steps(partial(numbers, path, text)))
    assert steps[1] <= steps[0] * 1.2


@pytest.mark.parametrize("order", ["", "number"])
@pytest.mark.parametrize("after", [(), (50,)])
async def test_a_page_of_the_past_costs_the_same_whatever_came_since(
    tmp_path: Path, order: str, after: tuple[int, ...]
) -> None:
    """As of the hundredth revision a page takes hardly more steps of SQLite before 4,000 later versions than 40."""
    steps = []
    by = parse_order(order, VERSION_FIELDS, BY_NUMBER)
    for count in (140, 4100):
        path = tmp_path / f"{count}.db"
        await filled(path, [{}] * count)

        def read(path: Path = path) -> list[int]:
            connection = connector(path, read_only=True)()
            query = Query(limit=10, order=by, condition=None, after=after, at=100)
            page = versions(connection, query)
            connection.close()
            return [version.number for version in page.items]

        begin = (after[0] - 1 if after else 99) if order == "" else (after[0] + 1 if after else 1)
        assert read() == list(range(begin, begin - 10, -1) if order == "" else range(begin, begin + 10))
        steps.append(_steps(read))
    assert steps[1] <= steps[0] * 1.3


async def test_a_page_begins_behind_many_deleted(tmp_path: Path) -> None:
    """A page costs the same behind 400 deleted versions as behind 4."""
    steps = []
    for count in (4, 400):
        path = tmp_path / f"{count}.db"
        deleted = [c.DeleteVersion(**ATTEMPT, model="churn", reference=numbered(n)) for n in range(3, 3 + count)]
        await filled(path, [{}] * (2 + count), *deleted)
        assert numbers(path, "") == [2, 1]
        steps.append(_steps(partial(numbers, path, "")))
    assert steps[1] <= steps[0] * 1.2


def _thousand(rows: list[dict[str, Any]]) -> c.CreateVersions:
    return c.CreateVersions(**ATTEMPT, model="churn", versions=tuple(c.NewVersion(**row) for row in rows))


def pages_once(path: Path, text: str, order: str) -> list[int]:
    """Return the first page of ten items; whether the list goes on shows how much a search has looked at."""
    connection = connector(path, read_only=True)()
    by = parse_order(order, VERSION_FIELDS, BY_NUMBER)
    query = Query(limit=10, order=by, condition=parse(text, VERSION_FIELDS))
    page = versions(connection, query)
    connection.close()
    assert page.next is not None
    return [1, *(version.number for version in page.items)]


def _steps(find: Callable[[], list[int]]) -> int:
    """How many steps SQLite takes to find."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connect = sqlite3.connect

    def counting(*given: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*given, **options)
        connection.set_progress_handler(count, 1)
        return connection

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sqlite3, "connect", counting)
        assert find()
    return steps
