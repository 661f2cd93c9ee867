"""The examples of the SDK: each runs in an empty folder, and prints what its docstring says."""

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

from cached_folders import ROOT
from tallymark import Client
from tallymark.testing import Server

EXAMPLES = ROOT / "sdk/examples"
PROGRAMS = ("scikit_learn", "lightgbm_rounds", "notebook")


def run(*command: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program in a folder."""
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "TALLYMARK_SPOOL": str(folder / "spool"), **environment},
    )


def promised(program: Path) -> str:
    """Return the output that the docstring of the program promises."""
    docstring = ast.get_docstring(ast.parse(program.read_text())) or ""
    return textwrap.dedent(docstring.partition("It prints:\n\n")[2]) + "\n"


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_prints_what_it_says(registry_env: Server, tmp_path: Path, name: str) -> None:
    """In an empty folder and with a new registry, the program prints the promised output and no warning."""
    folder = tmp_path / "empty"
    folder.mkdir()
    done = run(EXAMPLES / f"{name}.py", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == promised(EXAMPLES / f"{name}.py")
    assert len(done.stdout.splitlines()) >= 3


def test_the_example_service_follows_the_promoted_version(
    registry_env: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example service uses the version that is in production, and switches after a promotion."""
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


def test_the_example_suite_passes(tmp_path: Path) -> None:
    """The example of a test suite passes without configuration and without importing its fixture."""
    suite = tmp_path / "test_training.py"
    suite.write_bytes((EXAMPLES / suite.name).read_bytes())
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", suite, folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^3 passed", done.stdout, re.MULTILINE)


def test_shared_registry_uses_one_server_for_all_tests(tmp_path: Path) -> None:
    """With `shared_registry`, one server is used by all tests, so numbers continue."""
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


# A user's test suite, which checks that all settings are those of the fixture.
SUITE = """
import os
import pytest
import tallymark
from tallymark.settings import current
from tallymark import Client, Model, pipeline

set_by_environment = dict(os.environ)
tallymark.configure(project="configured", mode="disabled", parameters="off")
before = current()

@pipeline(model=Model("churn"))
def training(depth):
    assert tallymark.current_run() != "outer"

def check(server):
    training(2)
    found = current()
    assert (found.url, found.project, found.mode) == (server.address, "default", "online")
    assert (found.timeout, found.heartbeat_timeout) == (None, 90.0)
    with Client() as client:
        (version,), (run,) = client.list_versions("churn"), client.list_runs()
        assert (version.number, version.creator, run.parameters) == (1, before.actor, {"depth": 2})
    tallymark.configure(project="of-the-test")

def test_in_a_registry_of_its_own(registry):
    check(registry)

def test_nothing_is_lost():
    assert current() == before
    assert {n: v for n, v in os.environ.items() if n != "PYTEST_CURRENT_TEST"} == {
        n: v for n, v in set_by_environment.items() if n != "PYTEST_CURRENT_TEST"
    }

def test_in_a_registry_for_all(shared_registry):
    check(shared_registry)

def test_what_a_test_sets_is_in_force(registry, monkeypatch):
    monkeypatch.setenv("TALLYMARK_PROJECT", "set")
    assert current().project == "set"
"""


def test_a_test_is_independent_of_the_environment(tmp_path: Path) -> None:
    """Settings of the environment, `configure` and contexts have no effect on a fixture, and are restored after it."""
    (tmp_path / "test_settings.py").write_text(SUITE)
    contexts = tmp_path / "config/tallymark/config.toml"
    contexts.parent.mkdir(parents=True)
    contexts.write_text('context = "work"\n[contexts.work]\nurl = "127.0.0.1:1"\nproject = "of-the-context"\n')
    settings = {"URL": "127.0.0.1:1", "PROJECT": "x", "MODE": "offline", "TIMEOUT": "0.001", "PARAMETERS": "off"}
    settings |= {"RUN_ID": "outer", "RUN_SUBSTITUTIONS": "no JSON", "CONTEXT": "work", "HEARTBEAT_TIMEOUT": "1"}
    settings |= {"STORE": "nowhere://", "TRUSTED_TYPES": "builtins.*"}
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_settings.py")
    for given in (settings, {"MODE": "disabled"}, {}):
        environment = {f"TALLYMARK_{name}": value for name, value in given.items()}
        done = run(*command, folder=tmp_path, XDG_CONFIG_HOME=str(tmp_path / "config"), **environment)
        assert done.returncode == 0, done.stdout
        assert re.search(r"^4 passed", done.stdout, re.MULTILINE)


def test_the_readme_of_the_examples_names_each() -> None:
    """The table of the README lists exactly the existing examples."""
    named = re.findall(r"^\| \[(\w+\.py)\]\(\1\)", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert {f"{name}.py" for name in PROGRAMS} < set(named)
