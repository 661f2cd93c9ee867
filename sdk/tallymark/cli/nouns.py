"""Groups of commands about one kind of resource, such as `tallymark model ...`."""

from __future__ import annotations

import click

_SYNONYMS = {"ls": "list"}


class Noun(click.Group):
    """A group in which `ls` is `list`."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, or None."""
        command = super().get_command(ctx, cmd_name)
        return command or super().get_command(ctx, _SYNONYMS.get(cmd_name, ""))
