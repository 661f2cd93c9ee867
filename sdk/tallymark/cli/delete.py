"""`tallymark model` and `tallymark version`: `delete`, `undelete` and `purge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tallymark.cli import options
from tallymark.cli.client_context import with_client
from tallymark.cli.options import confirm
from tallymark.cli.output import Printer

if TYPE_CHECKING:
    from tallymark.client.blocking import Client

_force = click.option("--force", is_flag=True, help="Delete even if a version is in production.")


@click.command("delete")
@options.model
@_force
@options.if_etag
@options.reason
@options.yes
@with_client
def delete_model(client: Client, printer: Printer, model: str, force: bool, etag: str, reason: str, yes: bool) -> None:
    """Delete a model with its versions. It can be undeleted."""
    found = client.get_model(model)
    confirm(f"Delete the model {found.name} and its versions?", agreed=yes)
    printer.one(client.delete_model(found.name, force=force, reason=reason, etag=etag))


@click.command("undelete")
@options.model
@options.reason
@with_client
def undelete_model(client: Client, printer: Printer, model: str, reason: str) -> None:
    """Restore a deleted model with its versions."""
    printer.one(client.undelete_model(model, reason=reason))


@click.command("purge")
@options.model
@options.reason
@options.yes
@with_client
def purge_model(client: Client, printer: Printer, model: str, reason: str, yes: bool) -> None:
    """Remove a deleted model and its versions for good."""
    found = client.get_model(model, show_deleted=True)
    confirm(f"Remove the model {found.name} and its versions for good?", agreed=yes)
    printer.one(client.purge_model(found.name, reason=reason))


@click.command("delete")
@options.reference
@_force
@options.if_etag
@options.reason
@options.yes
@with_client
def delete_version(
    client: Client, printer: Printer, reference: str, force: bool, etag: str, reason: str, yes: bool
) -> None:
    """Delete a version. It can be undeleted.

    Its number and its name stay taken.
    """
    version = client.get_version(reference)
    # Go on with its number, since `latest` or an alias may change before the answer.
    here = f"{version.model}/{version.number}"
    confirm(f"Delete {here}?", agreed=yes)
    printer.one(client.delete_version(here, force=force, reason=reason, etag=etag))


@click.command("purge")
@options.reference
@options.reason
@options.yes
@with_client
def purge_version(client: Client, printer: Printer, reference: str, reason: str, yes: bool) -> None:
    """Remove a deleted version for good.

    Its number and its name stay taken. REF is MODEL/NUMBER or MODEL==NAME.
    """
    version = client.get_version(reference, show_deleted=True)
    here = f"{version.model}/{version.number}"
    confirm(f"Remove {here} for good?", agreed=yes)
    printer.one(client.purge_version(here, reason=reason))


@click.command("undelete")
@options.reference
@options.reason
@with_client
def undelete_version(client: Client, printer: Printer, reference: str, reason: str) -> None:
    """Restore a deleted version. REF is MODEL/NUMBER or MODEL==NAME."""
    printer.one(client.undelete_version(reference, reason=reason))
