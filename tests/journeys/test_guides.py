"""The README and the guides: their code works and prints what they show."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest

from documents import Block, blocks, documents, read
from importers.mlflow_server import filled
from cached_folders import ROOT
from system_programs import program
from tallymark import settings
from tallymark_server.serve_command import serve

# The guide to the service needs a registry of MLflow, which takes long to fill on a busy machine.
pytestmark = pytest.mark.timeout(600)

# By document and heading, blocks that are not executed here, and the tests that check them.
TESTED_ELSEWHERE = {
    ("README.md", "Install"): "tests/install/test_install.py",
    **{
        ("service/postgres.md", title): "tests/journeys/test_postgres_guide.py"
        for title in (
            "Start",
            "Let only known callers in",
            "Lose nothing when a server is lost",
            "Upgrade",
            "Back up, and practise to restore",
        )
    },
    ("sdk/README.md", "The command line"): "tests/cli/test_tree.py",
    # Executed for a release; the packages that they build are tested.
    (".github/RELEASING.md", "Publish"): "tests/install/test_release.py",
    (".github/RELEASING.md", "Continue"): "tests/install/test_release.py",
    ("sdk/examples/README.md", "Examples"): "tests/journeys/test_examples.py",
    **{
        ("protos/README.md", title): "tests/clients/test_guide.py"
        for title in ("Filters and orders", "JavaScript and TypeScript", "Python", "Go", "Java", "From a shell")
    },
}
EXECUTED = ["README.md", "sdk/README.md", "service/README.md"]
# grpcurl cannot be installed here; tests/clients/test_guide.py checks its calls.
GRPCURL = re.compile(r"^grpcurl .*?[^\\]\n", re.MULTILINE | re.DOTALL)


def story(document: str) -> list[Block]:
    """Return the blocks of a document that are executed here, in order."""
    return [block for block in blocks(document) if (document, block.chapter) not in TESTED_ELSEWHERE]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Change to an empty folder, with a service in the background that `tallymark up` started on free ports."""
    home, empty = tmp_path / "home", tmp_path / "empty"
    empty.mkdir()
    variables = {
        "HOME": home,
        "XDG_STATE_HOME": home / "state",
        "XDG_CONFIG_HOME": home / "config",
        "TALLYMARK_LISTEN": "127.0.0.1:0",
        "TALLYMARK_HTTP": "127.0.0.1:0",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("TALLYMARK_SPOOL", raising=False)
    monkeypatch.chdir(empty)
    assert shell("tallymark up").returncode == 0
    (running,) = json.loads(shell("tallymark status -o json").stdout)
    monkeypatch.setenv("TALLYMARK_URL", running["address"])
    yield empty
    assert shell("tallymark stop").returncode == 0


def shell(script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script, which ends at the first command that fails."""
    command = ["bash", "-euc", script]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def with_test_addresses(script: str) -> str:
    """Return the script with the addresses of this test's service and without grpcurl commands."""
    (running,) = json.loads(shell("tallymark status -o json").stdout)
    known = {"127.0.0.1:8080": urlsplit(running["dashboard"]).netloc, "registry:50051": running["address"]}
    for shown, actual in known.items():
        script = script.replace(shown, actual)
    return GRPCURL.sub("", script).replace("curl ", "curl --silent --show-error --fail ")


def executed(block: Block) -> subprocess.CompletedProcess[str]:
    """Run a block: a program, its tests, or a shell script."""
    if block.language == "sh":
        if "curl " in block.text:
            program("curl", packages=("curl",))
        return shell(with_test_addresses(block.text))
    if block.language == "toml":
        Path("tallymark.toml").write_text(block.text)
        return shell("true")
    assert block.language == "python", f"nothing executes {block.language} in {block.document}: {block.chapter}"
    name, command = (
        ("test_program.py", "-m pytest -q -p no:cacheprovider -p no:asyncio")
        if "def test_" in block.text
        else ("program.py", "")
    )
    Path(name).write_text(block.text)
    return shell(f"python {command} {name}")


def compact(text: str) -> str:
    """Return the text without the spaces that align a table."""
    return re.sub(r"[ \t]+", " ", text)


def execute(document: str) -> None:
    """Execute every block of a document in order, and compare each output with the block of text that follows."""
    end = Block(document, "", "", "")
    for block, following in pairwise([*story(document), end]):
        if block.language == "text":
            continue
        done = executed(block)
        assert done.returncode == 0, f"{block.chapter}: {done.stderr or done.stdout}"
        if (following.chapter, following.language) == (block.chapter, "text"):
            assert compact(done.stdout).startswith(compact(following.text)), f"{block.chapter}: {done.stdout}"
        if block.language == "python":
            assert done.stderr == "", block.chapter


@pytest.fixture
def sources(folder: Path, document: str) -> None:
    """Create the registries of MLflow and ZenML from which the guide to the service imports."""
    if document != "service/README.md":
        return
    filled(f"sqlite:///{folder / 'mlflow.db'}")
    with closing(sqlite3.connect(folder / "zenml.db")) as database:
        database.executescript((ROOT / "tests/importers/zenml-0.98.0.sql").read_text())


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize("document", EXECUTED)
def test_a_document_works_in_an_empty_folder(folder: Path, document: str) -> None:
    """The programs and commands of a document work in order, and print what it shows."""
    assert any(block.language in {"python", "sh"} for block in story(document))
    execute(document)


def test_every_block_is_executed_by_a_test() -> None:
    """Each chapter with code is executed here, or listed with another test that exists."""
    with_code = {document for document in documents() if blocks(document)}
    assert [document for document in with_code - {*EXECUTED} if story(document)] == []
    chapters = {(document, block.chapter) for document in with_code for block in blocks(document)}
    assert TESTED_ELSEWHERE.keys() <= chapters, "a chapter that is listed here has no code any more"
    assert all((ROOT / test).is_file() for test in TESTED_ELSEWHERE.values())


def test_the_program_runs_without_the_registry_when_recording_is_disabled(tmp_path: Path) -> None:
    """With TALLYMARK_MODE=disabled the training of the README succeeds, with version 0 each time."""
    environment = {**os.environ, "TALLYMARK_MODE": "disabled", "TALLYMARK_URL": "127.0.0.1:1"}
    [training, *_] = [block for block in story("README.md") if block.language == "python"]
    command = [sys.executable, "-c", training.text]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("version 0") == 3


def test_the_first_program_is_short() -> None:
    """The first program of the README has at most twenty lines."""
    [training, *_] = [block for block in story("README.md") if block.language == "python"]
    assert len([line for line in training.text.splitlines() if line.strip()]) <= 20


def test_the_guide_has_every_setting_of_the_service() -> None:
    """The guide's table has exactly the flags of `tallymark serve`, with variables and defaults."""
    told = re.findall(r"^\| `(--[\w-]+)` \| `(\w+)` \| `?([^`|]+?)`? \|", read("service/README.md"), re.MULTILINE)
    defaults = serve.make_context("serve", [], resilient_parsing=True).params
    options = [option for option in serve.params if isinstance(option, click.Option)]
    assert told == [
        (option.opts[0], f"TALLYMARK_{str(option.name).upper()}", shown(option, defaults)) for option in options
    ]


def shown(option: click.Option, defaults: dict[str, Any]) -> str:
    """Return the default of an option as the guide shows it."""
    if isinstance(option.show_default, str):
        return option.show_default
    default = defaults.get(str(option.name))
    if isinstance(default, tuple):
        return ", ".join(default) or "none"
    return "none" if default is None else str(default)


def test_the_guide_has_every_setting_of_the_sdk() -> None:
    """The guide's table has exactly the variables that the SDK reads as settings."""
    told = re.findall(r"^\| `(TALLYMARK_\w+)` \|", read("sdk/README.md"), re.MULTILINE)
    assert sorted(told) == sorted(name for name in settings._VARIABLES if name.startswith("TALLYMARK_"))
