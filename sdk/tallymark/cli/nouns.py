"""Groups of commands about one kind of thing: `tallymark model ...`."""

from __future__ import annotations

import click

_OTHER_NAMES = {"ls": "list"}


class Noun(click.Group):
    """A group in which `ls` is `list`."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, or None."""
        found = super().get_command(ctx, cmd_name)
        return found or super().get_command(ctx, _OTHER_NAMES.get(cmd_name, ""))
