"""`tallymark completion`."""

from __future__ import annotations

import os

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

# Bash also splits words at @ = : which references contain. So the whole line is sent, and only the rest is returned.
_BASH = """
%(complete_func)s() {
    local IFS=$'\\n' type value
    COMPREPLY=()
    while IFS=',' read -r type value; do
        if [[ $type == dir ]]; then
            compopt -o dirnames
        elif [[ $type == file ]]; then
            compopt -o default
        elif [[ $type == plain ]]; then
            COMPREPLY+=("$value")
        fi
    done < <(COMP_LINE="${COMP_LINE:0:$COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
# Without compinit there is no compdef to register with.
_ZSH = """(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
"""


@add_completion_class
class ReferenceBashComplete(BashComplete):
    """Completion in bash of words with @, = and : in them."""

    source_template = _BASH

    def source(self) -> str:
        """Return the script, without a check of the version of bash: another one may read it."""
        return self.source_template % self.source_vars()

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor, and the word at it."""
        line = os.environ.get("COMP_LINE")
        if not line:
            return super().get_completion_args()
        words = split_arg_string(line)[1:]
        incomplete = words.pop() if words and not line[-1].isspace() else ""
        return words, incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """Return the type and the value, without the part that bash takes for another word before it."""
        word = self.get_completion_args()[1]
        breaks = {each for each in os.environ.get("COMP_BREAKS", "") if each in "@=:"}
        start = max((word.rfind(each) for each in breaks), default=-1) + 1
        return f"{item.type},{item.value[start:]}"


@click.command
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script for the completion of commands and names.

    \b
    bash: eval "$(tallymark completion bash)" in ~/.bashrc
    zsh:  eval "$(tallymark completion zsh)" in ~/.zshrc, after compinit if you call it
    fish: tallymark completion fish > ~/.config/fish/completions/tallymark.fish
    """  # noqa: D301 - click reads the escape: keep these lines as they are
    root = click.get_current_context().find_root().command
    completion_class = get_completion_class(shell)
    assert completion_class is not None, f"click completes {shell}"  # noqa: S101 - the choices are those of click
    source = completion_class(root, {}, "tallymark", "_TALLYMARK_COMPLETE").source()
    click.echo((_ZSH if shell == "zsh" else "") + source)
