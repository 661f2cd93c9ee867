"""`tallymark accept-lost-changes`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

from tallymark.cli.options import DatabaseFile, confirm, yes


@click.command("accept-lost-changes")
@click.option(
    "--db",
    type=DatabaseFile("what it has lost, its standbys and backups may have"),
    default="tallymark.db",
    envvar="TALLYMARK_DB",
    show_default=True,
    show_envvar=True,
    help="The SQLite file.",
)
@yes
def accept_lost_changes(db: Path, *, yes: bool) -> None:
    """Allow serving a file that lacks changes which were acknowledged.

    The server keeps a file beside the database with the end of each log. It does not start on a database whose log ends
    earlier: the write-ahead log was lost or damaged, or an older backup replaced the file. Look for the missing changes
    first. After this command, the lost revisions and numbers are given again, to other changes and versions.
    """
    import_module("tallymark_server.offline_commands").accept_lost_changes(
        db, lambda: confirm("Go on without these changes?", agreed=yes)
    )
