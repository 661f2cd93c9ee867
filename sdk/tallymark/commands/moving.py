"""`tallymark version promote` and `rollback`: which version is in which stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tallymark.commands import options
from tallymark.commands.asking import asks
from tallymark.commands.options import confirm
from tallymark.commands.output import Printer
from tallymark.errors import StageEmpty
from tallymark.values import Stage

if TYPE_CHECKING:
    from tallymark.client import Client
    from tallymark.resources import ModelVersion


@click.command
@options.reference
@click.option(
    "--stage",
    type=click.Choice([stage.value for stage in Stage]),
    default=Stage.PRODUCTION.value,
    show_default=True,
    help="Where to move it.",
)
@click.option("--force", is_flag=True, help="Put the version that holds the stage into the archive.")
@options.if_etag
@options.dry_run
@options.reason
@options.yes
@asks
def promote(
    client: Client,
    printer: Printer,
    reference: str,
    stage: str,
    force: bool,
    etag: str,
    dry_run: bool,
    reason: str,
    yes: bool,
) -> None:
    """Move a version to a stage. Production and staging hold one version."""
    version = client.get_version(reference)
    # By number from here on: what `latest` or an alias means may change while a person thinks.
    here = f"{version.model}/{version.number}"
    if not (yes or dry_run):
        # Nobody is asked to agree to what would be refused then.
        client.set_stage(here, stage, force=force, reason=reason, etag=etag, validate_only=True)
    confirm(f"Move {here} from {version.stage} to {stage}?", agreed=yes or dry_run)
    moved = client.set_stage(here, stage, force=force, reason=reason, etag=etag, validate_only=dry_run)
    options.tell_trial(dry_run=dry_run)
    printer.one(moved)


@click.command
@options.model
@options.dry_run
@options.reason
@options.yes
@asks
def rollback(client: Client, printer: Printer, model: str, dry_run: bool, reason: str, yes: bool) -> None:
    """Put the version back into production that was there before.

    Which that is, the log tells: the last version that entered production and is not the present one, which goes to the
    archive. So a second rollback takes the first one back.
    """
    present = client.get_version(f"{model}@production")
    previous = client.get_version(f"{present.model}/{_holder_before(client, present)}")
    here, there = f"{previous.model}/{previous.number}", f"{present.model}/{present.number}"
    confirm(f"Put {here} back into production, and {there} into the archive?", agreed=yes or dry_run)
    why = reason or f"rollback from {present.number}"
    # It was in production: whether its run had to succeed was decided when it came there.
    how = {"force": True, "allow_unfinished_run": True, "validate_only": dry_run}
    moved = client.set_stage(here, Stage.PRODUCTION, reason=why, etag=previous.etag, **how)
    options.tell_trial(dry_run=dry_run)
    click.echo(f"production: from {there} to {here}", err=True)
    printer.one(moved)


def _holder_before(client: Client, present: ModelVersion) -> int:
    """The number of the version that was in production before the present one, by the log; StageEmpty."""
    from tallymark.resources import ModelVersion

    for event in client.history(present.model, kinds=["stage_changed"]):
        version = event.resource
        if isinstance(version, ModelVersion) and version.stage is Stage.PRODUCTION and version.number != present.number:
            return version.number
    raise StageEmpty(
        f"no version of {present.model} was in production before {present.number}; promote the one you want:"
        f" tallymark version promote {present.model}/NUMBER --force"
    )
