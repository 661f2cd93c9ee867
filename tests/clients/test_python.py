"""The official client of Connect for Python, in a separate environment."""

from __future__ import annotations

import json
import shutil
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc_calls import Calls
from clients.scenario import HERE, check, generate, cache_key, project_for, run

from virtualenvs import pip
from cached_folders import cached_folder
from tallymark.testing import Server

pytestmark = pytest.mark.timeout(600)

FOLDER = HERE / "python"


@pytest.fixture(scope="module")
def client() -> Iterator[list[Path]]:
    """Install the client with its generated code, and yield the command that runs it."""

    def make(folder: Path) -> None:
        shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
        venv.create(folder / "venv")
        pip("--python", folder / "venv/bin/python", "install", "--requirement", folder / "requirements.txt")
        generate(folder, folder / "venv/bin")

    with cached_folder("clients-python", [*cache_key(FOLDER), sys.version, sys.executable], make) as folder:
        yield [folder / "venv/bin/python", folder / "client.py"]


@pytest.mark.parametrize("kind", ["sync", "sync-json", "sync-grpc-web", "async", "async-plain", "async-grpc-web"])
def test_clients_of_connect_in_python_call(
    shared_server: Server, shared_calls: Calls, client: list[Path], kind: str
) -> None:
    """The client passes the scenario, with its defaults, which compress every request, and with other settings."""
    project = project_for(shared_calls, kind)
    report = json.loads(run(*client, kind, shared_server.dashboard, project))
    check(report, shared_calls, project)
