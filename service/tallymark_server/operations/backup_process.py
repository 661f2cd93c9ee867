"""The program that makes one backup beside the server, if one is due. It reads an order, and prints the result.

It ends as soon as its input ends: then the server has stopped.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

from tallymark_server.operations.backup_folder import BackupError, BackupFolder, checkpoint_of, name_of
from tallymark_server.storage import checkpoint
from tallymark_server.storage.atomic_files import CannotPlaceError
from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.side_process import print_result
from tallymark_server.storage.sqlite.backup import backup
from tallymark_server.storage.sqlite.verification import verify


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
    """Back the file up unless the newest backup is younger than the order says. Raises what `_outcome` reports."""
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
    print_result(partial(_outcome, Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=Order)))


def _outcome(db: Path, order: Order) -> Outcome:
    try:
        return make_if_due(db, order, datetime.now(UTC))
    except (BackupError, CannotOpenError, CannotPlaceError) as error:
        return Outcome(problem=str(error))
    except Exception as error:  # noqa: BLE001 - drivers of stores raise errors of their own kinds
        return Outcome(problem=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
