"""`tallymark run`."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

import click

from tallymark.cli import completers, options
from tallymark.cli.client_context import with_client
from tallymark.cli.describe import describe_run
from tallymark.cli.nouns import Noun
from tallymark.cli.output import Printer
from tallymark.cli.run_choice import find_run
from tallymark.cli.run_end import abort, finish

if TYPE_CHECKING:
    from tallymark.client.blocking import Client


@click.group(cls=Noun)
def run() -> None:
    """Runs of pipelines.

    A RUN is its id, or a prefix of it that no other run has.
    """


for _command in (abort, describe_run, finish):
    run.add_command(_command)


@run.command("list")
@click.option(
    "--version", "reference", default="", metavar="REF", help="List only runs that created or used this version."
)
@options.where
@options.order_by
@options.at
@options.limit
@options.watching
@with_client
def list_runs(
    client: Client,
    printer: Printer,
    reference: str,
    where: str,
    order_by: str,
    at: int | datetime | None,
    limit: int | None,
    watching: bool,
) -> None:
    """List the runs, the last started first."""
    options.check_watching(watching=watching, where=where or reference, order_by=order_by, at=at)
    found = client.list_runs(version=reference, filter=where, order_by=order_by, at=at)
    if not watching:
        printer.many(islice(found, limit), "no runs" + " that meet the condition" * bool(where or reference))
        return
    from tallymark.cli.history import followed_by_changes
    from tallymark.types.resources import Run

    printer.stream(islice(followed_by_changes(client, found, Run), limit))


@run.command("get")
@click.argument("name", metavar="RUN", shell_complete=completers.runs)
@options.at
@with_client
def get_run(client: Client, printer: Printer, name: str, at: int | datetime | None) -> None:
    """Print one run."""
    printer.one(find_run(client, name, at))


@run.command("steps")
@click.argument("name", metavar="RUN", shell_complete=completers.runs)
@options.at
@options.limit
@with_client
def list_steps(client: Client, printer: Printer, name: str, at: int | datetime | None, limit: int | None) -> None:
    """List the steps of a run in the order in which they were started."""
    run = find_run(client, name, at)
    printer.many(islice(client.list_steps(run.id, at=at), limit), f"no steps in {run.id}")
