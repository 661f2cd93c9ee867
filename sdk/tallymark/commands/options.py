"""The arguments and options that several commands have, and the question before a change that cannot be unmade."""

from __future__ import annotations

import sys

import click

from tallymark.commands import completing

model = click.argument("model", shell_complete=completing.models)
reference = click.argument("reference", metavar="REF", shell_complete=completing.references)

where = click.option("--filter", "where", default="", help="Only those of which this is true (https://aip.dev/160).")
show_deleted = click.option("--show-deleted", is_flag=True, help="Also what is deleted.")
limit = click.option("--limit", type=click.IntRange(1), metavar="N", help="Print so many at most.")
watching = click.option("-w", "--watch", "watching", is_flag=True, help="Go on with each change, until Ctrl-C.")
since = click.option("--since", type=click.IntRange(0), metavar="REVISION", help="Only what came after this revision.")

reason = click.option("--reason", default="", metavar="TEXT", help="Why, for the log.")
if_etag = click.option("--if-etag", "etag", default="", metavar="ETAG", help="Only if it is as it was read.")
dry_run = click.option("--dry-run", is_flag=True, help="Change nothing; tell what it would become, or the refusal.")
yes = click.option("--yes", is_flag=True, help="Do not ask first. Needed where there is no terminal to ask on.")
tags = click.option("--tag", "tags", multiple=True, metavar="TAG", help="May be given several times.")


class NobodyToAskError(click.ClickException):
    """A change wants a yes, and there is no terminal on which to ask for it."""

    exit_code = 2


def confirm(question: str, *, agreed: bool) -> None:
    """Go on if a person agrees; where nobody can be asked, `--yes` must have been given."""
    if agreed:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise NobodyToAskError(f"{question} There is no terminal to ask on: add --yes, and nothing is asked")
    if not click.confirm(question, err=True):
        raise click.ClickException("nothing was changed, as you wished")


def tell_trial(*, dry_run: bool) -> None:
    """Tell a person that what follows did not happen."""
    if dry_run:
        click.echo("a dry run: nothing was changed", err=True)
