"""A real server on a file of its own, for tests of programs that use Tallymark.

    def test_training_records_a_version(registry):
        training_pipeline()
        assert Model("churn", version="latest").number == 1

This module is a plugin of pytest, so its fixtures need no import. `registry` starts a server for each test;
`shared_registry` starts one for all tests of the session, which is faster, and numbers go on from test to test.

What decides where and how is recorded is theirs alone: TALLYMARK_ variables, what `tallymark.configure` has set, and a
context in use count again only after them. What a test sets once it has the fixture is in force.

Needs the service and pytest: `pip install 'tallymark[server]' pytest`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self
from urllib.parse import urlsplit

try:
    import pytest
except ModuleNotFoundError:
    raise ModuleNotFoundError("tallymark.testing needs pytest: pip install pytest", name="pytest") from None

from tallymark.settings import unconfigured

STOP_TIMEOUT = 30.0


class ServerError(Exception):
    """The server did not start, or did not stop cleanly; the message is what it said."""


class Server:
    """A Tallymark server in a process of its own.

    `db` is its SQLite file. `address` is HOST:PORT or unix:PATH; it stays the same when the server is restarted.
    `options` are further flags of `tallymark serve`. `http` is where a dashboard listens, which is then at `dashboard`.
    """

    def __init__(
        self, db: Path, options: Sequence[str] = (), *, address: str = "127.0.0.1:0", http: str | None = None
    ) -> None:
        self.db = db
        self.address = address
        self.dashboard = ""
        self._http = http
        self._options = options
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.stop()

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._started().pid

    @property
    def log_file(self) -> Path:
        """What it has logged, in the order of time."""
        return self.db.with_suffix(".log")

    def start(self) -> None:
        """Start, and return when it answers; ServerError."""
        command = [sys.executable, "-m", "tallymark_server", "--db", str(self.db), "--listen", self.address]
        command += ["--no-ui"] if self._http is None else ["--http", self._http]
        try:
            log = self.log_file.open("a")
        except OSError as error:
            raise ServerError(f"Error: cannot write {self.log_file}: {error.strerror}") from None
        with log:
            self._process = subprocess.Popen(  # noqa: S603 - the program is ours
                [*command, *self._options], stdout=subprocess.PIPE, stderr=log, text=True, env=_plain_environment()
            )
        announced = _lines(self._process).readline()
        if " on " not in announced:
            self._process.wait()
            _lines(self._process).close()
            raise ServerError(self._last_word())
        self.address = announced.rsplit(" on ", 1)[1].strip()
        if self._http is not None:
            self.dashboard = _lines(self._process).readline().rsplit(" at ", 1)[1].strip()
            # A restart is to listen where this has; a socket is named without a scheme.
            self._http = urlsplit(self.dashboard).netloc or self.dashboard

    def stop(self) -> None:
        """Stop gracefully: what waits is answered first; ServerError if it does not end well."""
        process = self._started()
        process.send_signal(signal.SIGTERM)
        code = process.wait(STOP_TIMEOUT)
        _lines(process).close()
        if code != 0:
            raise ServerError(f"the server ended with code {code}:\n{self.log_file.read_text()}")

    def kill(self) -> None:
        """End it at once, as a crash would."""
        process = self._started()
        process.kill()
        process.wait(STOP_TIMEOUT)
        _lines(process).close()

    def restart(self) -> None:
        """Stop gracefully and start again on the same file and the same port."""
        self.stop()
        self.start()

    def _last_word(self) -> str:
        """The line in which the server says why it ended."""
        lines = [line for line in self.log_file.read_text().splitlines() if line.strip()]
        return lines[-1] if lines else "the server ended without a word"

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise ServerError("the server was not started")
        return self._process


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Server]:
    """Start a server on a fresh file, in which this process's SDK records; artifacts are saved beside it."""
    with _recording_in(tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def shared_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start a server for all tests of the session, in which this process's SDK records from the first use on."""
    with _recording_in(tmp_path_factory.mktemp("tallymark")) as server:
        yield server


@contextmanager
def _recording_in(folder: Path) -> Iterator[Server]:
    with Server(folder / "tallymark.db") as server, pytest.MonkeyPatch.context() as monkeypatch, unconfigured():
        for name in [name for name in os.environ if name.startswith("TALLYMARK_")]:
            monkeypatch.delenv(name)
        # With an address in the environment, a context counts only if it is named there, too.
        monkeypatch.setenv("TALLYMARK_URL", server.address)
        monkeypatch.setenv("TALLYMARK_STORE", str(folder / "artifacts"))
        monkeypatch.setenv("TALLYMARK_SPOOL", str(folder / "spool"))
        yield server


def _plain_environment() -> dict[str, str]:
    """The environment without settings that would change the server under test."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TALLYMARK_")}


def _lines(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None, "the process was started with a pipe"  # noqa: S101
    return process.stdout
