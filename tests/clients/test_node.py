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
from clients.scenario import HERE, check, generate, cache_key, project_for, run
from playwright.sync_api import Browser, Error, sync_playwright
from web.conftest import PACKAGES, PROGRAMS

from javascript import node
from cached_folders import cached_folder
from system_programs import program
from tallymark.testing import Server

# On a new machine, Node.js and the packages are downloaded first.
pytestmark = pytest.mark.timeout(600)

FOLDER = HERE / "node"


@pytest.fixture(scope="module")
def client() -> Iterator[tuple[list[Path], Path]]:
    """Yield the command `node`, and a folder with the clients, their packages and the generated code."""
    with node() as (command, npm):

        def make(folder: Path) -> None:
            shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
            run(*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
            # The generator is a script that looks for `node` in PATH.
            (folder / "bin").mkdir()
            (folder / "bin/node").symlink_to(command[0])
            (folder / "bin/protoc-gen-es").symlink_to(folder / "node_modules/.bin/protoc-gen-es")
            generate(folder, folder / "bin")
            bundle = ["page.mjs", "--bundle", "--format=iife", "--outfile=site/page.js", "--log-level=warning"]
            run(*command, _esbuild(folder), *bundle, folder=folder)
            (folder / "site/index.html").write_text('<!doctype html><script src="page.js"></script>')

        with cached_folder("clients-node", cache_key(FOLDER), make, shared=True) as folder:
            yield command, folder


def _esbuild(folder: Path) -> Path:
    return folder / "node_modules/esbuild/bin/esbuild"


@pytest.mark.parametrize("kind", ["node", "node-json-get", "node-gzip", "node-grpc", "web", "web-json", "web-grpc"])
def test_clients_of_connect_call(
    shared_server: Server, shared_calls: Calls, client: tuple[list[Path], Path], kind: str
) -> None:
    """Each transport of Connect passes the scenario, with its defaults and with JSON, GET and gzip."""
    command, folder = client
    project = project_for(shared_calls, kind)
    report = json.loads(
        run(*command, folder / "client.mjs", kind, shared_server.dashboard, shared_server.address, project)
    )
    check(report, shared_calls, project)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium without a window."""
    with sync_playwright() as playwright:
        # The sandbox does not work as root, and only our own pages are loaded.
        path = program(*PROGRAMS, packages=PACKAGES)
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def site(folder: Path) -> Iterator[str]:
    """Serve the folder over HTTP, and yield the origin."""
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
    """In a browser, a page of an allowed origin passes the scenario, and a page of another origin cannot call."""
    _, folder = client
    with site(folder / "site") as allowed, site(folder / "site") as other:
        options = ["--http-origin", allowed]
        with Server(tmp_path / "t.db", options, http="127.0.0.1:0") as server:
            allowed_page = browser.new_page()
            allowed_page.goto(allowed)
            script = "([kind, url, parent]) => call(kind, url, parent)"
            with grpc.insecure_channel(server.address) as channel:
                calls = Calls(channel)
                project = project_for(calls, kind)
                check(allowed_page.evaluate(script, [kind, server.dashboard, project]), calls, project)
                before = len(calls.events())
                foreign = browser.new_page()
                foreign.goto(other)
                with pytest.raises(Error, match="ConnectError"):
                    foreign.evaluate(script, [kind, server.dashboard, "projects/default"])
                assert len(calls.events()) == before


def test_the_lockfile_has_digests_and_no_addresses() -> None:
    """The lockfile pins packages by digest, and leaves the choice of a registry to npm's settings."""
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    named = {name: package for name, package in lock["packages"].items() if name}
    assert named
    assert {name for name, package in named.items() if not package["integrity"].startswith("sha512-")} == set()
    assert re.findall(r"https?://[^\"]+\.tgz", json.dumps(named)) == []
