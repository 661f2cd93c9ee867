"""`tallymark version promote` and `rollback`: moves between stages."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import click

from tallymark.cli import options
from tallymark.cli.client_context import with_client
from tallymark.cli.options import confirm
from tallymark.cli.output import Printer
from tallymark.errors import StageEmpty
from tallymark.types.enums import Stage

if TYPE_CHECKING:
    from tallymark.client.blocking import Client
    from tallymark.types.resources import ModelVersion


@click.command
@options.reference
@click.option(
    "--stage",
    type=click.Choice([stage.value for stage in Stage]),
    default=Stage.PRODUCTION.value,
    show_default=True,
    help="The stage to move it to.",
)
@click.option("--force", is_flag=True, help="Move the version that holds the stage to the archive.")
@click.option(
    "--force-failed",
    is_flag=True,
    help="Promote it although its run failed, is lost or still running. Requires --reason.",
)
@options.if_etag
@options.dry_run
@options.reason
@options.yes
@with_client
def promote(
    client: Client,
    printer: Printer,
    reference: str,
    stage: str,
    force: bool,
    force_failed: bool,
    etag: str,
    dry_run: bool,
    reason: str,
    yes: bool,
) -> None:
    """Move a version to a stage. Production and staging hold one version."""
    if force_failed and not reason:
        raise click.UsageError("add a --reason to --force-failed; the log keeps it")
    version = client.get_version(reference)
    # Go on with its number, since `latest` or an alias may change before the answer.
    here = f"{version.model}/{version.number}"
    move = functools.partial(
        client.set_stage, here, stage, force=force, allow_unfinished_run=force_failed, reason=reason, etag=etag
    )
    leaving = _leaving(client, version, stage) if force else ""
    if not (yes or dry_run):
        # Raise the error of the change, if it has one, before asking for confirmation.
        move(validate_only=True)
    archived = f", and {leaving} from {stage} to the archive" if leaving else ""
    confirm(f"Move {here} from {version.stage} to {stage}{archived}?", agreed=yes or dry_run)
    moved = move(validate_only=dry_run)
    options.print_dry_run_notice(dry_run=dry_run)
    if leaving:
        click.echo(f"{stage}: from {leaving} to {here}", err=True)
    printer.one(moved)


def _leaving(client: Client, version: ModelVersion, stage: str) -> str:
    """Return the version that would leave the stage for the archive; empty for none."""
    if stage not in {Stage.PRODUCTION, Stage.STAGING}:
        return ""
    try:
        holder = client.get_version(f"{version.model}@{stage}")
    except StageEmpty:
        return ""
    return "" if holder.number == version.number else f"{holder.model}/{holder.number}"


@click.command
@options.model
@options.dry_run
@options.reason
@options.yes
@with_client
def rollback(client: Client, printer: Printer, model: str, dry_run: bool, reason: str, yes: bool) -> None:
    """Move the previous version back into production.

    It is found in the log: the last version that entered production before the present one, which goes to the archive.
    So a second rollback undoes the first.
    """
    info = client.get_model(model)
    previous = client.rollback(info.name, reason=reason, validate_only=True)
    here, holder = f"{previous.model}/{previous.number}", info.production_number
    there = f"{info.name}/{holder}" if holder else ""
    archived = f", and {there} into the archive" if there else ""
    confirm(f"Put {here} back into production{archived}?", agreed=yes or dry_run)
    if not dry_run:
        # What was confirmed, not what the log says by now: refused when another version is in production meanwhile.
        why = reason or (f"rollback from {holder}" if holder else "rollback")
        previous = client.set_stage(
            here, Stage.PRODUCTION, force=True, allow_unfinished_run=True, expected_number=holder, reason=why
        )
    options.print_dry_run_notice(dry_run=dry_run)
    click.echo(f"production: from {there or 'none'} to {here}", err=True)
    printer.one(previous)
