"""The choice between a file and a service, for commands that work on either."""

from __future__ import annotations

import click
from click.core import ParameterSource

from tallymark.cli.client_context import Target, target

db = click.option(
    "--db",
    metavar="FILE or URL",
    default="tallymark.db",
    envvar="TALLYMARK_DB",
    show_default=True,
    show_envvar=True,
    help="The SQLite file, or the database of PostgreSQL, without --url.",
)


def uses_service() -> bool:
    """Return whether `--url` was given before the command. TALLYMARK_URL alone does not choose a service.

    Raises click.UsageError for options that contradict each other.
    """
    given = target()
    if given.url is None:
        if given != Target():
            raise click.UsageError(
                "--project, --timeout and --context before this command need --url; without it, the command works on"
                " the file given by --db"
            )
        return False
    if click.get_current_context().get_parameter_source("db") is ParameterSource.COMMANDLINE:
        raise click.UsageError("use either --url, for a service, or --db, for a file")
    return True
