"""`tallymark run`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import click

from tallymark.commands import completing, options
from tallymark.commands.asking import asks
from tallymark.commands.output import Printer

if TYPE_CHECKING:
    from tallymark.client import Client


@click.group
def run() -> None:
    """Runs of pipelines."""


@run.command("list")
@options.limit
@options.watching
@asks
def list_runs(client: Client, printer: Printer, limit: int | None, watching: bool) -> None:
    """List the runs, the last started first."""
    found = client.list_runs()
    if not watching:
        printer.many(islice(found, limit))
        return
    from tallymark.commands.following import then_changes
    from tallymark.resources import Run

    printer.stream(islice(then_changes(client, found, Run), limit))


@run.command("get")
@click.argument("name", metavar="RUN", shell_complete=completing.runs)
@asks
def get_run(client: Client, printer: Printer, name: str) -> None:
    """Print one run."""
    printer.one(client.get_run(name))
