"""The official clients of Connect for JavaScript: in Node.js, with fetch, and in a real browser on another site."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import pytest
from grpc_calls import Calls
from clients.scenario import HERE, check, generate, ingredients, project_for, run
from playwright.sync_api import Browser, Error, sync_playwright
from web.conftest import PACKAGES, PROGRAMS

from javascript import node
from cached_folders import kept
from system_programs import program
from tallymark.testing import Server

# On a fresh machine Node.js and the packages are downloaded first.
pytestmark = pytest.mark.timeout(600)

FOLDER = HERE / "node"


@pytest.fixture(scope="module")
def client() -> Iterator[tuple[list[Path], Path]]:
    """The command `node`, and a folder with the clients, their packages and what is generated from the contract."""
    with node() as (command, npm):

        def make(folder: Path) -> None:
            shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
            run(*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
            # The generator is a script that asks for `node` by its name.
            (folder / "bin").mkdir()
            (folder / "bin/node").symlink_to(command[0])
            (folder / "bin/protoc-gen-es").symlink_to(folder / "node_modules/.bin/protoc-gen-es")
            generate(folder, folder / "bin")
            bundle = ["page.mjs", "--bundle", "--format=iife", "--outfile=site/page.js", "--log-level=warning"]
            run(*command, _esbuild(folder), *bundle, folder=folder)
            (folder / "site/index.html").write_text('<!doctype html><script src="page.js"></script>')

        with kept("clients-node", ingredients(FOLDER), make, shared=True) as folder:
            yield command, folder


def _esbuild(folder: Path) -> Path:
    return folder / "node_modules/esbuild/bin/esbuild"


@pytest.mark.parametrize("kind", ["node", "node-json-get", "node-gzip", "node-grpc", "web", "web-json", "web-grpc"])
def test_clients_of_connect_call(serving: Server, asking: Calls, client: tuple[list[Path], Path], kind: str) -> None:
    """Each transport of Connect, with its defaults and with JSON, GET and gzip, does all of the contract."""
    command, folder = client
    project = project_for(asking, kind)
    told = json.loads(run(*command, folder / "client.mjs", kind, serving.dashboard, serving.address, project))
    check(told, asking, project)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    with sync_playwright() as playwright:
        # As root there is no sandbox; what is loaded is our own.
        path = program(*PROGRAMS, packages=PACKAGES)
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def site(folder: Path) -> Iterator[str]:
    """The origin of a site that shows the folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as shown:
        thread = Thread(target=shown.serve_forever)
        thread.start()
        yield f"http://localhost:{shown.server_port}"
        shown.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["connect", "grpc-web"])
def test_a_page_of_an_allowed_site_calls_and_no_other(
    tmp_path: Path, client: tuple[list[Path], Path], browser: Browser, kind: str
) -> None:
    """In a browser, a page of the site that the operator names does all of the contract, and one of another nothing."""
    _, folder = client
    with site(folder / "site") as allowed, site(folder / "site") as other:
        options = ["--http-origin", allowed]
        with Server(tmp_path / "t.db", options, http="127.0.0.1:0") as server:
            told = browser.new_page()
            told.goto(allowed)
            asked = "([kind, url, parent]) => call(kind, url, parent)"
            with grpc.insecure_channel(server.address) as channel:
                calls = Calls(channel)
                project = project_for(calls, kind)
                check(told.evaluate(asked, [kind, server.dashboard, project]), calls, project)
                before = len(calls.events())
                foreign = browser.new_page()
                foreign.goto(other)
                with pytest.raises(Error, match="ConnectError"):
                    foreign.evaluate(asked, [kind, server.dashboard, "projects/default"])
                assert len(calls.events()) == before


def test_the_packages_are_named_without_an_address() -> None:
    """Whoever runs the tests gets the same packages, by their digests, from the registry that is set up there."""
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    named = {name: package for name, package in lock["packages"].items() if name}
    assert named
    assert {name for name, package in named.items() if not package["integrity"].startswith("sha512-")} == set()
    assert re.findall(r"https?://[^\"]+\.tgz", json.dumps(named)) == []
