"""The command `tallymark`."""

from __future__ import annotations

from importlib import import_module

import click

from tallymark import __version__

# Commands by name: the module and the name of each, imported when it is called for.
_COMMANDS = {
    "serve": ("tallymark_server.command", "serve"),
    "verify": ("tallymark_server.command", "verify"),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands."""
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=LazyGroup)
@click.version_option(__version__, prog_name="tallymark")
def main() -> None:
    """Tallymark: which versions of a model exist, what number each is, who made it, which one is in production."""
