"""The commands on files: backup, verify, export, import, and imports from other registries.

The parts of `tallymark verify` and `tallymark export` that handle the answers of a service are here too.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import click

from tallymark_server.access_commands import prove_access
from tallymark_server.command_errors import reported_errors
from tallymark_server.progress import move, progress
from tallymark_server.storage.database_url import is_url, shown

if TYPE_CHECKING:
    from tallymark_server.storage.checkpoint import Mark

_file = click.Path(path_type=Path, dir_okay=False)
_file_or_dash = click.Path(path_type=Path, dir_okay=False, allow_dash=True)
_DASH = Path("-")
# How many events that erased content are named.
_SHOWN = 20
_db = partial(click.option, "--db", default="tallymark.db", envvar="TALLYMARK_DB", show_default=True, show_envvar=True)


class DatabaseFile(click.Path):
    """A file of SQLite. A URL is refused, with what to do instead."""

    def __init__(self, instead: str) -> None:
        super().__init__(path_type=Path, dir_okay=False)
        self._instead = instead

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path. Raises click.BadParameter."""
        if is_url(str(value)):
            self.fail(f"this is a database of PostgreSQL: {self._instead}", param, ctx)
        return super().convert(value, param, ctx)


@click.command
@_db(
    type=DatabaseFile(
        "back it up with pg_dump, or with pg_basebackup and an archive of its write-ahead log; after a restore, run"
        " tallymark verify --checkpoint"
    ),
    help="The SQLite file.",
)
@click.option("--to", type=_file, required=True, help="The copy; a file that is not there yet.")
def backup(db: Path, to: Path) -> None:
    """Copy a file to a new one, while a server serves it or not.

    The copy is the registry as it was at one moment, and comes to be as a whole or not at all. To restore it, serve it:
    tallymark serve --db COPY
    """
    with reported_errors(_errors):
        from tallymark_server.storage.sqlite.backup import backup as copy

        with _warning_of_losses(db), progress("copying") as bar:
            revisions = copy(db, to, partial(move, bar))
    _say(f"{to} is a copy of {db}: {_summary(revisions)}")
    _say_without_access(db)


def _say_without_access(db: Path) -> None:
    from tallymark_server.storage.sqlite.access_file import access_file

    if (path := access_file(db)).exists():
        _say(f"tokens and grants are not in it, but in {path}: copy that file too, to where only you can read it")


@click.command
@_db(type=DatabaseFile("restore it with the tools of PostgreSQL"), help="The SQLite file.")
@click.option(
    "--from",
    "source",
    metavar="FOLDER",
    required=True,
    help="The folder or URL of `serve --backup-to`, or one backup in it, whose name ends with .db.",
)
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]),
    metavar="TIME",
    help="Restore the newest backup from no later than this time, in UTC: 2026-11-30T09:45.",
)
def restore(db: Path, source: str, at: datetime | None) -> None:
    """Restore a backup as a new file.

    It is verified first, with the checkpoint beside it. A file that exists is never overwritten.
    """
    with reported_errors(_errors), _refused_files():
        from tallymark_server.operations.backup_folder import BackupError
        from tallymark_server.operations.restore import restore as placed_backup

        try:
            restored = placed_backup(source, db, None if at is None else at.replace(tzinfo=UTC))
        except BackupError as error:
            raise click.ClickException(str(error)) from None
    _say(f"{db} is {restored.name}: {_summary(restored.revisions)}")


def holder(db: Path) -> int | None:
    """Return the process that serves the file, None if there is none."""
    from tallymark_server.storage.sqlite import file_lock

    return file_lock.holder(db)


def accept_lost_changes(db: Path, confirm: Callable[[], None]) -> None:
    """Run `tallymark accept-lost-changes`. `confirm` raises an error unless the user confirms."""
    with reported_errors(_errors):
        from tallymark_server.storage.sqlite.head_file import accept

        def agree(lost: list[str]) -> None:
            for clause in lost:
                _say(clause, err=True)
            confirm()

        accepted = accept(db.resolve(), agree)
    _say(f"{db} can be served again" if accepted else f"{db} lacks nothing that was acknowledged")


def write_export(db: str, project: str | None, at: int | datetime | None, to: Path) -> None:
    """Run `tallymark export` on a file, or on a database of PostgreSQL."""
    with reported_errors(_errors):
        from tallymark_server.storage.offline import found_file
        from tallymark_server.storage.sqlite.log_export import exported

        with (
            found_file(db, project) as file,
            _warning_of_losses(file),
            exported(file, project, at) as log,
            _sink(to) as stream,
            progress("exporting", log.events) as bar,
        ):
            for line in log.lines:
                stream.write(line)
                bar.update(1)
    _say(f"exported {log.events:,} events of {shown(db)}", err=to == _DASH)


def write_pieces(pieces: Iterable[Any], at: int | None, to: Path, whose: str) -> None:
    """Run `tallymark export` on a service, whose data is written as it arrives."""
    exported_events = 0
    with _refused_files(), _sink(to) as stream, progress("exporting", at) as bar:
        for piece in pieces:
            move(bar, piece.revision, piece.last_revision)
            stream.write(piece.lines)
            exported_events = piece.revision
    _say(f"exported {exported_events:,} events of {whose}", err=to == _DASH)


class _Proved(NamedTuple):
    """The result of a proof: the ends of the logs, the number of problems, and the first of them.

    `erased` has for each project the number of erased events and the erasing events; `advice` says what to do
    about the problems.
    """

    what: str
    events: int
    marks: dict[str, Mark]
    problems: Iterable[Any]
    problem_count: int
    erased: dict[str, tuple[int, list[int]]]
    advice: str = "restore a backup"


def prove(database: str, checkpoint: Path | None, write_checkpoint: Path | None) -> None:
    """Run `tallymark verify` on a file, or on a database of PostgreSQL."""
    with reported_errors(_errors):
        from tallymark_server.storage.offline import found_file

        with found_file(database) as db:
            _prove(db, database, checkpoint, write_checkpoint)


def _prove(db: Path, database: str, checkpoint: Path | None, write_checkpoint: Path | None) -> None:
    from tallymark_server.storage.contract import CannotOpenError
    from tallymark_server.storage.sqlite.backup import gets_other_hashes
    from tallymark_server.storage.sqlite.verification import verify

    old = gets_other_hashes(db)
    if old and (checkpoint or write_checkpoint):
        raise CannotOpenError(
            f"{db} is of Tallymark 0.1, and its hashes change when it is first served, so that no checkpoint holds"
            " for it: verify it without one, serve it once, then write one"
        )
    prove_access(database)
    proof = verify(db, _marks(checkpoint))
    proved = _Proved(
        shown(database), proof.events, {} if old else proof.marks, proof.problems, len(proof.problems), proof.erased
    )
    if proof.problems == proof.lost:
        proved = proved._replace(
            advice=f"put back {db.name}-wal, or the newer file; or go on without these changes: tallymark"
            f" accept-lost-changes --db {db}"
        )
    _conclude(proved, write_checkpoint)
    if old:
        _say(f"{db} is of Tallymark 0.1; its logs get their hashes of now when it is first served")


def prove_project(
    prove_by: Callable[[Mark | None], Any],
    project: str,
    url: str,
    checkpoint: Path | None,
    write_checkpoint: Path | None,
) -> None:
    """Run `tallymark verify` on a project of a service, from which `prove_by` requests the proof."""
    from tallymark_server.storage.checkpoint import Mark

    marks = _marks(checkpoint)
    if checkpoint and project not in marks:
        raise click.ClickException(f"{checkpoint} has no entry for project {project}; name another with --project")
    proof = prove_by(marks.get(project))
    what, stood = f"project {project} of {url}", {project: Mark(*proof.checkpoint)}
    erased = {project: (proof.erased_count, list(proof.erased_by))}
    _conclude(_Proved(what, proof.events, stood, proof.problems, proof.problem_count, erased), write_checkpoint)


def _marks(checkpoint: Path | None) -> dict[str, Mark]:
    from tallymark_server.storage import checkpoint as checkpoints

    with _refused_files():
        return checkpoints.read(checkpoint) if checkpoint else {}


def _conclude(proved: _Proved, write_checkpoint: Path | None) -> None:
    from tallymark_server.storage import checkpoint as checkpoints

    for project, mark in proved.marks.items():
        _say(f"project {project}: {mark.hash or 'no event yet'}")
    for project, (count, by) in proved.erased.items():
        if count:
            shown = ", ".join(map(str, by[:_SHOWN])) + (", ..." if len(by) > _SHOWN else "")
            revisions = "revision" if len(by) == 1 else "revisions"
            _say(f"project {project}: {_counted(count, 'content')} erased, by {revisions} {shown}")
    for problem in proved.problems:
        _say(f"{problem.where}: {problem.what}", err=True)
    if proved.problem_count:
        things = "1 thing is" if proved.problem_count == 1 else f"{proved.problem_count:,} things are"
        raise click.ClickException(f"{things} wrong with {proved.what}; {proved.advice}")
    if write_checkpoint:
        with _refused_files():
            checkpoints.write(write_checkpoint, proved.marks)
    _say(f"{proved.what} agrees with its log: {_counted(proved.events, 'event')}")


@click.command
@_db(metavar="URL", help="The database of PostgreSQL: postgresql://USER@HOST1,HOST2/NAME.")
def migrate(db: str) -> None:
    """Bring a database of PostgreSQL to the tables of this release.

    `tallymark serve` makes an empty database ready by itself, and changes no tables that are there. A file of SQLite is
    migrated when it is first served.
    """
    if not is_url(db):
        raise click.UsageError("a file of SQLite is migrated when it is first served; name a database of PostgreSQL")
    with reported_errors(_errors):
        from tallymark_server.storage.offline import migrate as apply

        steps = asyncio.run(apply(db))
    _say(f"{shown(db)} has the tables of this release: {_counted(steps, 'step')} applied")


@click.command("import")
@_db(metavar="FILE or URL", help="The SQLite file, or the database of PostgreSQL.")
@click.option("--from", "source", type=_file_or_dash, required=True, help="An export; - is standard input.")
def import_(db: str, source: Path) -> None:
    """Restore the projects of an export: in a file that no server holds, in a new one, or in PostgreSQL.

    Every event is replayed and proved on its way in: its order, its number, its hash. If a line was changed, lost or
    added, the error has its number, and nothing is imported at all. A project that has events already is refused.
    """
    with reported_errors(_errors):
        from tallymark_server.storage.offline import changed_file
        from tallymark_server.storage.sqlite.log_import import import_log

        with changed_file(db) as file, _source(source) as stream, progress("importing", _size(source)) as bar:
            revisions = import_log(file, stream, bar.update)
    _say(f"imported into {shown(db)}: {_summary(revisions)}")


def _errors() -> tuple[type[Exception], ...]:
    from tallymark_server.storage.atomic_files import CannotPlaceError
    from tallymark_server.storage.contract import CannotOpenError
    from tallymark_server.storage.sqlite.log_export import CannotExportError
    from tallymark_server.storage.sqlite.log_import import CannotImportError

    return CannotOpenError, CannotPlaceError, CannotExportError, CannotImportError


@contextmanager
def _warning_of_losses(db: Path) -> Iterator[None]:
    """Warn after the block, if the file lacks changes, that the result lacks them too."""
    from tallymark_server.storage.sqlite import head_file

    # Read first, since a server may go on writing.
    kept = head_file.read(db)
    yield
    for warning in head_file.warnings(db, kept):
        _say(f"{warning}; so does what was written", err=True)


@contextmanager
def _refused_files() -> Iterator[None]:
    """Turn errors of other files into messages of one sentence, also where the service is not installed."""
    from tallymark_server.storage.atomic_files import CannotPlaceError
    from tallymark_server.storage.checkpoint import NotACheckpointError

    try:
        yield
    except (CannotPlaceError, NotACheckpointError) as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def _sink(to: Path) -> Iterator[BinaryIO]:
    """Open standard output, or a file that is created complete or not at all. Raises CannotPlaceError."""
    from tallymark_server.storage.atomic_files import placed

    if to == _DASH:
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except OSError as error:
            # The reader of standard output has closed it; an error with a name is about another file.
            if isinstance(error, BrokenPipeError) or error.filename is not None:
                raise
            raise click.ClickException(f"cannot write to standard output: {error.strerror}") from None
    else:
        with placed(to) as partial, partial.open("wb") as stream:
            yield stream


@contextmanager
def _source(source: Path) -> Iterator[BinaryIO]:
    if source == _DASH:
        yield sys.stdin.buffer
    else:
        with source.open("rb") as stream:
            yield stream


def _size(source: Path) -> int | None:
    return source.stat().st_size if source.is_file() else None


def _say(text: str, *, err: bool = False) -> None:
    click.echo(text, err=err)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _summary(revisions: dict[str, int]) -> str:
    return ", ".join(f"project {project} at revision {revision:,}" for project, revision in revisions.items())
