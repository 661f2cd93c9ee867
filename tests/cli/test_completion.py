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

# What bash does when a person presses the tab key after this line.
PRESS_TAB = """
eval "$(tallymark completion bash)"
COMP_LINE="$1" COMP_POINT=${#1}
_tallymark_completion tallymark
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def complete() -> Completes:
    """Press tab in bash after these words."""

    def press(*words: str) -> list[str]:
        path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
        command = ["bash", "--norc", "-c", PRESS_TAB, "bash", " ".join(["tallymark", *words])]
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


def test_bash_completes_names_from_the_service(complete: Completes, churn: Client) -> None:
    """Models, the newest versions of a model and runs are completed from the chosen service."""
    churn.create_model("chat")
    churn.create_model("fraud")
    churn.start_run("nightly-7")
    assert complete("model", "get", "ch") == ["chat", "churn"]
    assert complete("version", "get", "fr") == ["fraud"]
    assert complete("version", "compare", "churn/1", "churn/") == ["churn/3", "churn/2", "churn/1"]
    assert complete("run", "get", "") == ["nightly-7"]
    assert complete("version", "get", "nothing/") == []


def test_without_a_service_names_are_not_completed(complete: Completes, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a service that does not answer, or a wrong setting, nothing is completed and no error is shown."""
    monkeypatch.setenv("TALLYMARK_URL", "127.0.0.1:1")
    assert complete("model", "get", "") == []
    assert complete("--url", "nowhere", "model", "get", "") == []


def test_bash_completes_stages_and_aliases(complete: Completes, churn: Client) -> None:
    """Stages and aliases are completed although bash takes `churn@` for a word of its own."""
    churn.set_stage("churn/3", "staging")
    assert complete("version", "get", "churn@") == ["production", "staging", "champion"]
    assert complete("version", "get", "churn@pro") == ["production"]
    assert complete("describe", "churn@ch") == ["champion"]


def test_bash_completes_keys_artifacts_and_runs(complete: Completes, churn: Client) -> None:
    """Keys of metadata, artifacts, runs and commands after `help` are completed."""
    churn.link_artifact("churn/1", "weights", "s3://weights")
    churn.start_run("nightly-7")
    assert complete("metadata", "get", "churn/1", "") == ["auc", "depth"]
    assert complete("metadata", "unset", "churn/1", "de") == ["depth"]
    assert complete("artifact", "get", "churn/1", "we") == ["weights"]
    assert complete("describe", "") == ["churn", "nightly-7"]
    assert complete("help", "model", "hi") == ["history"]


def test_bash_completes_contexts_and_projects(
    complete: Completes, client: Client, output_of: Callable[..., str]
) -> None:
    """Contexts are completed from the file, projects from the service."""
    output_of("context", "add", "work", "--url", "127.0.0.1:1")
    assert complete("context", "use", "") == ["work"]
    assert complete("--context", "wo") == ["work"]
    assert complete("--project", "de") == ["default"]


HOSTILE = ["$(touch PWNED)", "`touch PWNED`", "a;touch PWNED", "a b", "*", "~root", "a&b", "x'y", 'x"y', "a|b"]


def test_names_that_a_shell_could_run_are_not_completed(
    complete: Completes, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that a shell would not read as one plain word are never offered for completion."""
    monkeypatch.chdir(tmp_path)
    for name in (*HOSTILE, "plain", "v1.0_x"):
        client.create_model(name)
    client.create_version("plain", metadata=dict.fromkeys([*HOSTILE, "-rf", "auc"], 1))
    for words, offered in {
        ("model", "get", ""): ["plain", "v1.0_x"],
        ("version", "get", ""): ["plain", "v1.0_x"],
        ("metadata", "get", "plain/1", ""): ["auc"],
        ("model", "get", "$"): [],
    }.items():
        assert complete(*words) == offered
        for word in offered:
            read = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, text=True, check=True)
            assert read.stdout == word
    assert not (tmp_path / "PWNED").exists()


def test_zsh_completes_without_compinit(tmp_path: Path) -> None:
    """The script works in a ~/.zshrc that does not call compinit."""
    script = subprocess.run([PROGRAM, "completion", "zsh"], capture_output=True, text=True, check=True).stdout
    assert script.startswith("(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }\n")
    if shutil.which("zsh"):
        done = subprocess.run(["zsh", "-f"], input=script, text=True, capture_output=True, check=True, cwd=tmp_path)
        assert done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_can_read_its_script(shell: str) -> None:
    """The script has no syntax error, and calls `tallymark` as its shell's completion needs."""
    script = subprocess.run([PROGRAM, "completion", shell], capture_output=True, text=True, check=True).stdout
    assert f"_TALLYMARK_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)
    words = {"COMP_WORDS": "tallymark model ", "COMP_CWORD": "2" if shell != "fish" else "pur"}
    environment = {**os.environ, "_TALLYMARK_COMPLETE": f"{shell}_complete", **words}
    done = subprocess.run([PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert "purge" in done.stdout
