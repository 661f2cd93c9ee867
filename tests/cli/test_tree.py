"""The tree of commands, as `--help` and the guide to the SDK describe it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from documents import chapter
from tallymark.cli import main

SECTION = chapter("sdk/README.md", "The command line")

# What every command that prints data has, and the guide says once.
EVERYWHERE = {"--output", "--no-headers", "--columns", "--help"}


def leaves(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield every command that is not a group, with its context."""
    if not isinstance(command, click.Group):
        yield command, context
        return
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from leaves(below, click.Context(below, info_name=name, parent=context))


ROOT = click.Context(main, info_name="tallymark", **main.context_settings)
COMMANDS = {context.command_path: command for command, context in leaves(main, ROOT)}


def usage(path: str) -> tuple[str, set[str]]:
    """Return the usage line of `--help`, and its options."""
    done = CliRunner().invoke(main, [*path.split()[1:], "--help"], prog_name="tallymark")
    assert (done.exit_code, done.stderr) == (0, "")
    first, _, rest = done.stdout.partition("\n")
    options = set(re.findall(r"^  (?:-\w, )?(--[\w-]+)", rest, re.MULTILINE))
    return " ".join(first.removeprefix("Usage: ").replace(" [OPTIONS]", "").split()), options


def top_help() -> str:
    return CliRunner().invoke(main, ["--help"]).stdout


def reference_of_the_guide() -> dict[str, set[str]]:
    """Return the commands of the guide's reference with their options."""
    (block,) = re.findall(r"^```text\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    joined = re.sub(r"\n {10,}", " ", block)
    split = [re.fullmatch(r"(.*?)(?:\s+(--.*))?", line) for line in joined.splitlines()]
    return {f"tallymark {found[1].strip()}": set((found[2] or "").split()) for found in split if found}


def test_the_guide_has_every_command_and_every_option() -> None:
    """The guide's reference has what `--help` shows: each command, its arguments, its options, and none besides."""
    told = dict(map(usage, COMMANDS))
    assert reference_of_the_guide() == {call: options - EVERYWHERE for call, options in told.items()}


def test_commands_that_print_data_have_the_same_options() -> None:
    """All commands that print data have the same options for formats."""
    without = {path for path in COMMANDS if not usage(path)[1] >= EVERYWHERE}
    on_files = {"accept-lost-changes", "backup", "completion", "export", "help", "import", "import-mlflow"}
    on_files |= {"access init", "import-zenml", "login", "logout", "migrate", "restore", "serve", "verify"}
    assert without == {f"tallymark {name}" for name in on_files}


def test_the_list_of_commands_matches_their_help() -> None:
    """`tallymark --help`, which imports no command, shows the same line as the help of each command."""
    shown = " ".join(top_help().split())
    for name in main.list_commands(ROOT):
        command = main.get_command(ROOT, name)
        assert command is not None
        assert f" {name} {command.get_short_help_str(200)}" in shown


@pytest.mark.parametrize("path", [path for path in COMMANDS if path.count(" ") > 1])
def test_short_help_of_every_command_fits_one_line(path: str) -> None:
    """No description is cut in the list of commands of a group."""
    assert not COMMANDS[path].get_short_help_str(64).endswith("...")


def test_every_option_that_the_guide_names_exists() -> None:
    """An option that the guide names is one of some command."""
    named = set(re.findall(r"`(-{1,2}[a-z][\w-]*)`", SECTION))
    there = {name for command in (main, *COMMANDS.values()) for param in command.params for name in param.opts}
    assert named
    assert named <= there | {"--help"}


def test_the_guide_and_the_help_have_the_same_exit_codes() -> None:
    """The exit codes in the guide are those in the help."""
    told = [re.search(r"Exit codes: (0 .*? 130 Ctrl-C\.)", " ".join(text.split())) for text in (SECTION, top_help())]
    assert told[0]
    assert told[1]
    assert told[0][1] == told[1][1]


def test_help_imports_no_client() -> None:
    """`--help` of any command is fast: grpc, protobuf and YAML are imported when a command needs them."""
    heavy = {"grpc", "google", "yaml", "aiosqlite", "tallymark.client.blocking"}
    code = (
        "import sys; from tallymark.cli import main; main(sys.argv[1:], standalone_mode=False);"
        "print(*sys.modules, file=sys.stderr)"
    )
    for path in ([], ["version", "list"], ["serve"], ["metadata", "set"], ["doctor"]):
        done = subprocess.run([sys.executable, "-c", code, *path, "--help"], capture_output=True, text=True, check=True)
        assert "Usage:" in done.stdout
        assert heavy & set(done.stderr.split()) == set()
