"""Contexts: registries by name, for the command and for Python programs."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.tables import column, rows
from tallymark.testing import Server

OutputOf = Callable[..., str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The path of the contexts file of this test."""
    return tmp_path / "config" / "tallymark" / "config.toml"


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch, registry: Server) -> Server:
    """A registry whose address is not in the environment."""
    monkeypatch.delenv("TALLYMARK_URL")
    return registry


def test_contexts_are_added_used_listed_and_removed(output_of: OutputOf, run: Any, file: Path) -> None:
    """The file is readable by its owner alone; an unknown name is refused with the known ones."""
    assert output_of("context", "list") == ""
    output_of("context", "add", "work", "--url", "registry:50051", "--project", "lab")
    output_of("context", "add", 'odd "name" é\U0001f600', "--url", "127.0.0.1:1")
    output_of("context", "use", "work")
    assert tomllib.loads(file.read_text()) == {
        "context": "work",
        "contexts": {
            "work": {"url": "registry:50051", "project": "lab"},
            'odd "name" é\U0001f600': {"url": "127.0.0.1:1"},
        },
    }
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)
    listed = rows(output_of("context", "list"))
    assert [(row["CONTEXT"], row["IN_USE"]) for row in listed] == [('odd "name" é\U0001f600', "-"), ("work", "yes")]
    for command in (["use", "home"], ["remove", "home"]):
        done = run("context", *command)
        assert (done.exit_code, "work" in done.stderr) == (2, True)
    output_of("context", "remove", "work")
    assert "context" not in tomllib.loads(file.read_text())
    assert run("context", "add", "x", "--url", "nowhere").exit_code == 2
    assert run("context", "add", "x", "--url", "h:1", "--project", "a/b").exit_code == 2


def test_the_context_in_use_chooses_the_registry(output_of: OutputOf, run: Any, unset: Server) -> None:
    """A flag overrides the environment, which overrides the context, and doctor prints the origin of each setting."""

    def origins(*options: str) -> dict[str, tuple[str, str]]:
        done = run(*options, "doctor")
        return {row["WHAT"]: (row["VALUE"], row["ORIGIN"]) for row in rows(done.stdout)}

    output_of("context", "add", "work", "--url", unset.address, "--project", "lab")
    output_of("context", "add", "other", "--url", "127.0.0.1:1")
    output_of("context", "use", "work")
    assert origins()["url"] == (unset.address, "context work")
    assert origins()["project"] == ("lab", "context work")
    assert origins("--project", "default")["project"] == ("default", "--project")
    assert origins("--context", "other")["url"] == ("127.0.0.1:1", "context other")
    assert origins("--context", "other")["project"] == ("default", "default")
    by_flag = origins("--url", unset.address)
    assert (by_flag["url"], by_flag["project"]) == ((unset.address, "--url"), ("default", "default"))
    environment = {"TALLYMARK_URL": unset.address, "TALLYMARK_CONTEXT": "work"}
    assert run("doctor", env=environment).exit_code == 4
    done = run("doctor", env={"TALLYMARK_URL": unset.address})
    assert (done.exit_code, column(done.stdout, "ORIGIN")[:2]) == (0, ["TALLYMARK_URL", "default"])
    missing = run("--context", "home", "model", "list")
    assert (missing.exit_code, "no context 'home'" in missing.stderr) == (2, True)
    assert "which has other, work; name one of these" in missing.stderr


PROGRAM = "from tallymark import Client; print(Client()._settings.url, Client()._settings.project)"


def test_python_programs_use_the_context_in_use(output_of: OutputOf, unset: Server) -> None:
    """A program without settings calls the registry of the context in use, or of the one that is named."""

    def settings(**environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    assert settings() == "127.0.0.1:50051 default"
    output_of("context", "add", "work", "--url", "registry:50051", "--project", "lab")
    assert settings() == "127.0.0.1:50051 default"
    assert settings(TALLYMARK_CONTEXT="work") == "registry:50051 lab"
    output_of("context", "use", "work")
    assert settings() == "registry:50051 lab"
    assert settings(TALLYMARK_PROJECT="mine") == "registry:50051 mine"
    assert settings(TALLYMARK_URL="elsewhere:1") == "elsewhere:1 default"


def test_without_contexts_no_parser_is_loaded(unset: Server) -> None:
    """A program without a contexts file does not import the parser for it."""
    code = f"{PROGRAM}; import sys; assert not {{'tomllib', 'tallymark.contexts'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("text", ["context = 1", "[contexts.x]\ntoken = 'secret'", "= broken", "[contexts]\nx = 1"])
def test_an_invalid_contexts_file_is_refused(run: Any, unset: Server, file: Path, text: str) -> None:
    """The error names the file, which is not overwritten."""
    file.parent.mkdir(parents=True)
    file.write_text(text)
    for command in (["model", "list"], ["context", "add", "x", "--url", "h:1"]):
        done = run(*command)
        assert (done.exit_code, str(file) in done.stderr) == (2, True)
    assert file.read_text() == text
