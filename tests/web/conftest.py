"""Fixtures: a real server with its dashboard, and a real browser that reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_calls import Calls
from playwright.sync_api import Browser, Page, sync_playwright

from javascript import packages
from cached_folders import ROOT
from system_programs import program
from tallymark.testing import Server

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PACKAGES = ("chromium", "fonts-dejavu-core")
HERE = ROOT / "tests/web"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield Chromium without a window. Asynchronous tests cannot run while it is open."""
    with sync_playwright() as playwright:
        # Chromium has no sandbox as root; it loads only our own server.
        running = playwright.chromium.launch(
            executable_path=program(*PROGRAMS, packages=PACKAGES), args=["--no-sandbox"]
        )
        yield running
        running.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Yield a server on a fresh file, with its dashboard."""
    with Server(tmp_path / "tallymark.db", http="127.0.0.1:0") as running:
        yield running


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server for tests that do not change it, with an empty model `churn`."""
    with Server(tmp_path_factory.mktemp("standing") / "tallymark.db", http="127.0.0.1:0") as running:
        with grpc.insecure_channel(running.address) as channel:
            Calls(channel).create_model("churn")
        yield running


@pytest.fixture
def calls(server: Server) -> Iterator[Calls]:
    """Yield calls to the server over one channel."""
    with grpc.insecure_channel(server.address) as channel:
        yield Calls(channel)


@pytest.fixture
def contexts(browser: Browser, server: Server) -> Iterator[Any]:
    """Yield a function that opens pages of browsers with the requested settings."""
    made = []

    def make(**settings: Any) -> Page:
        made.append(browser.new_context(base_url=server.dashboard, **settings))
        return made[-1].new_page()

    yield make
    for context in made:
        context.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """Yield a page of a fresh browser; the test fails on an error on its console and on a request to another host."""
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
    """Yield a page whose console may have errors: that the server is away, or that it refuses."""
    context = browser.new_context(base_url=server.dashboard)
    yield context.new_page()
    context.close()


@pytest.fixture
def plain(browser: Browser, server: Server) -> Iterator[Page]:
    """Yield a page of a browser without JavaScript."""
    context = browser.new_context(base_url=server.dashboard, java_script_enabled=False)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def npm() -> Iterator[tuple[list[Path], Path]]:
    """Return the command `node`, and the folder with the packages of these tests."""
    with packages(HERE, "web_modules") as found:
        yield found
