"""The examples beside the SDK: each runs by itself in an empty folder, and prints what it says."""

from __future__ import annotations

import ast
import os
import re
import runpy
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from kept import ROOT
from tallymark import Client
from tallymark.testing import Server

EXAMPLES = ROOT / "sdk/examples"
PROGRAMS = ("scikit_learn", "lightgbm_rounds", "notebook")


def run(*command: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python program in a folder, with warnings shown."""
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "TALLYMARK_SPOOL": str(folder / "spool"), **environment},
    )


def promised(program: Path) -> str:
    """What the first docstring of the program says that it prints."""
    docstring = ast.get_docstring(ast.parse(program.read_text())) or ""
    return textwrap.dedent(docstring.partition("It prints:\n\n")[2]) + "\n"


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_prints_what_it_says(registry_env: Server, tmp_path: Path, name: str) -> None:
    """Run in an empty folder against a fresh registry, the program prints what it says, and warns of nothing."""
    folder = tmp_path / "empty"
    folder.mkdir()
    done = run(EXAMPLES / f"{name}.py", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == promised(EXAMPLES / f"{name}.py")
    assert len(done.stdout.splitlines()) >= 3


def test_the_service_serves_what_was_trained(
    registry_env: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service answers with what the first example has promoted, and with another version once that is promoted."""
    monkeypatch.chdir(tmp_path)
    trained = run(EXAMPLES / "scikit_learn.py", folder=tmp_path)
    assert (trained.returncode, trained.stderr) == (0, "")
    service: dict[str, Any] = runpy.run_path(str(EXAMPLES / "serving.py"))
    asked = re.findall(r"curl '[^/]*//[^/]*(/\S*)'", (EXAMPLES / "serving.py").read_text())
    iris = service["iris"]
    with TestClient(service["app"]) as http, Client() as client:
        assert [http.get(path).json() for path in asked] == [{"kind": 2, "number": 2}]
        client.set_stage("iris/3", "production", force=True)
        assert http.portal is not None
        assert http.portal.call(iris.wait_for, lambda: iris.current.version.number == 3, 30)
        assert http.get(asked[0]).json() == {"kind": 2, "number": 3}
        assert http.get("/health").json() == {"number": 3, "problem": ""}


def test_the_suite_passes_by_itself(tmp_path: Path) -> None:
    """The example of a test suite needs neither a configuration nor an import for its fixture, and passes."""
    suite = tmp_path / "test_training.py"
    suite.write_bytes((EXAMPLES / suite.name).read_bytes())
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", suite, folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^3 passed", done.stdout, re.MULTILINE)


def test_one_server_may_serve_all_tests(tmp_path: Path) -> None:
    """With `shared_registry` a server is started once for all tests, and numbers go on."""
    (tmp_path / "test_shared.py").write_text("""
import pytest
from tallymark import Client, Model

@pytest.mark.parametrize("number", [1, 2])
def test_numbers_go_on(shared_registry, number):
    with Client() as client:
        assert client.ensure_version("churn").version.number == number
""")
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shared.py", folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^2 passed", done.stdout, re.MULTILINE)


def test_the_readme_of_the_examples_names_each() -> None:
    """Each example stands in the table, and everything in the table is there."""
    named = re.findall(r"^\| \[(\w+\.py)\]\(\1\)", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert {f"{name}.py" for name in PROGRAMS} < set(named)
