"""Deleting models and versions, and bringing them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tallymark.cli import options
from tallymark.cli.client_context import asks
from tallymark.cli.options import confirm
from tallymark.cli.output import Printer

if TYPE_CHECKING:
    from tallymark.client.blocking import Client

_force = click.option("--force", is_flag=True, help="Delete it although a version is in production.")


@click.command("delete")
@options.model
@_force
@options.if_etag
@options.reason
@options.yes
@asks
def delete_model(client: Client, printer: Printer, model: str, force: bool, etag: str, reason: str, yes: bool) -> None:
    """Delete a model with its versions, so that it can be undeleted."""
    found = client.get_model(model)
    confirm(f"Delete the model {found.name} and its versions?", agreed=yes)
    printer.one(client.delete_model(found.name, force=force, reason=reason, etag=etag))


@click.command("undelete")
@options.model
@options.reason
@asks
def undelete_model(client: Client, printer: Printer, model: str, reason: str) -> None:
    """Bring a deleted model back as it was."""
    printer.one(client.undelete_model(model, reason=reason))


@click.command("purge")
@options.model
@options.reason
@options.yes
@asks
def purge_model(client: Client, printer: Printer, model: str, reason: str, yes: bool) -> None:
    """Put a deleted model and its versions away for good."""
    found = client.get_model(model, show_deleted=True)
    confirm(f"Put the model {found.name} and its versions away for good?", agreed=yes)
    printer.one(client.purge_model(found.name, reason=reason))


@click.command("delete")
@options.reference
@_force
@options.if_etag
@options.reason
@options.yes
@asks
def delete_version(
    client: Client, printer: Printer, reference: str, force: bool, etag: str, reason: str, yes: bool
) -> None:
    """Delete a version, so that it can be undeleted.

    Its number and its name stay taken.
    """
    version = client.get_version(reference)
    # By number from here on: what `latest` or an alias means may change while a person thinks.
    here = f"{version.model}/{version.number}"
    confirm(f"Delete {here}?", agreed=yes)
    printer.one(client.delete_version(here, force=force, reason=reason, etag=etag))


@click.command("purge")
@options.reference
@options.reason
@options.yes
@asks
def purge_version(client: Client, printer: Printer, reference: str, reason: str, yes: bool) -> None:
    """Put a deleted version away for good.

    Its number and its name stay taken. REF is MODEL/NUMBER or MODEL==NAME.
    """
    version = client.get_version(reference, show_deleted=True)
    here = f"{version.model}/{version.number}"
    confirm(f"Put {here} away for good?", agreed=yes)
    printer.one(client.purge_version(here, reason=reason))


@click.command("undelete")
@options.reference
@options.reason
@asks
def undelete_version(client: Client, printer: Printer, reference: str, reason: str) -> None:
    """Bring a deleted version back. REF is MODEL/NUMBER or MODEL==NAME."""
    printer.one(client.undelete_version(reference, reason=reason))
