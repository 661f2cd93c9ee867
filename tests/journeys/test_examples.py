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

from cached_folders import ROOT
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


# A suite of a user, with tests that need all settings to be those of the fixture.
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
    """No setting of the environment, of `configure` or of a context changes what a fixture records, nor is it lost."""
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
    """Each example stands in the table, and everything in the table is there."""
    named = re.findall(r"^\| \[(\w+\.py)\]\(\1\)", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert {f"{name}.py" for name in PROGRAMS} < set(named)
