"""The arguments and options that several commands have, and the question before a change that cannot be unmade."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import click

from tallymark.cli import completers, times


class Moment(click.ParamType[int | datetime]):
    """A revision, or a time: a span before now, a day, or a time of this machine's zone unless it names its own."""

    name = "REVISION|TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | datetime:
        """Return the revision or the time that the text means."""
        if isinstance(value, int | datetime):
            return value
        if str(value).isdecimal() and len(str(value)) < 19:
            return int(value)
        try:
            return times.moment(value)
        except ValueError:
            self.fail(f"{value!r} is neither a revision nor a time such as {times.EXAMPLES}", param, ctx)


model = click.argument("model", shell_complete=completers.models)
reference = click.argument("reference", metavar="REF", shell_complete=completers.references)

where = click.option("--filter", "where", default="", help="List only what meets this condition (https://aip.dev/160).")
order_by = click.option(
    "--order-by", default="", metavar="FIELDS", help="Sort by these fields, such as 'update_time desc'."
)
at = click.option(
    "--at", type=Moment(), help="Show it as it was after this revision, or at this time, such as 2h or yesterday."
)
show_deleted = click.option("--show-deleted", is_flag=True, help="Show what is deleted, too.")
limit = click.option("--limit", type=click.IntRange(1), metavar="N", help="Print at most so many.")
watching = click.option("-w", "--watch", "watching", is_flag=True, help="Go on with each change, until Ctrl-C.")
kinds = click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="Show only events of this kind, such as stage_changed. May be given several times.",
)
since = click.option("--since", type=Moment(), help="Show only what happened after this revision, or since this time.")

reason = click.option("--reason", default="", metavar="TEXT", help="Say why, for the log.")
if_etag = click.option(
    "--if-etag", "etag", default="", metavar="ETAG", help="Change it only if it still has this etag."
)
dry_run = click.option("--dry-run", is_flag=True, help="Change nothing; print what would change, or the refusal.")
yes = click.option("--yes", is_flag=True, help="Do not ask first. Needed where there is no terminal to ask on.")
tags = click.option("--tag", "tags", multiple=True, metavar="TAG", help="Add this tag. May be given several times.")


def check_watching(*, watching: bool, where: str, order_by: str = "", at: object = None) -> None:
    """Refuse what does not go with --watch, which prints every change as it happens."""
    given = [name for name, value in (("--filter", where), ("--order-by", order_by), ("--at", at)) if value]
    if watching and given:
        raise click.UsageError(f"--watch prints every change as it happens, so it does not go with {given[0]}")


class NobodyToAskError(click.ClickException):
    """A change needs a yes, and there is no terminal on which to ask for it."""

    exit_code = 2


def confirm(question: str, *, agreed: bool) -> None:
    """Ask for a yes, unless it was given; where nobody can be asked, it must have been given by `--yes`."""
    if agreed:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise NobodyToAskError(f"{question} There is no terminal to ask on: add --yes, and nothing is asked")
    if not click.confirm(question, err=True):
        raise click.ClickException("nothing was changed")


def tell_trial(*, dry_run: bool) -> None:
    """Say on standard error that what is printed did not happen."""
    if dry_run:
        click.echo("a dry run: nothing was changed", err=True)
