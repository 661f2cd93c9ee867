"""The access log: a line of JSON for each call and each page, also for those that are refused.

A thread writes it, so that neither a slow nor a full disk delays a call. Lines that cannot be written are counted, and
the next line that can has the count.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog
from msgspec import Struct, json

# How many lines may wait for the disk.
MAX_WAITING = 50_000
# The seconds during which lines gather, so that they are written together.
GATHER = 0.1
# The seconds that the last lines may take.
PATIENCE = 5.0
# The characters of a name that a line has; longer ones are cut.
MAX_TEXT = 512

_log = structlog.get_logger()
_encoder = json.Encoder()


class CannotLogError(Exception):
    """The access log cannot be opened. The message says why, and what to do next."""


class Line(Struct, omit_defaults=True):
    """A call or a page: who requested what, from where, when, how it ended, and how many milliseconds it took."""

    time: str
    caller: str
    method: str
    resource: str
    code: str
    peer: str
    ms: float
    over: str
    reason: str = ""


class _Lost(Struct):
    """Lines that could not be written until that time."""

    time: str
    lost: int


class AccessLog:
    """Appends lines to a file, and opens it again after it was moved away, as logrotate does."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, for its owner only. Raises CannotLogError."""
        self._path = path
        try:
            self._file = self._open()
        except OSError as error:
            raise CannotLogError(
                f"cannot write the access log {path}: {error.strerror}; name another file with --access-log"
            ) from None
        self._waiting: list[Line] = []
        # Lines that could not be written since the last that could.
        self.lost = 0
        self._is_torn = self._is_failing = False
        self._changed = threading.Condition()
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    def write(self, line: Line) -> None:
        """Write the line soon. Never waits for the disk, and never raises."""
        with self._changed:
            if len(self._waiting) >= MAX_WAITING:
                self.lost += 1
                return
            self._waiting.append(line)
            if len(self._waiting) == 1:
                self._changed.notify()

    def close(self) -> None:
        """Write the lines that wait, and close the file. A pipe that nobody reads is left after a few seconds."""
        with self._changed:
            self._is_ending = True
            self._changed.notify()
        self._thread.join(PATIENCE)
        if not self._thread.is_alive():
            os.close(self._file)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._is_ending:
                    self._changed.wait()
                if not self._is_ending:
                    self._changed.wait_for(lambda: self._is_ending, GATHER)
                lines, self._waiting = self._waiting, []
                lost = self.lost
            if lines and self._append(lines, lost):
                with self._changed:
                    self.lost -= lost
            elif lines:
                with self._changed:
                    self.lost += len(lines)
            if self._is_ending and not self._waiting:
                return

    def _append(self, lines: list[Line], lost: int) -> bool:
        """Return whether the lines are written, after one about those that were lost."""
        head = _encoder.encode(_Lost(time_text(time.time()), lost)) + b"\n" if lost else b""
        data = head + b"".join(_encoder.encode(line) + b"\n" for line in lines)
        try:
            self._reopen_if_moved()
            # The end of a line that was cut when the disk became full.
            rest = memoryview(b"\n" + data if self._is_torn else data)
            while rest:
                rest = rest[os.write(self._file, rest) :]
                self._is_torn = bool(rest)
        except OSError as error:
            if not self._is_failing:
                _log.warning("cannot write the access log", path=str(self._path), problem=error.strerror)
            self._is_failing = True
            return False
        if self._is_failing:
            _log.info("the access log is written again", path=str(self._path), lost=lost)
        self._is_failing = False
        return True

    def _reopen_if_moved(self) -> None:
        ours = os.fstat(self._file)
        with suppress(FileNotFoundError):
            found = self._path.stat()
            if (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino):
                return
        new = self._open()
        os.close(self._file)
        self._file, self._is_torn = new, False

    def _open(self) -> int:
        # Otherwise opening a pipe that nobody reads would wait for a reader for ever.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        file = os.open(self._path, flags, 0o600)
        # A reader that is slow for a moment costs no lines.
        os.set_blocking(file, True)
        return file


def time_text(seconds: float) -> str:
    """Return a time of UTC, with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
