"""Fixtures: the command `tallymark`, in this process, in one of its own, and on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tallymark import Client
from tallymark.cli import main
from tallymark.testing import Server

PROGRAM = Path(sys.executable).with_name("tallymark")

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _no_contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test its own folders for contexts and for services in the background."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def run(registry: Server) -> Run:
    """Run a command in this process."""
    return lambda *arguments, **options: CliRunner().invoke(main, arguments, catch_exceptions=False, **options)


@pytest.fixture
def output_of(run: Run) -> Callable[..., str]:
    """Run a command that succeeds, and return its output."""

    def said(*arguments: str) -> str:
        done = run(*arguments)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    return said


@pytest.fixture
def client(registry: Server) -> Iterator[Client]:
    """A client, with which commands are compared."""
    with Client() as made:
        yield made


@pytest.fixture
def churn(client: Client) -> Client:
    """The model `churn` with three versions: 1 in the archive, 2 in production and champion, 3 without a stage."""
    client.create_model("churn", description="who leaves", tags=["growth"])
    client.create_version("churn", "1.0.5", metadata={"auc": 0.8, "depth": 2})
    client.create_version("churn", metadata={"auc": 0.9, "note": "better"})
    client.create_version("churn", "rc")
    client.set_stage("churn/1", "production")
    client.set_stage("churn/2", "production", force=True, reason="better")
    client.set_alias("churn/2", "champion")
    return client


class Process:
    """A command in its own process, whose output is read as it arrives."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def lines(self, count: int) -> list[str]:
        """Return the next lines of its output."""
        assert self.process.stdout
        return [self.process.stdout.readline().rstrip("\n") for _ in range(count)]

    def end(self, signal: int) -> tuple[int, str, str]:
        """End it by a signal; return its exit code, the rest of its output, and its messages."""
        self.process.send_signal(signal)
        out, err = self.process.communicate()
        return self.process.returncode, out, err


@pytest.fixture
def start(registry: Server) -> Iterator[Callable[..., Process]]:
    """Start a command in its own process."""
    started: list[Process] = []

    def begin(*arguments: str) -> Process:
        started.append(Process(*arguments))
        return started[-1]

    yield begin
    for each in started:
        each.process.kill()
        each.process.communicate()


@contextmanager
def pseudo_terminal() -> Iterator[tuple[int, int]]:
    """Yield both ends of a terminal: the person's and the program's."""
    person, program = pty.openpty()
    termios.tcsetwinsize(program, (40, 200))
    try:
        yield person, program
    finally:
        for end in (person, program):
            with suppress(OSError):
                os.close(end)


@pytest.fixture
def on_terminal(registry: Server) -> Callable[..., tuple[int, str]]:
    """Run a command on a terminal on which a person types: its exit code, and what the terminal shows.

    With `meanwhile`, the person types only after a question was shown and `meanwhile` has been called.
    """

    def show(
        *arguments: str, typed: str = "", meanwhile: Callable[[], object] | None = None, **environment: str
    ) -> tuple[int, str]:
        with pseudo_terminal() as (person, program):
            if meanwhile is None:
                os.write(person, typed.encode())
            streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), program)
            plain = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
            with subprocess.Popen(
                [PROGRAM, *arguments], env={**plain, "TERM": "xterm", **environment}, **streams
            ) as it:
                os.close(program)
                shown = b""
                # A terminal whose last program has ended gives an error, not an end.
                with suppress(OSError):
                    while some := os.read(person, 65536):
                        shown += some
                        if meanwhile is not None and b"?" in shown:
                            meanwhile()
                            meanwhile = None
                            os.write(person, typed.encode())
            return it.returncode, shown.decode().replace("\r\n", "\n")

    return show
