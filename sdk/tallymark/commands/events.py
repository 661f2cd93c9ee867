"""`tallymark events`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import click

from tallymark.commands import options
from tallymark.commands.asking import asks
from tallymark.commands.output import Printer

if TYPE_CHECKING:
    from tallymark.client import Client


@click.command
@click.option("--follow", is_flag=True, help="Tell events as they happen, until Ctrl-C; from now on without --since.")
@options.since
@options.limit
@asks
def events(client: Client, printer: Printer, follow: bool, since: int | None, limit: int | None) -> None:
    """Tell the log: what happened, when, by whom and why."""
    if follow:
        printer.stream(islice(client.watch(since), limit))
    else:
        printer.many(islice(client.list_events(since or 0), limit))
