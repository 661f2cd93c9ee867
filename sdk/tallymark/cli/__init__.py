"""The command `tallymark`. A module is imported when one of its commands is called.

`access`, `aliases`, `artifacts`, `contexts`, `events`, `lineage`, `metadata`, `models`, `projects`, `runs`, `tags` and
`versions` have the commands about these; `accept`, `compare`, `completion`, `delete`, `describe`, `doctor`, `erase`,
`export`, `promote`, `sync`, `verify` and `wait` have the commands with these names. The other commands are in:

background      `up`, `status` and `stop`
run_end         `run finish` and `run abort`
help_command    `help`
login           `login` and `logout`
device_login    the sign-in of the command line at an OpenID provider

What the commands share:

client_context  the address of the service, clients, and exit codes
target_choice   the choice between a file and a service
options         arguments and options of several commands
nouns           groups of commands about one kind of resource
completers      completion of names that the service knows
run_choice      finding a run by a prefix of its id
history         events of a resource, and lists that continue with changes
output          formats of the data on standard output
columns         the columns of each kind of resource
tables          tables, fitted to the terminal
descriptions    everything about one resource, for people
documents       resources as JSON
times           parsing and formatting of times and durations
terminal        width, colours and escaping for the terminal
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, NamedTuple

import click

from tallymark import __version__
from tallymark.addresses import DEFAULT_URL
from tallymark.cli import completers
from tallymark.cli.client_context import INTERRUPTED, Target, fail
from tallymark.cli.output import FORMATS
from tallymark.errors import TallymarkError


class LazyCommand(NamedTuple):
    """A command that is imported when it is called: its module, its name, and its line in `--help`."""

    module: str
    name: str
    about: str
    attribute: str = ""

    @property
    def local(self) -> bool:
        """Whether it calls no service, so that the options for the service have no meaning for it."""
        return self.module.startswith("tallymark_server.") or self.name in _LOCAL


# Commands that work only on this machine.
_LOCAL = frozenset({"accept-lost-changes", "completion", "context", "help", "status", "stop", "up"})

_COMMANDS = {
    command.name: command
    for command in (
        LazyCommand(
            "tallymark.cli.accept",
            "accept-lost-changes",
            "Allow serving a file that lacks changes which were acknowledged.",
            "accept_lost_changes",
        ),
        LazyCommand("tallymark.cli.access", "access", "Tokens, service accounts, and roles: who may do what."),
        LazyCommand("tallymark.cli.aliases", "alias", "Names that point at versions."),
        LazyCommand("tallymark.cli.artifacts", "artifact", "Artifacts that versions produced or used."),
        LazyCommand(
            "tallymark_server.offline_commands", "backup", "Copy a file to a new one, while a server serves it or not."
        ),
        LazyCommand(
            "tallymark.cli.completion", "completion", "Print a script for the completion of commands and names."
        ),
        LazyCommand("tallymark.cli.contexts", "context", "Registries by name, in place of their addresses."),
        LazyCommand("tallymark.cli.describe", "describe", "Show everything about a model, a version or a run."),
        LazyCommand(
            "tallymark.cli.doctor", "doctor", "Show each setting with its origin, and whether the service answers."
        ),
        LazyCommand(
            "tallymark.cli.erase",
            "erase",
            "Erase secrets or personal data for good, from every event of the log and from the bytes of the file.",
        ),
        LazyCommand("tallymark.cli.events", "events", "Print the log: what happened, when, by whom and why."),
        LazyCommand(
            "tallymark.cli.export",
            "export",
            "Export a file, or one of its projects, or with --url a project of a service, as JSON Lines.",
        ),
        LazyCommand(
            "tallymark.cli.help_command",
            "help",
            "Print the help of a command; without one, all commands.",
            "help_",
        ),
        LazyCommand(
            "tallymark_server.offline_commands",
            "import",
            "Restore the projects of an export: in a file that no server holds, in a new one, or in PostgreSQL.",
            "import_",
        ),
        LazyCommand(
            "tallymark_server.import_commands",
            "import-mlflow",
            "Import the models of an MLflow registry: URI is what MLflow calls its tracking or registry URI.",
            "import_mlflow",
        ),
        LazyCommand(
            "tallymark_server.import_commands",
            "import-zenml",
            "Import the models of a ZenML store: DATABASE is its SQLite file, of ZenML 0.80 or later.",
            "import_zenml",
        ),
        LazyCommand("tallymark.cli.lineage", "lineage", "Show what a version came from, and what came from it."),
        LazyCommand(
            "tallymark.cli.login", "login", "Keep a token for the service, so that commands and programs present it."
        ),
        LazyCommand("tallymark.cli.login", "logout", "Forget the token for the service."),
        LazyCommand("tallymark.cli.metadata", "metadata", "Metadata of versions: typed values by key."),
        LazyCommand(
            "tallymark_server.offline_commands",
            "migrate",
            "Bring a database of PostgreSQL to the tables of this release.",
        ),
        LazyCommand("tallymark.cli.models", "model", "Models and their descriptions."),
        LazyCommand("tallymark.cli.projects", "project", "Projects: each has its own models, runs and log."),
        LazyCommand("tallymark_server.offline_commands", "restore", "Restore a backup as a new file."),
        LazyCommand("tallymark.cli.runs", "run", "Runs of pipelines."),
        LazyCommand(
            "tallymark_server.serve_command",
            "serve",
            "Run the service on a SQLite file or on PostgreSQL, until Ctrl-C or SIGTERM.",
        ),
        LazyCommand("tallymark.cli.background", "status", "Show which services run in the background, and where."),
        LazyCommand("tallymark.cli.background", "stop", "Stop the service that runs in the background."),
        LazyCommand(
            "tallymark.cli.sync",
            "sync",
            "Send what runs recorded offline, or while the registry could not be reached.",
        ),
        LazyCommand("tallymark.cli.tags", "tag", "Tags of models and versions: labels without values."),
        LazyCommand(
            "tallymark.cli.background", "up", "Start the service in the background, and wait until it answers."
        ),
        LazyCommand(
            "tallymark.cli.verify",
            "verify",
            "Verify that a file, or with --url a service, matches its log, and that the log was not changed.",
        ),
        LazyCommand("tallymark.cli.versions", "version", "Versions of models, their stages and their history."),
    )
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the command line. If the output cannot be written, end with an error in one line."""
        if "_TALLYMARK_COMPLETE" in os.environ:
            import_module("tallymark.cli.completion")
        try:
            return super().main(*arguments, **options)
        except OSError as error:
            if error.errno not in _WRITE_ERRORS or error.filename is not None:
                raise
            _drop_output()
            with suppress(OSError):
                click.echo(f"Error: cannot write: {error.strerror}", err=True)
            sys.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, or None."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        lazy = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(lazy.module), lazy.attribute or lazy.name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is called. Raises click.UsageError, which suggests similar names."""
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            similar = get_close_matches(name, _COMMANDS)
            hint = f" Did you mean {' or '.join(map(repr, similar))}?" if similar else ""
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands into the help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name].about) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. An error ends it with a message in one line and the exit code for its class."""
        try:
            return super().invoke(ctx)
        except TallymarkError as error:
            fail(error)
        except click.NoSuchOption as error:
            if error.option_name in {"--url", "--project", "--timeout", "--context"}:
                hint = f"{error.option_name} goes before the command: tallymark {error.option_name} ..."
                raise click.UsageError(hint, error.ctx) from None
            raise
        except (KeyboardInterrupt, click.Abort):
            raise click.exceptions.Exit(INTERRUPTED) from None


_WRITE_ERRORS = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO})


def _drop_output() -> None:
    """Drop buffered output, so that writing it does not fail a second time when the program ends."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 any other error, 2 used wrongly, 4 not found, 5 exists already, 6 refused by the"
    " present state or changed by somebody else, 7 not allowed, 8 no answer in time, 130 Ctrl-C.",
)
@click.option(
    "--url",
    metavar="HOST:PORT",
    type=str.strip,
    help="The address of the service, or unix:PATH, or the addresses of its replicas with commas between. Default:"
    f" TALLYMARK_URL, else {DEFAULT_URL}.",
)
@click.option(
    "--project",
    metavar="NAME",
    shell_complete=completers.projects,
    help="The project to work on. Default: TALLYMARK_PROJECT, else default.",
)
@click.option(
    "--timeout", metavar="SECONDS", type=float, help="The time that a call may take. Default: TALLYMARK_TIMEOUT."
)
@click.option(
    "--context",
    metavar="NAME",
    shell_complete=completers.contexts,
    help="The context with the registry and project. Default: TALLYMARK_CONTEXT, else the context in use.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(FORMATS, case_sensitive=False),
    help="The output format; also after the command.",
)
@click.version_option(__version__, prog_name="tallymark")
@click.pass_context
def main(context: click.Context, /, output: str | None, **target: Any) -> None:
    """Tallymark: which versions of a model exist, what number each is, who made it, which one is in production."""
    del output  # read by the printer of the command
    name = context.invoked_subcommand or ""
    context.obj = Target(**target)
    if context.obj != Target() and _COMMANDS[name].local:
        raise click.UsageError(
            "--url, --project, --timeout and --context are for commands that call a service;"
            f" see tallymark {name} --help"
        )
