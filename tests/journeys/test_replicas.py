"""Several servers on one database of PostgreSQL, which answer as one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import server_on
from postgres_server import Databases

from tallymark import Client
from tallymark.testing import Server
from tallymark.types.enums import RunState

Servers = tuple[Server, Server]


@pytest.fixture(params=["heard", "not heard"])
def servers(request: pytest.FixtureRequest, postgres: Databases, tmp_path: Path) -> Iterator[Servers]:
    """Two servers on an empty database. Notices of another database, where they may listen instead, are not heard."""
    with postgres.new() as name, ExitStack() as stack:
        options = () if request.param == "heard" else ("--db-listen", postgres.url("postgres"))
        folders = (tmp_path / "one", tmp_path / "other")
        for folder in folders:
            folder.mkdir()
        one, other = (stack.enter_context(server_on(postgres.url(name), folder, *options)) for folder in folders)
        yield one, other


def test_what_one_server_answers_the_other_knows(servers: Servers) -> None:
    """A version that one server has created is read at the other one at once, and numbers go on there."""
    one, other = (Client(server.address) for server in servers)
    one.create_model("churn")
    for number in range(1, 6):
        writer, reader = (one, other) if number % 2 else (other, one)
        assert writer.create_version("churn").number == number
        assert reader.get_version("churn/latest").number == number
    assert [model.last_number for model in one.list_models()] == [5]


def test_a_watch_at_one_server_shows_what_the_other_writes(servers: Servers) -> None:
    """A watcher gets each event once and in order, whichever server has written it."""
    one, other = (Client(server.address) for server in servers)
    one.create_model("churn")
    watched = one.watch(after_revision=0)
    revisions = [next(watched).revision]
    for number in range(1, 11):
        (one, other)[number % 2].create_version("churn")
        revisions.append(next(watched).revision)
    assert revisions == list(range(1, 12))


def test_a_run_is_alive_if_any_server_hears_of_it(servers: Servers) -> None:
    """A run that one server has started, and whose heartbeats only reach the other, is not lost; a silent one is."""
    one, other = (Client(server.address) for server in servers)
    one.start_run("heard", pipeline="training", heartbeat_timeout=timedelta(seconds=1))
    for silent in ("first", "second"):
        one.start_run(silent, pipeline="training", heartbeat_timeout=timedelta(seconds=1))
        # By then the server that has started both runs has looked twice for signs of the other.
        while one.get_run(silent).state is RunState.RUNNING:
            assert other.heartbeat_run("heard").state is RunState.RUNNING
        assert one.get_run(silent).state is RunState.LOST
    assert one.get_run("heard").state is RunState.RUNNING
    assert [event.kind for event in one.list_events() if event.kind == "run_lost"] == ["run_lost"] * 2
