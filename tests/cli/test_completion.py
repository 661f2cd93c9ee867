"""What a shell completes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tallymark import Client

PROGRAM = Path(sys.executable).with_name("tallymark")
Completes = Callable[..., list[str]]

# What bash does when a person presses the tab key after these words.
PRESS_TAB = """
eval "$(tallymark completion bash)"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_tallymark_completion tallymark
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def complete() -> Completes:
    """Presses tab in bash after these words."""

    def press(*words: str) -> list[str]:
        path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
        command = ["bash", "--norc", "-c", PRESS_TAB, "bash", "tallymark", *words]
        done = subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout.split()

    return press


def test_bash_completes_commands_and_options(complete: Completes) -> None:
    """Commands, their options and the values of options are completed, without a service."""
    assert complete("ver") == ["verify", "version"]
    assert complete("version", "pro") == ["promote"]
    assert complete("version", "promote", "churn", "--sta") == ["--stage"]
    assert complete("version", "promote", "churn", "--stage", "") == ["none", "staging", "production", "archived"]


def test_bash_completes_what_the_service_knows(complete: Completes, churn: Client) -> None:
    """Models, the newest versions of a model and runs are completed from the service that is meant."""
    churn.create_model("chat")
    churn.create_model("fraud")
    churn.start_run("nightly-7")
    assert complete("model", "get", "ch") == ["chat", "churn"]
    assert complete("version", "get", "fr") == ["fraud"]
    assert complete("version", "compare", "churn/1", "churn/") == ["churn/3", "churn/2", "churn/1"]
    assert complete("run", "get", "") == ["nightly-7"]
    assert complete("version", "get", "nothing/") == []


def test_without_a_service_names_are_not_completed(complete: Completes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that does not answer, or a wrong setting, completes nothing and says nothing."""
    monkeypatch.setenv("TALLYMARK_URL", "127.0.0.1:1")
    assert complete("model", "get", "") == []
    assert complete("--url", "nowhere", "model", "get", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_can_read_its_script(shell: str) -> None:
    """The script has no error of syntax, and asks `tallymark` in the way of its shell."""
    script = subprocess.run([PROGRAM, "completion", shell], capture_output=True, text=True, check=True).stdout
    assert f"_TALLYMARK_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)
    words = {"COMP_WORDS": "tallymark model ", "COMP_CWORD": "2" if shell != "fish" else "pur"}
    environment = {**os.environ, "_TALLYMARK_COMPLETE": f"{shell}_complete", **words}
    done = subprocess.run([PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert "purge" in done.stdout
