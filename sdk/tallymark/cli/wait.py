"""`tallymark version wait` and `watch`."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

import click

from tallymark.cli import options
from tallymark.cli.client_context import target, with_client
from tallymark.cli.output import Printer
from tallymark.errors import NotFound, Unavailable
from tallymark.types.enums import Stage
from tallymark.types.references import version_name

if TYPE_CHECKING:
    from tallymark.client.blocking import Client
    from tallymark.types.resources import Event, ModelVersion


@click.command
@options.reference
@click.option("--stage", type=click.Choice([stage.value for stage in Stage]), help="Wait until it is in this stage.")
@click.option("--timeout", type=click.FloatRange(0), metavar="SECONDS", help="Stop waiting after this; exit code 8.")
@with_client
def wait(client: Client, printer: Printer, reference: str, stage: str | None, timeout: float | None) -> None:
    """Wait until such a version exists, and print it."""
    from tallymark.cli.history import within

    # Read the revision before looking for the version, so that no change in between is missed.
    after = client.newest_revision()
    found = _as_awaited(client, reference, stage)
    if found is None:
        model = version_name(target().settings().project, reference).split("/")[3]
        for event in within(client.watch(after), timeout):
            found = _as_awaited(client, reference, stage) if _is_about(event, model) else None
            if found is not None:
                break
        else:
            what = f"{reference} in {stage}" if stage else reference
            raise Unavailable(f"no {what} within {timeout:g} s; wait longer with --timeout")
    printer.one(found)


def _is_about(event: Event, model: str) -> bool:
    resource = event.resource
    return model == getattr(resource, "model", getattr(resource, "name", None))


def _as_awaited(client: Client, reference: str, stage: str | None) -> ModelVersion | None:
    try:
        version = client.get_version(reference)
    except NotFound:
        return None
    return version if stage in {None, version.stage.value} else None


@click.command
@options.model
@options.since
@options.kinds
@click.option(
    "--stage",
    "stages",
    multiple=True,
    type=click.Choice([stage.value for stage in Stage]),
    help="Show only moves into or out of this stage. May be given several times.",
)
@options.limit
@with_client
def watch(
    client: Client,
    printer: Printer,
    model: str,
    since: int | datetime | None,
    kinds: tuple[str, ...],
    stages: tuple[str, ...],
    limit: int | None,
) -> None:
    """Print new events of a model and its versions, until Ctrl-C."""
    from tallymark.cli.history import revision_before

    after = revision_before(client, target().settings().project, since)
    printer.stream(islice(client.watch(after, model=model, kinds=kinds, stages=stages), limit))
