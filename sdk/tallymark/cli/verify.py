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
    help="Prove too that each log begins as it was when this checkpoint was written.",
)
@click.option(
    "--write-checkpoint",
    type=click.Path(path_type=Path),
    help="Write where each log stands to a new file, if all is well. Keep it where the registry cannot be reached.",
)
def verify(db: Path, checkpoint: Path | None, write_checkpoint: Path | None) -> None:
    """Prove that a file, or with --url a service, agrees with its log, and that the log was not changed.

    Replays every event into fresh tables and compares them with the file's; checks that revisions and numbers have no
    gap, and follows the chain of hashes. Prints the last hash of each project's log: as long as a log is only added to,
    the same event has the same hash for ever. A checkpoint keeps these hashes, and reveals a log that somebody rewrote
    together with its hashes. Pages and indexes are checked as well. No hash covers which request made which events, nor
    the name of a project: of a request it is only proved that its events are there, and that no other request claims
    them. May run while a server serves the file. Exit code 1 if anything is wrong.

    `tallymark --url HOST:PORT --project NAME verify` has a service prove one project while it goes on serving; a
    checkpoint fits both. Without --url a file is proved, even if TALLYMARK_URL is set.
    """
    if target_choice.asks_a_service():
        _of_a_service(checkpoint, write_checkpoint)
    else:
        import_module("tallymark_server.offline_commands").prove(db, checkpoint, write_checkpoint)


def _of_a_service(checkpoint: Path | None, write_checkpoint: Path | None) -> None:
    from tallymark.types.proofs import Checkpoint

    settings = target().settings()

    def prove_by(mark: tuple[str, int, str] | None) -> Proof:
        return client_of(settings).verify(Checkpoint(*mark) if mark else None)

    import_module("tallymark_server.offline_commands").prove_project(
        prove_by, settings.project, settings.url, checkpoint, write_checkpoint
    )
