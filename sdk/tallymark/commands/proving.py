"""`tallymark verify`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

from tallymark.commands import file_or_service
from tallymark.commands.asking import client_of, target


@click.command(context_settings={"auto_envvar_prefix": "TALLYMARK"})
@file_or_service.db
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
    """Prove a file, or with --url a service: its tables are what its log tells, and the log was not changed.

    Replays every event into fresh tables and compares them with the file's; checks that revisions and numbers have no
    gap, and follows the chain of hashes. Prints the last hash of each project's log: as long as a log is only added to,
    the same event has the same hash for ever. A checkpoint keeps these hashes, so that a log which somebody has
    rewritten, hashes and all, is known too. Pages and indexes are checked as well. No hash covers which request made
    which events, nor what a project is called: of a request it is only proved that its events are there, and that no
    other request claims them. May run while a server serves the file. Exit code 1 if anything is wrong.

    `tallymark --url HOST:PORT --project NAME verify` has a service prove one project while it goes on serving; a
    checkpoint serves both ways. Without that option a file is proved, also where TALLYMARK_URL is set.
    """
    if file_or_service.asks_a_service():
        _of_a_service(checkpoint, write_checkpoint)
    else:
        import_module("tallymark_server.files").prove(db, checkpoint, write_checkpoint)


def _of_a_service(checkpoint: Path | None, write_checkpoint: Path | None) -> None:
    from tallymark.resources import Checkpoint

    checkpoints = import_module("tallymark_server.storage.checkpoint")
    placing = import_module("tallymark_server.storage.placing")
    settings = target().settings()
    name = f"project {settings.project}"
    try:
        marks = checkpoints.read(checkpoint) if checkpoint else {}
    except checkpoints.NotACheckpointError as error:
        raise click.ClickException(str(error)) from None
    if checkpoint and settings.project not in marks:
        raise click.ClickException(f"{checkpoint} tells nothing of {name}; name another with --project")
    proof = client_of(settings).verify(Checkpoint(*marks[settings.project]) if marks else None)
    click.echo(f"{name}: {proof.checkpoint.hash or 'no event yet'}")
    for problem in proof.problems:
        click.echo(f"{problem.where}: {problem.what}", err=True)
    if not proof.sound:
        raise click.ClickException(
            f"{proof.problem_count:,} things are wrong with {name} of {settings.url}; restore a backup"
        )
    if write_checkpoint:
        try:
            checkpoints.write(write_checkpoint, {settings.project: checkpoints.Mark(*proof.checkpoint)})
        except placing.CannotPlaceError as error:
            raise click.ClickException(str(error)) from None
    click.echo(f"{name} of {settings.url} is as its log tells: {proof.events:,} events")
