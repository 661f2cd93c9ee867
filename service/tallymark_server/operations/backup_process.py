"""The program that makes one backup beside the server, if one is due. It reads an order, and prints the result.

It ends as soon as its input ends: then the server has stopped.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from tallymark_server.operations.backup_folder import BackupError, BackupFolder, checkpoint_of, name_of
from tallymark_server.storage import checkpoint
from tallymark_server.storage.atomic_files import CannotPlaceError
from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.sqlite.backup import backup
from tallymark_server.storage.sqlite.verification import verify

# The server has precedence.
NICENESS = 10


class Order(Struct):
    """Where to back the file up, every how many seconds, and how many backups to keep. The file is passed beside it."""

    to: str
    every: float
    keep: int


class Outcome(Struct):
    """What was done: the name of the new backup, empty if none was due, or why there is none.

    `newest` is the time of the newest backup, in seconds since 1970, and `due` in how many seconds the next is.
    """

    made: str = ""
    problem: str = ""
    newest: float = 0.0
    due: float = 0.0
    removed: int = 0
    size: int = 0


def make_if_due(db: Path, order: Order, now: datetime) -> Outcome:
    """Back the file up unless the newest backup is younger than the order says. Raises what `main` reports."""
    folder = BackupFolder(order.to)
    kept = folder.backups(db.stem)
    if kept and 0 <= (age := (now - kept[-1].time).total_seconds()) < order.every:
        return Outcome(newest=kept[-1].time.timestamp(), due=order.every - age)
    name = name_of(db.stem, now)
    with folder.staging() as room:
        copy = room / name
        backup(db, copy, lambda _, __: None)
        proof = verify(copy)
        if proof.problems:
            where, what = proof.problems[0]
            raise BackupError(f"the copy is damaged, and not kept: {where}: {what}; run tallymark verify --db {db}")
        checkpoint.write(room / checkpoint_of(name), proof.marks)
        # A backup without its database is none, so the database comes last.
        folder.put(room / checkpoint_of(name))
        folder.put(copy)
        size = copy.stat().st_size
    old = folder.backups(db.stem)[: -order.keep]
    for each in old:
        folder.remove(each)
    return Outcome(made=name, newest=now.timestamp(), due=order.every, removed=len(old), size=size)


def main() -> None:
    """Make the backup that the order describes."""
    # Ctrl-C is for the server, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    db, order = Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=Order)
    threading.Thread(target=_end_with, args=(sys.stdin.buffer,), daemon=True).start()
    try:
        outcome = make_if_due(db, order, datetime.now(UTC))
    except (BackupError, CannotOpenError, CannotPlaceError) as error:
        outcome = Outcome(problem=str(error))
    except Exception as error:  # noqa: BLE001 - drivers of stores raise errors of their own kinds
        outcome = Outcome(problem=f"{type(error).__name__}: {error}")
    sys.stdout.buffer.write(msgspec.json.encode(outcome))
    sys.stdout.buffer.flush()
    # The thread that waits for the end of the input would hold up an orderly end.
    os._exit(0)


def _end_with(given: BinaryIO) -> None:
    given.read()
    os._exit(1)


if __name__ == "__main__":
    main()
