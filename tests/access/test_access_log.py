"""The access log: whole lines, whatever becomes of the file, and never a delay of a call."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sdk.killed_programs import wait_until

from tallymark_server.access import access_log
from tallymark_server.access.access_log import MAX_WAITING, AccessLog, CannotLogError, Line


def line(method: str) -> Line:
    return Line(time="t", caller="ci", method=method, resource="r", code="OK", peer="p", ms=1.5, over="grpc")


def methods(path: Path) -> list[str]:
    """Return the methods of the lines of a file."""
    return [json.loads(each)["method"] for each in path.read_text().splitlines()]


@contextmanager
def logging_to(path: Path, *names: str) -> Iterator[AccessLog]:
    """Write a line for each method, then close the log."""
    with closing(AccessLog(path)) as log:
        for name in names:
            log.write(line(name))
        yield log


def test_lines_are_appended_to_a_file_of_its_owner(tmp_path: Path) -> None:
    """A line has who, what, when, where from, the outcome and the duration; earlier lines stay."""
    path = tmp_path / "access.log"
    with logging_to(path, "GetModel"):
        pass
    with logging_to(path, "SetStage"):
        pass
    assert json.loads(path.read_text().splitlines()[0]) == {
        "time": "t", "caller": "ci", "method": "GetModel", "resource": "r", "code": "OK", "peer": "p", "ms": 1.5,
        "over": "grpc",
    }  # fmt: skip
    assert methods(path) == ["GetModel", "SetStage"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_moved_away_is_followed_by_a_new_one(tmp_path: Path) -> None:
    """Lines after a rotation by moving go to a new file, and by copying and truncating to the same; none is lost."""
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    with logging_to(path, "first") as log:
        wait_until(lambda: path.read_text() != "")
        path.rename(moved)
        log.write(line("second"))
        wait_until(lambda: path.exists() and path.read_text() != "")
        os.truncate(path, 0)
        log.write(line("third"))
    assert (methods(moved), methods(path)) == (["first"], ["third"])


def test_a_full_disk_loses_lines_and_says_so(tmp_path: Path) -> None:
    """Nothing raises while lines cannot be written; the first line afterwards has the number of those lost."""
    path = tmp_path / "access.log"
    path.symlink_to("/dev/full")
    with logging_to(path, "first", "second") as log:
        wait_until(lambda: log.lost > 0)
        lost = log.lost
        path.unlink()
        log.write(line("third"))
    first, *rest = [json.loads(each) for each in path.read_text().splitlines()]
    assert (first["lost"] >= lost, {each["method"] for each in rest} <= {"second", "third"}) == (True, True)
    assert rest[-1]["method"] == "third"
    assert first["lost"] + len(rest) == 3


def test_lines_beyond_what_may_wait_are_counted(tmp_path: Path) -> None:
    """A disk that is slower than the calls costs lines, and not memory without bound."""
    path = tmp_path / "access.log"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = AccessLog(path)
    for _ in range(MAX_WAITING * 3):
        log.write(line("x" * 200))
    assert log.lost > 0
    os.close(reader)
    log.close()


def test_a_file_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    """The error names the file and what to do."""
    with pytest.raises(CannotLogError, match="cannot write the access log .*: Is a directory; name another file"):
        AccessLog(tmp_path)


def test_a_pipe_that_nobody_reads_is_refused_at_the_start(tmp_path: Path) -> None:
    """The start does not wait for a reader, but says that there is none."""
    path = tmp_path / "access.log"
    os.mkfifo(path)
    with pytest.raises(CannotLogError, match="cannot write the access log .*: No such device or address"):
        AccessLog(path)


def test_a_pipe_whose_reader_has_stopped_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log closes although its last lines cannot be written."""
    monkeypatch.setattr(access_log, "PATIENCE", 0.1)
    path = tmp_path / "access.log"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with logging_to(path, *["x" * 1000] * 200):
        pass
    os.close(reader)
