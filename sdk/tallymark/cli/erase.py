"""`tallymark erase`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from tallymark.cli import completers, options
from tallymark.cli.client_context import with_client
from tallymark.cli.options import confirm
from tallymark.cli.output import Printer
from tallymark.errors import InvalidArgument, NotFound
from tallymark.types.references import means_version

if TYPE_CHECKING:
    from tallymark.client.blocking import Client


@click.command
@click.argument("reference", metavar="REF", shell_complete=completers.resources)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--reason", required=True, metavar="TEXT", help="The reason, for the log; do not repeat what is erased.")
@click.option("--keys", is_flag=True, help="Erase the last key of metadata.KEY or parameters.KEY too.")
@options.dry_run
@options.yes
@with_client
def erase(
    client: Client,
    printer: Printer,
    reference: str,
    paths: tuple[str, ...],
    reason: str,
    keys: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Erase secrets or personal data for good, from every event of the log and from the bytes of the file.

    REF is MODEL, MODEL/NUMBER, MODEL@STAGE, MODEL@ALIAS, MODEL==NAME, the id of a run (with its steps), or
    projects/NAME. A PATH is a part of it. Of a version: description, tags, tags.TAG, metadata, metadata.KEY (with the
    points of that metric), artifacts.NAME, reasons, previous_names. Of a model: description and the other texts of its
    card, tags, tags.TAG, metadata, metadata.KEY, reasons, previous_names. Of a run: parameters, parameters.KEY,
    command, error, host, user, url, commit, recording_problems, reasons. Of a project: actors.NAME.

    The events themselves stay, and the log can still be verified: `tallymark verify` lists the erasures. The service
    rewrites its file, and changes wait meanwhile. Backups and exports from before still have the content: delete them.
    """
    name = _resource_name(client, reference)
    erased = client.erase(name, *paths, reason=reason, keys=keys, validate_only=True)
    events = f"{erased.content_count:,} event{'' if erased.content_count == 1 else 's'}"
    if not dry_run:
        confirm(f"Erase this from {events} of {reference}? It cannot be undone.", agreed=yes)
        erased = client.erase(name, *paths, reason=reason, keys=keys)
    printer.one({"name": name, "events": erased.content_count, "revision": erased.revision or None})
    options.print_dry_run_notice(dry_run=dry_run)
    if not dry_run:
        click.echo("delete older backups and exports, which still have it", err=True)


def _resource_name(client: Client, reference: str) -> str:
    """Return the resource name of what the reference means, with a version's number, since an alias may move."""
    if reference.startswith("projects/"):
        return reference
    if means_version(reference):
        # A purged version cannot be read, but its number is enough to erase its content.
        with suppress(NotFound):
            return client.get_version(reference, show_deleted=True).resource_name
        return reference
    with suppress(NotFound, InvalidArgument):
        return client.get_model(reference, show_deleted=True).resource_name
    with suppress(NotFound, InvalidArgument):
        return client.get_run(reference).resource_name
    return reference
