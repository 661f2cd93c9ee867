"""A pytest plugin with a real server on a file of its own, for tests of programs that use Tallymark.

    def test_training_records_a_version(registry):
        training_pipeline()
        assert Model("churn", version="latest").number == 1

The fixtures need no import. `registry` starts a server for each test; `shared_registry` starts one for all tests of the
session, which is faster, but numbers continue from test to test.

While a fixture is in use, TALLYMARK_ variables, calls of `tallymark.configure` before it and the context in use have no
effect. What a test sets itself is in force.

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
    """The server did not start, or did not stop cleanly; the message is from its log."""


class Server:
    """A Tallymark server in a process of its own.

    Args:
        db: Its SQLite file.
        options: Further flags of `tallymark serve`.
        address: HOST:PORT or unix:PATH at which it listens; a port of 0 chooses one, which restarts keep. With the
            options of TLS it becomes grpcs://HOST:PORT.
        http: The address of its dashboard, whose URL is then `dashboard`; None for no dashboard.
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
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._started().pid

    @property
    def log_file(self) -> Path:
        """The server's log file."""
        return self.db.with_suffix(".log")

    def start(self) -> None:
        """Start, and return once it answers.

        Raises:
            ServerError: It did not start.
        """
        command = [
            sys.executable,
            "-m",
            "tallymark_server",
            "--db",
            str(self.db),
            "--listen",
            self.address.removeprefix("grpcs://"),
        ]
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
            raise ServerError(self._last_logged())
        self.address = announced.rsplit(" on ", 1)[1].strip()
        if self._http is not None:
            self.dashboard = _lines(self._process).readline().rsplit(" at ", 1)[1].strip()
            # A restart listens at the same address; that of a socket has no scheme.
            self._http = urlsplit(self.dashboard).netloc or self.dashboard

    def stop(self) -> None:
        """Stop gracefully: requests that wait are answered first.

        Raises:
            ServerError: It ended with an error.
        """
        process = self._started()
        process.send_signal(signal.SIGTERM)
        code = process.wait(STOP_TIMEOUT)
        _lines(process).close()
        if code != 0:
            raise ServerError(f"the server ended with code {code}:\n{self.log_file.read_text()}")

    def kill(self) -> None:
        """Kill the process, as a crash would."""
        process = self._started()
        process.kill()
        process.wait(STOP_TIMEOUT)
        _lines(process).close()

    def restart(self) -> None:
        """Stop gracefully, and start again on the same file and the same address.

        Raises:
            ServerError: It ended with an error, or did not start again.
        """
        self.stop()
        self.start()

    def _last_logged(self) -> str:
        """Return the last line of the log, which says why the server ended."""
        lines = [line for line in self.log_file.read_text().splitlines() if line.strip()]
        return lines[-1] if lines else "the server ended without a word"

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise ServerError("the server was not started")
        return self._process


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Server]:
    """Start a server on a new file, and have this process's SDK use it; artifacts are saved beside the file."""
    with _recording_in(tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def shared_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start a server for all tests of the session, and have this process's SDK use it from the first use on."""
    with _recording_in(tmp_path_factory.mktemp("tallymark")) as server:
        yield server


@contextmanager
def _recording_in(folder: Path) -> Iterator[Server]:
    with Server(folder / "tallymark.db") as server, pytest.MonkeyPatch.context() as monkeypatch, unconfigured():
        for name in [name for name in os.environ if name.startswith("TALLYMARK_")]:
            monkeypatch.delenv(name)
        # With an address in the environment, the context in use does not count.
        monkeypatch.setenv("TALLYMARK_URL", server.address)
        monkeypatch.setenv("TALLYMARK_STORE", str(folder / "artifacts"))
        monkeypatch.setenv("TALLYMARK_SPOOL", str(folder / "spool"))
        yield server


def _plain_environment() -> dict[str, str]:
    """Return the environment without settings that would change the server under test."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TALLYMARK_")}


def _lines(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None, "the process was started with a pipe"  # noqa: S101
    return process.stdout
