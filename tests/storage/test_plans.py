"""How SQLite finds what is requested: by keys, so that no request takes longer when the tables grow."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from importlib import import_module
from pkgutil import iter_modules

import pytest

import tallymark_server.storage.sql
from tallymark_server.domain.events import Kind as EventKind
from tallymark_server.domain.query import Kind, Order, Query
from tallymark_server.storage.contract import Scope
from tallymark_server.storage.sql.session import Row
from tallymark_server.storage.sql.statement import Select, Statement
from tallymark_server.storage.sql import history, lists
from tallymark_server.storage.sqlite.dialect import DIALECT
from tallymark_server.storage.sqlite.event_integrity import add_whole
from tallymark_server.storage.sqlite.migrate import migrate
from tallymark_server.storage.sqlite.session import SqliteSession

Given = Sequence[object] | Mapping[str, object]


def statements() -> Iterator[tuple[str, Statement]]:
    """Every statement that engines share, by its name."""
    for found in iter_modules(tallymark_server.storage.sql.__path__):
        module = import_module(f"{tallymark_server.storage.sql.__name__}.{found.name}")
        for name, value in vars(module).items():
            if isinstance(value, Statement):
                yield f"{found.name}.{name}", value
            elif isinstance(value, dict):
                yield from (
                    (f"{found.name}.{name}, {key}", each) for key, each in value.items() if isinstance(each, Statement)
                )


# A log that is verified or imported, or has content to erase, is read as a whole.
WHOLE_LOGS = ("erase.", "erasures.", "run_states.")
STATEMENTS = {
    **{name: each.text(DIALECT) for name, each in statements() if not name.startswith(WHOLE_LOGS)},
}


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """The tables, empty: the planner knows nothing of what they will hold."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        add_whole(opened)
        migrate(opened, "memory")
        yield opened


def _of_what_is_asked(step: str) -> bool:
    return "VIRTUAL TABLE" in step or step in (
        "SCAN CONSTANT ROW",
        "SCAN asked",
        "SCAN known",
        "SCAN search",
        "SCAN entered",
        "SCAN pointed",
    )


def steps_of(connection: sqlite3.Connection, sql: str, given: Given) -> list[str]:
    """The plan's steps; those that look into tables must search them by more of their key than the project."""
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", given)]
    tables = [step for step in steps if step.startswith(("SCAN", "SEARCH")) and not _of_what_is_asked(step)]
    assert tables
    for step in tables:
        assert step.startswith("SEARCH"), steps
        assert not step.endswith("(project=?)"), steps
    return steps


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_walks_through_no_table(connection: sqlite3.Connection, name: str) -> None:
    """Each table is searched by more of its key than the project; only the requested rows are scanned."""
    sql = STATEMENTS[name].format("TRUE")
    steps = steps_of(connection, sql, dict.fromkeys(re.findall(r":(\w+)", sql), "[]") or [1] * sql.count("?"))

    assert not [step for step in steps if step.endswith("(project=? AND revision<?)")], steps


class Planned(SqliteSession):
    """A session that also keeps the plan of each statement."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.plans: list[list[str]] = []
        self._explained = connection

    async def fetch(self, *selects: Select) -> list[list[Row]]:
        self.plans += [plan_of(self._explained, select) for select in selects]
        return await super().fetch(*selects)

    async def fetch_page(self, select: Select, limit: int, image: int) -> tuple[list[Row], bool]:
        self.plans.append(plan_of(self._explained, select))
        return await super().fetch_page(select, limit, image)


def plan_of(connection: sqlite3.Connection, select: Select) -> list[str]:
    """The steps of a statement's plan."""
    plan = connection.execute(f"EXPLAIN QUERY PLAN {select.text(DIALECT)}", select.parameters)
    return [row[3] for row in plan]


@pytest.mark.parametrize("deep", [False, True])
async def test_a_page_in_a_lists_own_order_sorts_nothing(connection: sqlite3.Connection, deep: bool) -> None:
    """A page of versions, models, runs or artifacts is read along an index from where the page before ended."""
    connection.execute("INSERT INTO projects (id, name, log_id) VALUES (1, 'default', 'x')")
    connection.execute("INSERT INTO models VALUES (1, 1, 'm', 3, 0, 1)")
    session = Planned(connection)
    number = Order("number", Kind.NUMBER, descending=True)
    start = Order("start_revision", Kind.NUMBER)
    at_number, at_name = ((7,), ("m",)) if deep else ((), ())
    await lists.versions_page(session, 1, 1, 9, 9 + deep, Query(limit=5, order=(number,), after=at_number))
    by_name = Query(limit=5, order=(Order("name", Kind.TEXT),), after=at_name)
    await lists.models_page(session, 1, 9, 9, by_name)
    await lists.models_page(session, 1, 9, 10, by_name)
    await lists.runs_page(session, 1, 9, Query(limit=5, order=(start,), after=at_number), None)
    await lists.artifacts_page(session, 1, 1, 1, 9, Query(limit=5, order=(start,), after=at_number))
    pages = [plan for plan in session.plans if len(plan) > 1]
    assert len(pages) == 5
    for plan in pages:
        assert not [step for step in plan if "TEMP B-TREE" in step or _scans(step)], plan
        # A thing as it was is found by its own changes, and not by all that was changed before.
        of_it = re.compile(r"=\? AND revision[<>]\?\)$")
        assert not [step for step in plan if step.startswith("SEARCH past") and not of_it.search(step)], plan
        assert not [step for step in plan if step.endswith("(project=? AND revision<?)")], plan


def _scans(step: str) -> bool:
    return step.startswith("SCAN") and step not in ("SCAN search", "SCAN CONSTANT ROW")


@pytest.mark.parametrize(
    "scope",
    [
        Scope(),
        Scope(model_id=1),
        Scope(model_id=1, number=1),
        Scope(model_id=1, newest_first=True, before=9),
        Scope(model_id=1, number=1, newest_first=True),
    ],
)
def test_a_history_is_read_along_an_index(connection: sqlite3.Connection, scope: Scope) -> None:
    """The events of a model or a version are found by an index that has them in order."""
    for select in (history.events_of_scope(DIALECT, 1, scope, 10), history.end_of_scope(1, scope, 10)):
        plan = steps_of(connection, select.text(DIALECT), select.parameters)
        assert not [step for step in plan if "TEMP B-TREE" in step], plan


@pytest.mark.parametrize(
    "scope",
    [
        Scope(kinds=frozenset({EventKind.STAGE_CHANGED, EventKind.ALIAS_SET})),
        Scope(kinds=frozenset({EventKind.RUN_FINISHED}), newest_first=True),
        Scope(model_id=1, kinds=frozenset({EventKind.STAGE_CHANGED}), newest_first=True, before=9),
        Scope(model_id=1, number=1, kinds=frozenset({EventKind.STAGE_CHANGED, EventKind.VERSION_DELETED})),
    ],
)
def test_events_of_a_kind_are_found_among_any_number_of_others(connection: sqlite3.Connection, scope: Scope) -> None:
    """Each kind is searched by itself, of the project, the model or the version, from where the page before ended."""
    plan = plan_of(connection, history.rare_kinds(DIALECT, 1, scope, 10))
    searches = [step for step in plan if "events" in step]
    assert len(searches) == len(scope.kinds)
    owner = "" if scope.model_id is None else "model=? AND " if scope.number is None else "model=? AND number=? AND "
    sign = "<" if scope.newest_first else ">"
    for step in searches:
        assert step.startswith("SEARCH events USING COVERING INDEX"), plan
        assert step.endswith(f"(project=? AND {owner}kind=? AND revision{sign}?)"), plan
