"""`tallymark version compare`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from tallymark.cli import completers, options
from tallymark.cli.client_context import with_client
from tallymark.cli.output import Printer

if TYPE_CHECKING:
    from tallymark.client.blocking import Client
    from tallymark.types.resources import ModelVersion

_FIELDS = ("name", "stage", "aliases", "description", "tags", "run", "run_state", "step", "creator", "create_time")


@click.command
@click.argument("first", metavar="REF", shell_complete=completers.references)
@click.argument("second", metavar="REF", shell_complete=completers.references)
@click.option("--all", "everything", is_flag=True, help="Show equal fields, too.")
@options.at
@with_client
def compare(
    client: Client, printer: Printer, first: str, second: str, everything: bool, at: int | datetime | None
) -> None:
    """Show the differences between two versions, metadata included."""
    one, other = client.get_version(first, at=at), client.get_version(second, at=at)
    printer.many((row for row in _rows(one, other) if everything or row["first"] != row["second"]), "no difference")


def _rows(one: ModelVersion, other: ModelVersion) -> list[dict[str, str]]:
    from tallymark.cli.columns import compact, short_name, text

    cells = {"version": (short_name(one), short_name(other))}
    cells |= {field: (text(getattr(one, field)), text(getattr(other, field))) for field in _FIELDS}
    for key in sorted(one.metadata.keys() | other.metadata.keys()):
        cells[f"metadata.{key}"] = (compact(one.metadata.get(key)), compact(other.metadata.get(key)))
    return [{"field": field, "first": first, "second": second} for field, (first, second) in cells.items()]
