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
    help="The project to export. Default: all projects of a file, or with --url the current project.",
)
@click.option(
    "--at", type=options.RevisionOrTime(), help="Export the log up to this revision or time, such as yesterday."
)
@click.option(
    "--to",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    required=True,
    help="The file to create; - is standard output.",
)
def export(db: str, project: str | None, at: int | datetime | None, to: Path) -> None:
    """Export a file, or one of its projects, or with --url a project of a service, as JSON Lines.

    Each project begins with a header line; each event of its log is a line, with its hash. The same log always gives
    the same bytes, and `tallymark import` restores the same log from them. The ids of requests are exported, too, so
    that a request that is repeated after an import has no second effect. The file may be served meanwhile.

    `tallymark --url HOST:PORT export` exports one project of a service, with the same bytes. Without --url a file is
    read, even if TALLYMARK_URL is set.
    """
    if at == 0:
        raise click.UsageError("--at takes a revision from 1 on, or a time")
    if target_choice.uses_service():
        _export_from_service(project, at, to)
    else:
        import_module("tallymark_server.offline_commands").write_export(db, project, at, to)


def _export_from_service(project: str | None, at: int | datetime | None, to: Path) -> None:
    settings = target().settings()
    settings = settings._replace(project=project or settings.project)
    client = client_of(settings)
    if isinstance(at, datetime):
        from tallymark.cli.history import revision_before

        at = revision_before(client, settings.project, at + timedelta(microseconds=1))
        if not at:
            raise click.ClickException(f"project {settings.project} had no events at that time; choose a later --at")
    pieces = client.export_progress(at)
    source = f"project {settings.project} of {settings.url}"
    import_module("tallymark_server.offline_commands").write_pieces(pieces, at, to, source)
