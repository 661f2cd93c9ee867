"""`tallymark project`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import click

from tallymark.cli import options
from tallymark.cli.client_context import with_client
from tallymark.cli.nouns import Noun
from tallymark.cli.output import Printer

if TYPE_CHECKING:
    from tallymark.client.blocking import Client


@click.group(cls=Noun)
def project() -> None:
    """Projects: each has its own models, runs and log."""


@project.command("list")
@options.limit
@with_client
def list_projects(client: Client, printer: Printer, limit: int | None) -> None:
    """List the projects by name."""
    printer.many(islice(client.list_projects(), limit), "no projects")


@project.command("create")
@click.argument("name")
@with_client
def create_project(client: Client, printer: Printer, name: str) -> None:
    """Create a project, with a log of its own."""
    printer.one(client.create_project(name))
