"""`tallymark events`."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

import click

from tallymark.cli import options
from tallymark.cli.client_context import target, with_client
from tallymark.cli.history import revision_before
from tallymark.cli.output import Printer

if TYPE_CHECKING:
    from tallymark.client.blocking import Client


@click.command
@click.option(
    "--follow", is_flag=True, help="Print events as they happen, until Ctrl-C. Without --since, only new ones."
)
@options.since
@options.limit
@with_client
def events(client: Client, printer: Printer, follow: bool, since: int | datetime | None, limit: int | None) -> None:
    """Print the log: what happened, when, by whom and why."""
    after = revision_before(client, target().settings().project, since)
    if follow:
        printer.stream(islice(client.watch(after), limit))
    else:
        printer.many(islice(client.list_events(after or 0), limit), "no events")
