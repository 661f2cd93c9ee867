"""Fixtures: a real server with its dashboard, and a real browser that reads it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from calling import Calls
from playwright.sync_api import Browser, Page, sync_playwright

from javascript import packages
from kept import ROOT
from tallymark.testing import Server

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
HERE = ROOT / "tests/web"


def chromium() -> str:
    """The browser of this machine, which is installed where that can be done; else the tests fail and say so."""
    for attempt in ("find", "install"):
        if attempt == "install" and os.geteuid() == 0 and shutil.which("apt-get"):
            subprocess.run(["apt-get", "update", "-qq"], check=False, capture_output=True)
            command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"]
            subprocess.run(command, check=False, capture_output=True)
        for program in PROGRAMS:
            if found := shutil.which(program):
                return found
    pytest.fail(
        "the tests of the dashboard need Chromium: install it (on Debian, apt-get install chromium)", pytrace=False
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, without a window. While it runs there can be no asynchronous test."""
    with sync_playwright() as playwright:
        # As root there is no sandbox; what is loaded is our own server.
        running = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server on a fresh file, with its dashboard."""
    with Server(tmp_path / "tallymark.db", http="127.0.0.1:0") as running:
        yield running


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for tests that leave it as it is, with an empty model `churn`."""
    with Server(tmp_path_factory.mktemp("standing") / "tallymark.db", http="127.0.0.1:0") as running:
        with grpc.insecure_channel(running.address) as channel:
            Calls(channel).create_model("churn")
        yield running


@pytest.fixture
def calls(server: Server) -> Iterator[Calls]:
    """Calls to the server over one channel."""
    with grpc.insecure_channel(server.address) as channel:
        yield Calls(channel)


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A page of a fresh browser, in which nothing may go wrong: no error on the console, nothing from elsewhere."""
    context = browser.new_context(base_url=server.dashboard)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "request", lambda request: None if request.url.startswith(server.dashboard) else wrong.append(request.url)
    )
    yield opened
    context.close()
    assert wrong == []


@pytest.fixture
def lenient(browser: Browser, server: Server) -> Iterator[Page]:
    """A page that may complain: that the server is away, or that it refuses."""
    context = browser.new_context(base_url=server.dashboard)
    yield context.new_page()
    context.close()


@pytest.fixture
def plain(browser: Browser, server: Server) -> Iterator[Page]:
    """A page of a browser without JavaScript."""
    context = browser.new_context(base_url=server.dashboard, java_script_enabled=False)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def npm() -> Iterator[tuple[list[Path], Path]]:
    """The command `node`, and the folder with the packages of these tests."""
    with packages(HERE, "web_modules") as found:
        yield found
