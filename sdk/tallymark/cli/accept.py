"""`tallymark accept-lost-changes`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

from tallymark.cli.options import confirm, yes


@click.command("accept-lost-changes")
@click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    default="tallymark.db",
    envvar="TALLYMARK_DB",
    show_default=True,
    show_envvar=True,
    help="The SQLite file.",
)
@yes
def accept_lost_changes(db: Path, *, yes: bool) -> None:
    """Have a file served again although it lacks changes that were acknowledged.

    The server keeps beside its file where each log ends, and does not start on a file that ends earlier: its
    write-ahead log was lost or damaged, or an older backup was put in its place. Look for what is missing first. Once
    this is accepted, the lost revisions and numbers are given again, and mean something else than before.
    """
    import_module("tallymark_server.offline_commands").accept_lost_changes(
        db, lambda: confirm("Go on without these changes?", agreed=yes)
    )
