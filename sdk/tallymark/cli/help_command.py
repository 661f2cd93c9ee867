"""`tallymark help`."""

from __future__ import annotations

import click


def _complete(context: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the commands whose names begin as typed."""
    command, found = _found(context.find_root(), context.params.get("words") or ())
    names = command.list_commands(found) if isinstance(command, click.Group) else []
    return [name for name in names if name.startswith(typed)]


@click.command("help")
@click.argument("words", metavar="[COMMAND]...", nargs=-1, shell_complete=_complete)
def help_(words: tuple[str, ...]) -> None:
    """Print the help of a command; without one, all commands."""
    command, context = _found(click.get_current_context().find_root(), words)
    click.echo(command.get_help(context))


def _found(root: click.Context, words: tuple[str, ...]) -> tuple[click.Command, click.Context]:
    """Return the command with these words, and its context. Raises click.UsageError if there is none."""
    command, context = root.command, root
    for word in words:
        subcommand = command.get_command(context, word) if isinstance(command, click.Group) else None
        if subcommand is None:
            raise click.UsageError(f"No such command {' '.join(words)!r}; `tallymark help` lists all", root)
        command, context = subcommand, click.Context(subcommand, info_name=word, parent=context)
    return command, context
