"""The official client of Connect for Python, in an environment of its own."""

from __future__ import annotations

import json
import shutil
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc_calls import Calls
from clients.scenario import HERE, check, generate, ingredients, project_for, run

from virtualenvs import pip
from cached_folders import kept
from tallymark.testing import Server

pytestmark = pytest.mark.timeout(600)

FOLDER = HERE / "python"


@pytest.fixture(scope="module")
def client() -> Iterator[list[Path]]:
    """The command that runs the client, with what is generated from the contract beside it."""

    def make(folder: Path) -> None:
        shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
        venv.create(folder / "venv")
        pip("--python", folder / "venv/bin/python", "install", "--requirement", folder / "requirements.txt")
        generate(folder, folder / "venv/bin")

    with kept("clients-python", [*ingredients(FOLDER), sys.version, sys.executable], make) as folder:
        yield [folder / "venv/bin/python", folder / "client.py"]


@pytest.mark.parametrize("kind", ["sync", "sync-json", "sync-grpc-web", "async", "async-plain", "async-grpc-web"])
def test_clients_of_connect_in_python_call(serving: Server, asking: Calls, client: list[Path], kind: str) -> None:
    """With its defaults, which compress every request, and in other ways, the client does all of the contract."""
    project = project_for(asking, kind)
    told = json.loads(run(*client, kind, serving.dashboard, project))
    check(told, asking, project)
