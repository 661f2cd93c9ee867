"""`tallymark export`."""

from __future__ import annotations

from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path

import click

from tallymark.cli import options, target_choice
from tallymark.cli.client_context import client_of, target


@click.command
@target_choice.db
@click.option(
    "--project",
    metavar="NAME",
    help="The project to export; without it, all of a file, or the project in force of a service.",
)
@click.option("--at", type=options.Moment(), help="Export what there was at this revision or time, such as yesterday.")
@click.option(
    "--to",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    required=True,
    help="A file that is not there yet; - is standard output.",
)
def export(db: Path, project: str | None, at: int | datetime | None, to: Path) -> None:
    """Export a file, or one of its projects, or with --url a project of a service, as JSON Lines.

    Each project begins with a line of its own; each event of its log is a line, with the hash that proves it. The same
    log gives the same bytes, and `tallymark import` makes the same log of them. Requests and their effects are part of
    it, so that a request that is repeated after an import has no second effect. May run while a server serves the file.

    `tallymark --url HOST:PORT export` asks a service for one project, and writes the same bytes. Without --url a file
    is read, even if TALLYMARK_URL is set.
    """
    if at == 0:
        raise click.UsageError("--at takes a revision from 1 on, or a time")
    if target_choice.asks_a_service():
        _of_a_service(project, at, to)
    else:
        import_module("tallymark_server.offline_commands").write_export(db, project, at, to)


def _of_a_service(project: str | None, at: int | datetime | None, to: Path) -> None:
    settings = target().settings()
    settings = settings._replace(project=project or settings.project)
    client = client_of(settings)
    if isinstance(at, datetime):
        from tallymark.cli.history import revision_before

        at = revision_before(client, settings.project, at + timedelta(microseconds=1))
        if not at:
            raise click.ClickException(f"nothing had happened in project {settings.project} at that time")
    pieces = client.export_progress(at)
    whose = f"project {settings.project} of {settings.url}"
    import_module("tallymark_server.offline_commands").write_pieces(pieces, at, to, whose)
