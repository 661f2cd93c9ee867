"""Fixtures: a real server on a real SQLite file, in a separate process."""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_calls import Calls
from hypothesis import HealthCheck, settings
from postgres_server import QUICK, Databases, PostgresServer

from tallymark.testing import Server, registry

__all__ = ["registry"]

ENGINES = ("sqlite", "postgres")
# All tests of these folders run on both engines, unless they are about a file, or no database has a part in them.
ON_BOTH = {"rpc", "storage"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once on each engine, if it is for both and uses a database at all."""
    marked = metafunc.definition.get_closest_marker
    on_both = metafunc.definition.path.parent.name in ON_BOTH or marked("both_engines")
    if "engine" in metafunc.fixturenames and on_both and not marked("sqlite_only"):
        metafunc.parametrize("engine", ENGINES, indirect=True)


# A background job of a shell ignores SIGINT, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline for examples, since their time depends on the load of the machine.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True, scope="session")
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use empty folders for settings and state, so that those of the developer have no effect on the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            patch.setenv(variable, str(tmp_path_factory.mktemp(variable.lower())))
        yield


@pytest.fixture
def unblocked_event_loop() -> Iterator[None]:
    """Fail a test that runs code of the server which blocks the test's event loop."""
    from event_loop import watched_event_loop

    with watched_event_loop():
        yield


@pytest.fixture(autouse=True)
def _event_loop(request: pytest.FixtureRequest) -> None:
    """Watch the event loop of every asynchronous test: `event_loop.py` lists what may block it, and why."""
    if inspect.iscoroutinefunction(request.function):
        request.getfixturevalue("unblocked_event_loop")


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set the folder in which the processes of this test keep records that are not sent yet."""
    folder = tmp_path / "spool"
    monkeypatch.setenv("TALLYMARK_SPOOL", str(folder))
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    """Start a PostgreSQL server for the tests of this process, or use the one of TALLYMARK_TEST_POSTGRES."""
    if url := os.environ.get("TALLYMARK_TEST_POSTGRES"):
        yield Databases(url)
        return
    with PostgresServer(*QUICK) as running:
        yield Databases(running.url())


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """Return the engine to test: SQLite, unless `pytest_generate_tests` has chosen others."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture
def database(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the name of an empty database of that engine: a file or a URL."""
    if engine == "sqlite":
        yield str(tmp_path / "tallymark.db")
        return
    databases: Databases = request.getfixturevalue("postgres")
    with databases.new() as name:
        yield databases.url(name)


@pytest.fixture
def server(database: str, tmp_path: Path) -> Iterator[Server]:
    """Start a server on an empty database."""
    with server_on(database, tmp_path) as running:
        yield running


def server_on(database: str, folder: Path, *options: str) -> Server:
    """Return a server on that database, a file or a URL, with its log in the folder."""
    return Server(folder / "tallymark.db", [*options, "--db", database])


@pytest.fixture
def registry_env(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Return the same server, set as the one that the SDK of this process records to."""
    monkeypatch.setenv("TALLYMARK_URL", server.address)
    return server


@pytest.fixture
def calls(server: Server) -> Iterator[Calls]:
    """Return calls to the server over one channel."""
    with grpc.insecure_channel(server.address) as channel:
        yield Calls(channel)
