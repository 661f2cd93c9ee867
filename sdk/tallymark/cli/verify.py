"""`tallymark verify`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tallymark.cli import target_choice
from tallymark.cli.client_context import client_of, target

if TYPE_CHECKING:
    from tallymark.types.proofs import Proof


@click.command(context_settings={"auto_envvar_prefix": "TALLYMARK"})
@target_choice.db
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="Verify too that each log still begins as it did when this checkpoint was written.",
)
@click.option(
    "--write-checkpoint",
    type=click.Path(path_type=Path),
    help="Write the end of each log to a new file, if no problem is found. Keep it out of reach of the registry.",
)
def verify(db: str, checkpoint: Path | None, write_checkpoint: Path | None) -> None:
    """Verify that a file, or with --url a service, matches its log, and that the log was not changed.

    Replays every event into new tables and compares them with those of the file, checks that revisions and numbers have
    no gap, and follows the chain of hashes. Prints the last hash of each project's log: while events are only appended,
    an event keeps its hash. A checkpoint keeps these hashes, and reveals a log that was rewritten together with its
    hashes. Database pages and indexes are checked, too. No hash covers which request made which events, nor the name of
    a project: for a request, only the existence of its events is verified, and that no other request claims them. The
    file may be served meanwhile. Exit code 1 if there is a problem.

    `tallymark --url HOST:PORT --project NAME verify` has a service verify one project while it goes on serving; a
    checkpoint fits both. Without --url a file is verified, even if TALLYMARK_URL is set.
    """
    if target_choice.uses_service():
        _verify_service(checkpoint, write_checkpoint)
    else:
        import_module("tallymark_server.offline_commands").prove(db, checkpoint, write_checkpoint)


def _verify_service(checkpoint: Path | None, write_checkpoint: Path | None) -> None:
    from tallymark.types.proofs import Checkpoint

    settings = target().settings()

    def verify_by(mark: tuple[str, int, str] | None) -> Proof:
        return client_of(settings).verify(Checkpoint(*mark) if mark else None)

    import_module("tallymark_server.offline_commands").prove_project(
        verify_by, settings.project, settings.url, checkpoint, write_checkpoint
    )
