"""`tallymark version`."""

from __future__ import annotations

import sys
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

import click

from tallymark import __version__
from tallymark.cli import options
from tallymark.cli.client_context import with_client
from tallymark.cli.compare import compare
from tallymark.cli.delete import delete_version, purge_version, undelete_version
from tallymark.cli.describe import describe_version
from tallymark.cli.history import followed_by_changes, history_since
from tallymark.cli.metadata import KEY_VALUE
from tallymark.cli.nouns import Noun
from tallymark.cli.output import Printer
from tallymark.cli.promote import promote, rollback
from tallymark.cli.wait import wait, watch

if TYPE_CHECKING:
    from tallymark.client.blocking import Client


@click.group(cls=Noun, invoke_without_command=True)
@click.pass_context
def version(context: click.Context) -> None:
    """Versions of models, their stages and their history.

    A REF is MODEL (its latest version), MODEL/NUMBER, MODEL@STAGE, MODEL@ALIAS or MODEL==NAME. Without a command, print
    the version of this program.
    """
    if context.invoked_subcommand is None:
        click.echo(f"tallymark {__version__}")
        if sys.stdout.isatty():
            click.echo("for the versions of a model: tallymark version list MODEL; for more: tallymark help", err=True)


_IMPORTED = (compare, delete_version, describe_version, promote, purge_version, rollback, undelete_version, wait, watch)
for _command in _IMPORTED:
    version.add_command(_command)


@version.command("list")
@options.model
@options.where
@options.order_by
@options.at
@options.show_deleted
@options.limit
@options.watching
@with_client
def list_versions(
    client: Client,
    printer: Printer,
    model: str,
    where: str,
    order_by: str,
    at: int | datetime | None,
    show_deleted: bool,
    limit: int | None,
    watching: bool,
) -> None:
    """List the versions of a model, the highest number first."""
    options.check_watching(watching=watching, where=where, order_by=order_by, at=at)
    found = client.list_versions(model, filter=where, order_by=order_by, show_deleted=show_deleted, at=at)
    if not watching:
        printer.many(islice(found, limit), f"no versions of {model}" + " that meet the condition" * bool(where))
        return
    from tallymark.types.resources import ModelVersion

    printer.stream(islice(followed_by_changes(client, found, ModelVersion, model), limit))


@version.command("get")
@options.reference
@options.show_deleted
@options.at
@with_client
def get_version(
    client: Client, printer: Printer, reference: str, show_deleted: bool, at: int | datetime | None
) -> None:
    """Print one version."""
    printer.one(client.get_version(reference, show_deleted=show_deleted, at=at))


@version.command("create")
@options.model
@click.option("--name", default="", help="A name in addition to its number.")
@click.option("--description", default="", metavar="TEXT")
@options.tags
@click.option(
    "--metadata",
    "pairs",
    type=KEY_VALUE,
    metavar="KEY=VALUE",
    multiple=True,
    help="Set this metadata. May be given several times.",
)
@options.dry_run
@with_client
def create_version(
    client: Client,
    printer: Printer,
    model: str,
    name: str,
    description: str,
    tags: tuple[str, ...],
    pairs: tuple[tuple[str, object], ...],
    dry_run: bool,
) -> None:
    """Create the next version of a model."""
    created = client.create_version(
        model, name, description=description, tags=tags, metadata=dict(pairs), validate_only=dry_run
    )
    options.print_dry_run_notice(dry_run=dry_run)
    printer.one(created)


@version.command("update")
@options.reference
@click.option("--name", help="A name in addition to its number; empty removes it.")
@click.option("--description", metavar="TEXT")
@options.if_etag
@options.dry_run
@with_client
def update_version(
    client: Client,
    printer: Printer,
    reference: str,
    name: str | None,
    description: str | None,
    etag: str,
    dry_run: bool,
) -> None:
    """Change the name or the description of a version. Empty text clears it."""
    if name is None and description is None:
        raise click.UsageError(
            "name what to change, --name or --description; change tags and metadata with `tallymark tag` and"
            " `tallymark metadata`"
        )
    changed = client.update_version(reference, name=name, description=description, etag=etag, validate_only=dry_run)
    options.print_dry_run_notice(dry_run=dry_run)
    printer.one(changed)


@version.command("history")
@options.reference
@options.since
@options.kinds
@options.limit
@with_client
def history(
    client: Client,
    printer: Printer,
    reference: str,
    since: int | datetime | None,
    kinds: tuple[str, ...],
    limit: int | None,
) -> None:
    """Print the events of a version, the newest first."""
    found = client.get_version(reference, show_deleted=True)
    events = history_since(client, f"{found.model}/{found.number}", since, kinds)
    printer.many(islice(events, limit), f"no such events of {found.model}/{found.number}")
