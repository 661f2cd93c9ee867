"""Restores a backup that `serve --backup-to` has made: verified on its way, with the checkpoint beside it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tallymark_server.operations.backup_folder import BackupError, BackupFolder, checkpoint_of
from tallymark_server.storage import checkpoint
from tallymark_server.storage.atomic_files import placed
from tallymark_server.storage.sqlite.verification import verify


class Restored(NamedTuple):
    """The name of the backup, and the revision of each project in it."""

    name: str
    revisions: dict[str, int]


def restore(source: str, db: Path, at: datetime | None = None) -> Restored:
    """Place the newest backup in the folder or at the URL, or the newest until that time, as a new file.

    `source` may also be the database of one backup. Raises BackupError, CannotPlaceError and CannotOpenError.
    """
    folder, backup = _found(source, at)
    with placed(db) as partial, TemporaryDirectory(prefix="tallymark-") as room:
        for beside in (db.with_name(f"{db.name}-wal"), db.with_name(f"{db.name}-journal")):
            if beside.exists():
                # SQLite would apply it to the restored file.
                raise BackupError(f"{beside} is of another file; move it away first")
        folder.get(backup, partial)
        known = {}
        if folder.has(checkpoint_of(backup)):
            marks = Path(room, "checkpoint.json")
            folder.get(checkpoint_of(backup), marks)
            known = checkpoint.read(marks)
        proof = verify(partial, known)
        if proof.problems:
            where, what = proof.problems[0]
            raise BackupError(f"{backup} is damaged, and not restored: {where}: {what}; take an older one with --at")
    return Restored(backup, {project: mark.revision for project, mark in proof.marks.items()})


def _found(source: str, at: datetime | None) -> tuple[BackupFolder, str]:
    if source.endswith(".db"):
        parent, _, name = source.rpartition("/")
        return BackupFolder(parent or "."), name
    folder = BackupFolder(source)
    kept = [each for each in folder.backups() if at is None or each.time <= at]
    if len({each.stem for each in kept}) > 1:
        raise BackupError(f"{source} has backups of several files; name one backup, such as {source}/{kept[-1].name}")
    if not kept:
        until = "" if at is None else f" from {at:%Y-%m-%d %H:%M} or before"
        raise BackupError(f"there is no backup in {source}{until}")
    return folder, kept[-1].name
