"""`tallymark completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands and names.

    \b
    bash: eval "$(tallymark completion bash)" in ~/.bashrc
    zsh:  eval "$(tallymark completion zsh)" in ~/.zshrc
    fish: tallymark completion fish > ~/.config/fish/completions/tallymark.fish
    """  # noqa: D301 - click reads the escape: keep these lines as they are
    found = get_completion_class(shell)
    assert found is not None, f"click completes {shell}"  # noqa: S101 - the choices are those of click
    root = click.get_current_context().find_root().command
    click.echo(found(root, {}, "tallymark", "_TALLYMARK_COMPLETE").source())
