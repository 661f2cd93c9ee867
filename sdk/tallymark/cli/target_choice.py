"""Whether a command works on a file or asks a service, for those commands that can do either."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from tallymark.cli.client_context import Target, target

db = click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    default="tallymark.db",
    envvar="TALLYMARK_DB",
    show_default=True,
    show_envvar=True,
    help="The SQLite file, without --url.",
)


def asks_a_service() -> bool:
    """Whether `--url` was given before the command. TALLYMARK_URL alone does not turn anybody away from a file."""
    asked = target()
    if asked.url is None:
        if asked != Target():
            raise click.UsageError(
                "--project and --timeout before this command go with --url; without it, a file is meant"
            )
        return False
    if click.get_current_context().get_parameter_source("db") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--url asks a service, and --db names a file: give one of them")
    return True
