"""Arguments and options of several commands, and the confirmation of changes."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from tallymark.cli import completers, times


class RevisionOrTime(click.ParamType[int | datetime]):
    """A revision, or a time: a span before now, a day, or a time, in this machine's zone unless it names another."""

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


class DatabaseFile(click.Path):
    """A file of SQLite. The URL of a database of PostgreSQL is refused, with what to do instead."""

    def __init__(self, instead: str) -> None:
        super().__init__(path_type=Path, dir_okay=False)
        self._instead = instead

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path. Raises click.BadParameter without the URL, which may have a password."""
        if str(value).startswith(("postgresql://", "postgres://")):
            self.fail(f"this is a database of PostgreSQL: {self._instead}", param, ctx)
        return super().convert(value, param, ctx)


model = click.argument("model", shell_complete=completers.models)
reference = click.argument("reference", metavar="REF", shell_complete=completers.references)

where = click.option(
    "--filter", "where", default="", help="List only items that meet this condition (https://aip.dev/160)."
)
order_by = click.option(
    "--order-by", default="", metavar="FIELDS", help="Sort by these fields, such as 'update_time desc'."
)
at = click.option(
    "--at", type=RevisionOrTime(), help="Show the state at this revision or time, such as 2h or yesterday."
)
show_deleted = click.option("--show-deleted", is_flag=True, help="Show deleted items, too.")
limit = click.option("--limit", type=click.IntRange(1), metavar="N", help="Print at most N items.")
watching = click.option("-w", "--watch", "watching", is_flag=True, help="Then print each change, until Ctrl-C.")
kinds = click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="Show only events of this kind, such as stage_changed. May be given several times.",
)
since = click.option("--since", type=RevisionOrTime(), help="Show only events after this revision, or since this time.")

reason = click.option("--reason", default="", metavar="TEXT", help="The reason, recorded in the log.")
if_etag = click.option(
    "--if-etag", "etag", default="", metavar="ETAG", help="Make the change only if the etag is still this one."
)
dry_run = click.option("--dry-run", is_flag=True, help="Change nothing; print the result of the change, or its error.")
yes = click.option("--yes", is_flag=True, help="Go on without confirmation. Required without a terminal.")
tags = click.option("--tag", "tags", multiple=True, metavar="TAG", help="Add this tag. May be given several times.")


def check_watching(*, watching: bool, where: str, order_by: str = "", at: object = None) -> None:
    """Raise click.UsageError for options that cannot be combined with --watch."""
    given = [name for name, value in (("--filter", where), ("--order-by", order_by), ("--at", at)) if value]
    if watching and given:
        raise click.UsageError(f"--watch prints every change as it happens, so it does not go with {given[0]}")


class NoTerminalError(click.ClickException):
    """A change needs confirmation, and there is no terminal to ask on."""

    exit_code = 2


def confirm(question: str, *, agreed: bool) -> None:
    """Ask for confirmation, unless it was given by `--yes`. Raises NoTerminalError if there is no terminal."""
    if agreed:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise NoTerminalError(f"{question} There is no terminal to confirm on: add --yes to go on without a question")
    if not click.confirm(question, err=True):
        raise click.ClickException("nothing was changed")


def print_dry_run_notice(*, dry_run: bool) -> None:
    """Print on standard error that nothing was changed, after a dry run."""
    if dry_run:
        click.echo("a dry run: nothing was changed", err=True)
