"""`tallymark erase`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from tallymark.cli import completers, options
from tallymark.cli.client_context import asks
from tallymark.cli.options import confirm
from tallymark.cli.output import Printer
from tallymark.errors import InvalidArgument, NotFound
from tallymark.types.references import means_version

if TYPE_CHECKING:
    from tallymark.client.blocking import Client


@click.command
@click.argument("reference", metavar="REF", shell_complete=completers.things)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--reason", required=True, metavar="TEXT", help="Say why, for the log, without a word of what is erased.")
@click.option("--keys", is_flag=True, help="Erase the last key of metadata.KEY or parameters.KEY too.")
@options.dry_run
@options.yes
@asks
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
    projects/NAME. A PATH says what of it is erased. Of a version: description, tags, tags.TAG, metadata, metadata.KEY
    (with the series of that metric), artifacts.NAME, reasons, previous_names. Of a model: description and the other
    texts of its card, tags, tags.TAG, metadata, metadata.KEY, reasons, previous_names. Of a run: parameters,
    parameters.KEY, command, error, host, user, url, commit, recording_problems, reasons. Of a project: actors.NAME.

    What happened stays, and the log still proves itself: `tallymark verify` says what was erased and by which event.
    The service writes its file anew, and changes wait meanwhile. Backups and exports that were made before still have
    what is erased: delete them.
    """
    name = _name(client, reference)
    trial = client.erase(name, *paths, reason=reason, keys=keys, validate_only=True)
    events = f"{trial.content_count:,} event{'' if trial.content_count == 1 else 's'}"
    if not dry_run:
        confirm(f"Erase this from {events} of {reference}? It cannot be undone.", agreed=yes)
        trial = client.erase(name, *paths, reason=reason, keys=keys)
    printer.one({"name": name, "events": trial.content_count, "revision": trial.revision or None})
    options.tell_trial(dry_run=dry_run)
    if not dry_run:
        click.echo("backups and exports that were made before still have it: delete them", err=True)


def _name(client: Client, reference: str) -> str:
    """What the reference means: from here on a version by its number, since an alias may move meanwhile."""
    if reference.startswith("projects/"):
        return reference
    if means_version(reference):
        # What was purged is only known by its number.
        with suppress(NotFound):
            return client.get_version(reference, show_deleted=True).resource_name
        return reference
    with suppress(NotFound, InvalidArgument):
        return client.get_model(reference, show_deleted=True).resource_name
    with suppress(NotFound, InvalidArgument):
        return client.get_run(reference).resource_name
    return reference
