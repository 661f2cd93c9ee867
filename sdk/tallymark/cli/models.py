"""`tallymark model`."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from tallymark.cli import options
from tallymark.cli.client_context import with_client
from tallymark.cli.delete import delete_model, purge_model, undelete_model
from tallymark.cli.describe import describe_model
from tallymark.cli.history import followed_by_changes, history_since
from tallymark.cli.nouns import Noun
from tallymark.cli.output import Printer

if TYPE_CHECKING:
    from tallymark.client.blocking import Client

_TEXTS = ("description", "license", "audience", "use_cases", "limitations", "trade_offs", "ethics")


@click.group(cls=Noun)
def model() -> None:
    """Models and their descriptions."""


for _command in (delete_model, describe_model, undelete_model, purge_model):
    model.add_command(_command)


@model.command("list")
@options.where
@options.order_by
@options.at
@options.show_deleted
@options.limit
@options.watching
@with_client
def list_models(
    client: Client,
    printer: Printer,
    where: str,
    order_by: str,
    at: int | datetime | None,
    show_deleted: bool,
    limit: int | None,
    watching: bool,
) -> None:
    """List the models by name."""
    options.check_watching(watching=watching, where=where, order_by=order_by, at=at)
    found = client.list_models(filter=where, order_by=order_by, show_deleted=show_deleted, at=at)
    if not watching:
        printer.many(islice(found, limit), "no models" + " that meet the condition" * bool(where))
        return
    from tallymark.types.resources import ModelInfo

    printer.stream(islice(followed_by_changes(client, found, ModelInfo), limit))


@model.command("get")
@options.model
@options.show_deleted
@options.at
@with_client
def get_model(client: Client, printer: Printer, model: str, show_deleted: bool, at: int | datetime | None) -> None:
    """Print one model."""
    printer.one(client.get_model(model, show_deleted=show_deleted, at=at))


def _texts(command: Any) -> Any:
    for text in reversed(_TEXTS):
        command = click.option(f"--{text.replace('_', '-')}", metavar="TEXT")(command)
    return command


@model.command("create")
@click.argument("model")
@_texts
@options.tags
@options.dry_run
@with_client
def create_model(
    client: Client, printer: Printer, model: str, tags: tuple[str, ...], dry_run: bool, **texts: Any
) -> None:
    """Create a model that has no versions yet."""
    given = {name: text for name, text in texts.items() if text is not None}
    created = client.create_model(model, tags=tags, validate_only=dry_run, **given)
    options.print_dry_run_notice(dry_run=dry_run)
    printer.one(created)


@model.command("update")
@options.model
@_texts
@options.if_etag
@options.dry_run
@with_client
def update_model(client: Client, printer: Printer, model: str, etag: str, dry_run: bool, **texts: Any) -> None:
    """Change the descriptions of a model. Empty text clears a field."""
    if all(text is None for text in texts.values()):
        raise click.UsageError("name what to change, such as --description TEXT; change tags with `tallymark tag`")
    changed = client.update_model(model, etag=etag, validate_only=dry_run, **texts)
    options.print_dry_run_notice(dry_run=dry_run)
    printer.one(changed)


@model.command("rename")
@options.model
@click.argument("new_name", metavar="NEW-NAME")
@options.if_etag
@with_client
def rename_model(client: Client, printer: Printer, model: str, new_name: str, etag: str) -> None:
    """Rename a model. Errors for the old name will say the new one."""
    printer.one(client.rename_model(model, new_name, etag=etag))


@model.command("history")
@options.model
@options.since
@options.kinds
@options.limit
@with_client
def history_of_model(
    client: Client,
    printer: Printer,
    model: str,
    since: int | datetime | None,
    kinds: tuple[str, ...],
    limit: int | None,
) -> None:
    """Print the events of a model and its versions, the newest first."""
    printer.many(islice(history_since(client, model, since, kinds), limit), f"no such events of {model}")
