"""What commands share that ask a service: where it is, a client, and how they fail."""

from __future__ import annotations

import atexit
import functools
import gc
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from tallymark import errors
from tallymark.cli.output import Printer, printed
from tallymark.cli.terminal import printable
from tallymark.settings import Settings, adjusted

if TYPE_CHECKING:
    from tallymark.client.blocking import Client

# What a program is told of an error; the first branch that it belongs to counts.
_EXIT_CODES: tuple[tuple[type[errors.TallymarkError], int], ...] = (
    (errors.InvalidArgument, 2),
    (errors.NotFound, 4),
    (errors.AlreadyExists, 5),
    (errors.Refused, 6),
    (errors.Conflict, 6),
    (errors.OutOfRange, 6),
    (errors.Unauthenticated, 7),
    (errors.Forbidden, 7),
    (errors.Unavailable, 8),
)
INTERRUPTED = 130
# What messages advise programs to give, and the option that gives it.
_OPTIONS = (
    ("allow_unfinished_run and a reason", "--force-failed and --reason"),
    ("allow_unfinished_run", "--force-failed"),
    (" with force", " with --force"),
    (" with show_deleted", " with --show-deleted"),
)


class Target(NamedTuple):
    """Where and how to ask, as far as the command line says it."""

    url: str | None = None
    project: str | None = None
    timeout: float | None = None
    context: str | None = None

    def settings(self) -> Settings:
        """Return the settings in force. Raises InvalidSetting."""
        return adjusted(**self._asdict())


def fail(error: errors.TallymarkError) -> NoReturn:
    """End the command with an error in one line, and the exit code that tells programs its kind."""
    # Messages say what Python programs can do; here it is an option.
    advice = re.sub(r"(?:(call) )?tallymark\.configure\((\w+)=\.\.\.\)", _option, str(error))
    for words, option in _OPTIONS:
        advice = advice.replace(words, option)
    click.echo(f"Error: {printable(' '.join(advice.split()))}", err=True)
    raise click.exceptions.Exit(next((code for branch, code in _EXIT_CODES if isinstance(error, branch)), 1))


def _option(found: re.Match[str]) -> str:
    return f"give --{found[2]}" if found[1] else f"--{found[2]}"


def target() -> Target:
    """Where the present command asks."""
    found: Target = click.get_current_context().find_root().obj
    return found


def client_of(settings: Settings) -> Client:
    """A client that is closed when the command ends."""
    # gRPC's core would tell an unreachable service a second time, in its own words.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # Looking for garbage where there is none, while grpc is imported and at the end, takes longer than asking.
    gc.disable()
    from tallymark.client.blocking import Client

    gc.enable()
    atexit.register(gc.freeze)
    client = Client(settings.url, project=settings.project, timeout=settings.timeout, actor=settings.actor)
    return click.get_current_context().find_root().with_resource(client)


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command a client, first, and a printer with the options that choose it."""

    @printed
    @functools.wraps(command)
    def asking(printer: Printer, **given: Any) -> None:
        command(client_of(target().settings()), printer, **given)

    return asking
