"""`tallymark lineage`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from tallymark.cli import completers, options
from tallymark.cli.client_context import with_client
from tallymark.cli.output import Printer
from tallymark.cli.run_choice import find_run

if TYPE_CHECKING:
    from tallymark.client.blocking import Client


@click.command
@click.argument("reference", metavar="[REF]", default="", shell_complete=completers.references)
@click.option("--run", metavar="RUN", shell_complete=completers.runs, help="Start from this run, not from a version.")
@click.option(
    "--direction",
    type=click.Choice(["both", "upstream", "downstream"]),
    default="both",
    show_default=True,
    help="Show its sources, its results, or both.",
)
@click.option(
    "--depth", type=click.IntRange(1, 20), default=4, show_default=True, help="The number of edges to follow."
)
@options.at
@with_client
def lineage(
    client: Client,
    printer: Printer,
    reference: str,
    run: str | None,
    direction: str,
    depth: int,
    at: int | datetime | None,
) -> None:
    """Show what a version came from, and what came from it."""
    if bool(reference) is bool(run):
        raise click.UsageError("name a version or --run RUN")
    if run:
        run = find_run(client, run, at).id
    found = client.lineage(reference, run=run, direction=direction, depth=depth, at=at)
    names = {node.id: _short_name(node.id) for node in found.nodes}
    printer.many(
        {
            "distance": node.depth,
            "what": names[node.id],
            "kind": {"ModelVersion": "version", "Run": "run"}.get(type(node.resource).__name__, "artifact"),
            "from": [names[source] for source, target in found.edges if target == node.id],
        }
        for node in found.nodes
    )
    if found.truncated:
        click.echo("not everything is shown: raise --depth, or start from another version", err=True)


def _short_name(name: str) -> str:
    """Return the reference to a version, the id of a run, or the digest or URI of an artifact."""
    _, _, rest = name.partition("/models/")
    if name.startswith("projects/") and rest:
        return rest.replace("/versions/", "/")
    return name.rpartition("/runs/")[2] if name.startswith("projects/") else name
