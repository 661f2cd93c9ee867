"""`tallymark run finish` and `abort`: recording the end of a run whose own program does not record it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tallymark.cli import completers, options
from tallymark.cli.client_context import target, with_client
from tallymark.cli.options import confirm
from tallymark.cli.output import Printer
from tallymark.cli.run_choice import find_run
from tallymark.errors import RunFinished
from tallymark.types.enums import RunState

if TYPE_CHECKING:
    from tallymark.client.blocking import Client
    from tallymark.types.resources import Run

_name = click.argument("name", metavar="RUN", shell_complete=completers.runs)


def _unfinished(client: Client, name: str) -> Run:
    """Return the run if it is running or lost. Raises RunFinished, RunNotFound."""
    run = find_run(client, name)
    if run.state in {RunState.SUCCEEDED, RunState.FAILED}:
        why = f" ({run.error})" if run.error else ""
        raise RunFinished(f"run {run.id} is finished as {run.state}{why}; its outcome cannot be changed")
    return run


@click.command
@_name
@options.yes
@with_client
def finish(client: Client, printer: Printer, name: str, yes: bool) -> None:
    """Record that a run has succeeded.

    For runs whose own program did not record it.
    """
    run = _unfinished(client, name)
    confirm(f"Record that the run {run.id} ({run.state}) has succeeded?", agreed=yes)
    printer.one(client.finish_run(run.id, RunState.SUCCEEDED))


@click.command
@_name
@click.option("--reason", default="", metavar="TEXT", help="The reason, recorded as the error of the run.")
@options.yes
@with_client
def abort(client: Client, printer: Printer, name: str, reason: str, yes: bool) -> None:
    """Record that a run has failed.

    For runs whose own program is gone, or no longer counts. The program is not stopped.
    """
    run = _unfinished(client, name)
    confirm(f"Record that the run {run.id} ({run.state}) has failed?", agreed=yes)
    error = f"aborted by {target().settings().actor}" + (f": {reason}" if reason else "")
    printer.one(client.finish_run(run.id, RunState.FAILED, error=error))
