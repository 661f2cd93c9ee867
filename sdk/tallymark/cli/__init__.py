"""The command `tallymark`. A module is loaded when one of its commands is called for.

`aliases`, `artifacts`, `contexts`, `events`, `lineage`, `metadata`, `models`, `projects`, `runs`, `tags` and `versions`
have the commands about these; `accept`, `compare`, `completion`, `delete`, `describe`, `doctor`, `erase`, `export`,
`promote`, `sync`, `verify` and `wait` those of these names, and these more:

background      `up`, `status` and `stop`
run_end         `run finish` and `run abort`
help_command    `help`
history         lists that go on, and the past and the future of one resource

What they share:

client_context  where the service is, a client, and how commands fail
target_choice   whether a command works on a file or asks a service
options         arguments and options that several commands have
nouns           groups of commands about one kind of thing
completers      what a shell completes that only the service knows
run_choice      which run is meant by a beginning of its id
output          data to standard output in one of several formats
columns         the columns of each kind of resource
tables          rows with titles, fitted to the terminal
descriptions    everything about one resource, for people
documents       resources as JSON
times           moments and spans, read and written
terminal        width, colours, and text that does not steer the terminal
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
from tallymark.cli import completers
from tallymark.cli.client_context import INTERRUPTED, Target, fail
from tallymark.cli.output import FORMATS
from tallymark.errors import TallymarkError
from tallymark.settings import DEFAULT_URL


class Later(NamedTuple):
    """A command that is imported when it is called: where it is, its name, and what `--help` says of it."""

    module: str
    name: str
    about: str
    attribute: str = ""

    @property
    def local(self) -> bool:
        """Whether it asks no service, so that the options that say which one have no meaning for it."""
        return self.module.startswith("tallymark_server.") or self.name in _LOCAL


# Commands that work on this machine alone.
_LOCAL = frozenset({"accept-lost-changes", "completion", "context", "help", "status", "stop", "up"})

_COMMANDS = {
    command.name: command
    for command in (
        Later(
            "tallymark.cli.accept",
            "accept-lost-changes",
            "Have a file served again although it lacks changes that were acknowledged.",
            "accept_lost_changes",
        ),
        Later("tallymark.cli.aliases", "alias", "Names that point at versions."),
        Later("tallymark.cli.artifacts", "artifact", "What versions made and were made from."),
        Later(
            "tallymark_server.offline_commands", "backup", "Copy a file to a new one, while a server serves it or not."
        ),
        Later("tallymark.cli.completion", "completion", "Print what makes a shell complete commands and names."),
        Later("tallymark.cli.contexts", "context", "Registries by name, so that no address need be typed."),
        Later("tallymark.cli.describe", "describe", "Show everything about a model, a version or a run."),
        Later("tallymark.cli.doctor", "doctor", "Show each setting with its origin, and whether the service answers."),
        Later(
            "tallymark.cli.erase",
            "erase",
            "Erase secrets or personal data for good, from every event of the log and from the bytes of the file.",
        ),
        Later("tallymark.cli.events", "events", "Print the log: what happened, when, by whom and why."),
        Later(
            "tallymark.cli.export",
            "export",
            "Export a file, or one of its projects, or with --url a project of a service, as JSON Lines.",
        ),
        Later(
            "tallymark.cli.help_command",
            "help",
            "Print how a command is used; without one, all commands.",
            "help_",
        ),
        Later(
            "tallymark_server.offline_commands",
            "import",
            "Make the projects of an export again, in a file that no server holds, or in a new one.",
            "import_",
        ),
        Later(
            "tallymark_server.import_commands",
            "import-mlflow",
            "Import the models of an MLflow registry: URI is what MLflow calls its tracking or registry URI.",
            "import_mlflow",
        ),
        Later(
            "tallymark_server.import_commands",
            "import-zenml",
            "Import the models of a ZenML store: DATABASE is its SQLite file, of ZenML 0.80 or later.",
            "import_zenml",
        ),
        Later("tallymark.cli.lineage", "lineage", "Show what a version came from, and what came from it."),
        Later("tallymark.cli.metadata", "metadata", "Typed facts about versions."),
        Later("tallymark.cli.models", "model", "Models, and what people write about them."),
        Later("tallymark.cli.projects", "project", "Projects: each has its own models, runs and log."),
        Later("tallymark.cli.runs", "run", "Runs of pipelines."),
        Later(
            "tallymark_server.serve_command", "serve", "Run the service on one SQLite file, until Ctrl-C or SIGTERM."
        ),
        Later("tallymark.cli.background", "status", "Show which services run in the background, and where."),
        Later("tallymark.cli.background", "stop", "Stop the service that runs in the background."),
        Later(
            "tallymark.cli.sync",
            "sync",
            "Send what runs have recorded while the registry was away, or offline.",
        ),
        Later("tallymark.cli.tags", "tag", "Free labels of models and versions."),
        Later("tallymark.cli.background", "up", "Start the service in the background, and wait until it answers."),
        Later(
            "tallymark.cli.verify",
            "verify",
            "Prove that a file, or with --url a service, agrees with its log, and that the log was not changed.",
        ),
        Later("tallymark.cli.versions", "version", "Versions of models, their stages and their history."),
    )
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called for."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the command line; an output that takes no more ends it in one line too."""
        if "_TALLYMARK_COMPLETE" in os.environ:
            import_module("tallymark.cli.completion")
        try:
            return super().main(*arguments, **options)
        except OSError as error:
            if error.errno not in _TAKES_NO_MORE or error.filename is not None:
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
        later = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(later.module), later.attribute or later.name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is called; the refusal of one that is not there names those that are alike."""
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            alike = get_close_matches(name, _COMMANDS)
            hint = f" Did you mean {' or '.join(map(repr, alike))}?" if alike else ""
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands into the help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name].about) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors end it in one line and with the exit code of their kind."""
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


_TAKES_NO_MORE = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO})


def _drop_output() -> None:
    """Drop what standard output does not take, so that it does not fail a second time when the program ends."""
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
    help=f"Where the service is, also as unix:PATH: else TALLYMARK_URL, else {DEFAULT_URL}.",
)
@click.option(
    "--project",
    metavar="NAME",
    shell_complete=completers.projects,
    help="Whose models are meant: else TALLYMARK_PROJECT, else default.",
)
@click.option("--timeout", metavar="SECONDS", type=float, help="How long a call may take: else TALLYMARK_TIMEOUT.")
@click.option(
    "--context",
    metavar="NAME",
    shell_complete=completers.contexts,
    help="Which registry and project are meant, by name: else TALLYMARK_CONTEXT, else the context in use.",
)
@click.option(
    "-o", "--output", type=click.Choice(FORMATS, case_sensitive=False), help="How to print; also after the command."
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
            "--url, --project, --timeout and --context are for commands that ask a service;"
            f" see tallymark {name} --help"
        )
