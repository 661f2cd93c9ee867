"""`tallymark alias`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import click

from tallymark.cli import options
from tallymark.cli.client_context import with_client
from tallymark.cli.nouns import Noun
from tallymark.cli.output import Printer

if TYPE_CHECKING:
    from tallymark.client.blocking import Client


_expected = click.option(
    "--if-number",
    "expected",
    type=click.IntRange(0),
    metavar="NUMBER",
    help="Make the change only if the alias points at this version now; 0 means none.",
)


@click.group(cls=Noun)
def alias() -> None:
    """Names that point at versions."""


@alias.command("list")
@options.model
@options.at
@with_client
def list_aliases(client: Client, printer: Printer, model: str, at: int | datetime | None) -> None:
    """List the aliases of a model."""

    def alias_rows() -> Iterator[dict[str, str]]:
        for version in client.list_versions(model, filter="aliases:*", at=at):
            for name in version.aliases:
                yield {"alias": name, "version": f"{version.model}/{version.number}", "stage": version.stage.value}

    printer.many(sorted(alias_rows(), key=lambda row: row["alias"]), f"no aliases of {model}")


@alias.command("set")
@options.reference
@click.argument("name", metavar="ALIAS")
@_expected
@options.reason
@with_client
def set_alias(client: Client, printer: Printer, reference: str, name: str, expected: int | None, reason: str) -> None:
    """Point an alias at a version, from wherever it pointed before."""
    printer.one(client.set_alias(reference, name, expected_number=expected, reason=reason))


@alias.command("unset")
@options.model
@click.argument("name", metavar="ALIAS")
@_expected
@options.reason
@with_client
def unset_alias(client: Client, printer: Printer, model: str, name: str, expected: int | None, reason: str) -> None:
    """Delete an alias, and print the version at which it pointed."""
    printer.one(client.delete_alias(model, name, expected_number=expected, reason=reason))
