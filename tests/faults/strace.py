"""A server under strace, and the checks of the traced writes, syncs and replies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from system_programs import program
from tallymark.testing import STOP_TIMEOUT, Server, _plain_environment

TRACED = "openat,pwrite64,ftruncate,fsync,fdatasync,unlink,rename,sendmsg"
COMMAND = ("-f", "-tt", "-y", "-xx", "-s", "1000000", "--seccomp-bpf", "-e", "signal=none")
_LINE = re.compile(r"(\d+) +[\d:.]+ (.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)", re.DOTALL)
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_OPENED = re.compile(r"^\d+<((?:\\x[0-9a-f]{2})+)>")
_WAL_FRAME_HEADER = 24


@dataclass(frozen=True, slots=True)
class Step:
    """A successful system call, with its file and the lines of the trace at which it began and ended.

    For a rename, `path` is the new path, and `data` the old one.
    """

    what: str
    path: Path | None
    data: bytes
    offset: int
    begun: int
    ended: int

    @property
    def commits(self) -> bool:
        """Whether the call writes the header of the last frame of a commit to a write-ahead log."""
        return (
            self.what == "pwrite64"
            and self.path is not None
            and self.path.name.endswith("-wal")
            and len(self.data) == _WAL_FRAME_HEADER
            and self.data[4:8] != bytes(4)
        )


@cache
def strace() -> str:
    """Return the path of strace, which is installed if possible, so that its tests are not skipped on Linux."""
    if sys.platform != "linux":
        pytest.skip("system calls are traced on Linux alone")
    return program("strace", packages=("strace",))


class TracedServer(Server):
    """A server under strace. `module` is the program that is run."""

    def __init__(self, db: Path, module: str = "tallymark_server") -> None:
        super().__init__(db)
        self._module = module
        self._trace = db.with_suffix(".strace")

    @property
    def pid(self) -> int:
        """The process id of the server, which is a child of strace."""
        tracer = super().pid
        return int(Path(f"/proc/{tracer}/task/{tracer}/children").read_text().split()[0])

    def start(self) -> None:
        serve = [sys.executable, "-m", self._module, "--no-ui", "--db", str(self.db), "--listen", self.address]
        with self.log_file.open("a") as log:
            self._process = subprocess.Popen(
                [strace(), *COMMAND, "-e", f"trace={TRACED}", "-o", str(self._trace), *serve],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=_plain_environment(),
                cwd=Path(__file__).parents[1],
            )
        assert self._process.stdout is not None
        announced = self._process.stdout.readline()
        assert " on " in announced, self.log_file.read_text()
        self.address = announced.rsplit(" on ", 1)[1].strip()

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        process = self._started()
        assert process.wait(STOP_TIMEOUT) == 0, self.log_file.read_text()
        assert process.stdout is not None
        process.stdout.close()

    def steps(self) -> list[Step]:
        """Return the calls on the database's files and the replies to clients, in the order in which they ended."""
        files = {self.db.with_name(self.db.name + suffix) for suffix in ("", "-wal", "-journal", "-head", "-head.new")}
        steps = [step for step in steps_of(self._trace.read_text()) if step.path in {None, self.db.parent, *files}]
        return sorted(steps, key=lambda step: step.ended)


def steps_of(trace: str) -> Iterator[Step]:
    """Yield the successful calls of a trace, and join those that strace split in two lines."""
    unfinished: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(trace.splitlines()):
        found = _LINE.fullmatch(line)
        assert found, line
        thread, text = found.groups()
        begun = number
        if text.endswith("<unfinished ...>"):
            unfinished[thread] = text.removesuffix("<unfinished ...>"), number
            continue
        if text.startswith("<... "):
            first, begun = unfinished.pop(thread)
            text = first + text.split("resumed>", 1)[1]
        if (call := _CALL.match(text)) and int(call[3]) >= 0:
            yield from _step(call[1], call[2], begun, number)


def _step(what: str, arguments: str, begun: int, ended: int) -> Iterator[Step]:
    texts = [bytes.fromhex(found.replace("\\x", "")) for found in _TEXT.findall(arguments)]
    opened = _OPENED.match(arguments)
    path = Path(bytes.fromhex(opened[1].replace("\\x", "")).decode()) if opened else None
    match what:
        case "sendmsg":
            yield Step(what, None, b"".join(texts), 0, begun, ended)
        case "rename":
            yield Step(what, Path(texts[1].decode()), texts[0], 0, begun, ended)
        case "unlink":
            yield Step(what, Path(texts[0].decode()), b"", 0, begun, ended)
        case "openat" if "O_CREAT" in arguments:
            yield Step(what, Path(texts[0].decode()), b"", 0, begun, ended)
        case "pwrite64":
            yield Step(what, path, texts[0], int(arguments.rsplit(", ", 1)[1]), begun, ended)
        case "ftruncate":
            yield Step(what, path, b"", int(arguments.rsplit(", ", 1)[1]), begun, ended)
        case "fsync" | "fdatasync":
            yield Step("sync", path, b"", 0, begun, ended)


def answered_too_early(steps: list[Step], tokens: list[str]) -> list[str]:
    """Return the tokens of the requests whose replies were sent before their commit was synced."""
    return [token for token in tokens if not _durable_before_answered(steps, token.encode())]


def _durable_before_answered(steps: list[Step], token: bytes) -> bool:
    answer = next(step for step in steps if step.what == "sendmsg" and token in step.data)
    before = [step for step in steps if step.ended < answer.begun and step.path and step.path.name.endswith("-wal")]
    writes = [step for step in before if step.what == "pwrite64"]
    # Each frame of the log is written as a header and a page. The header of a commit's last frame marks the commit.
    page = next((place for place, step in enumerate(writes) if token in step.data), 0)
    last = next((place for place, step in enumerate(writes) if place >= page - 1 and step.commits), len(writes))
    return page > 0 and any(
        step.what == "sync" and step.begun > frame.ended for frame in writes[last + 1 : last + 2] for step in before
    )


@contextmanager
def failing_calls(server: Server, fault: str) -> Iterator[None]:
    """Make system calls of the server fail during the block, as `strace --inject` describes."""
    command = [strace(), "-f", "-p", str(server.pid), "-e", f"inject={fault}", "-o", "/dev/null"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        assert "attached" in (line := tracer.stderr.readline()), line
        try:
            yield
        finally:
            tracer.send_signal(signal.SIGINT)
