"""What commands that call a service share: its address, a client, and the exit codes of errors."""

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
from tallymark.cli.output import Printer, with_printer
from tallymark.cli.terminal import printable
from tallymark.settings import Settings, adjusted

if TYPE_CHECKING:
    from tallymark.client.blocking import Client

# The exit codes of errors: the first class that matches decides.
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
# The arguments that messages name for Python programs, and the options of the command line for them.
_OPTIONS_FOR_ARGUMENTS = (
    ("allow_unfinished_run and a reason", "--force-failed and --reason"),
    ("allow_unfinished_run", "--force-failed"),
    (" with force", " with --force"),
    (" with show_deleted", " with --show-deleted"),
)


class Target(NamedTuple):
    """The options of the command line that choose the registry; None for those that were not given."""

    url: str | None = None
    project: str | None = None
    timeout: float | None = None
    context: str | None = None

    def settings(self) -> Settings:
        """Return the settings in force. Raises InvalidSetting."""
        return adjusted(**self._asdict())


def fail(error: errors.TallymarkError) -> NoReturn:
    """End the command with the error's message in one line, and the exit code for its class."""
    # Messages name arguments of Python functions; the command line has options instead.
    message = re.sub(r"(?:(call) )?tallymark\.configure\((\w+)=\.\.\.\)", _option_for_setting, str(error))
    for argument, option in _OPTIONS_FOR_ARGUMENTS:
        message = message.replace(argument, option)
    click.echo(f"Error: {printable(' '.join(message.split()))}", err=True)
    raise click.exceptions.Exit(next((code for branch, code in _EXIT_CODES if isinstance(error, branch)), 1))


def _option_for_setting(found: re.Match[str]) -> str:
    return f"give --{found[2]}" if found[1] else f"--{found[2]}"


def target() -> Target:
    """Return the target of the present command."""
    given: Target = click.get_current_context().find_root().obj
    return given


def client_of(settings: Settings) -> Client:
    """Return a client that is closed when the command ends."""
    # gRPC's core would log an unreachable service, too.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # Collecting garbage, while grpc is imported and at the end, would take longer than the call.
    gc.disable()
    from tallymark.client.blocking import Client

    gc.enable()
    atexit.register(gc.freeze)
    client = Client(settings.url, project=settings.project, timeout=settings.timeout, actor=settings.actor)
    return click.get_current_context().find_root().with_resource(client)


def with_client(command: Callable[..., None]) -> Callable[..., None]:
    """Pass the command a client and a printer, its first arguments, and add the options of the printer."""

    @with_printer
    @functools.wraps(command)
    def wrapper(printer: Printer, **given: Any) -> None:
        command(client_of(target().settings()), printer, **given)

    return wrapper
