"""`make bench-dashboard`: how long pages take over many versions, and what open pages cost those who create.

It fails when a bound is broken: the first row of a page is there in 100 ms, what is created is shown in 200 ms, and
creates go on beside 500 open pages. Let the machine do nothing else meanwhile. `tests/web` has what holds everywhere.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from playwright.sync_api import Browser, expect, sync_playwright
from bench.load import run
from bench.viewers import viewers
from calling import PROJECT, Calls

from tallymark.testing import Server
from tallymark.v1 import model_pb2, model_registry_pb2
from machine import program
from web.conftest import PACKAGES, PROGRAMS

BATCH = 1000
OTHERS = (0, 20, 50, 500)
# Milliseconds, by the median; with more pages than this open, each waits its turn.
FIRST_ROW, SHOWN, PROMPT = 100, 200, 50
# Of the creates without an open page; those who ask for the pages take a processor as well.
BESIDE = 0.5
TURNS = 10
NOTE_ROWS = """() => {
  window.noted = {};
  new MutationObserver(() => {
    for (const row of document.querySelectorAll("tr[id^=v]")) window.noted[row.id] ??= Date.now();
  }).observe(document.documentElement, { childList: true, subtree: true, attributes: true });
}"""
NOTE_FIRST = """new MutationObserver(() => {
  if (document.querySelector("#page tbody tr"))
    window.firstRow ??= performance.now() - performance.getEntriesByType("navigation")[0].requestStart;
}).observe(document, { childList: true, subtree: true });"""
CREATE = "/tallymark.v1.ModelRegistry/CreateModelVersion"
PARENT = f"{PROJECT}/models/bench"
PAGES = {
    "list of models": "/",
    "model": "/models/bench",
    "model, by metric": "/models/bench?sort=-metric&metric=auc",
    "model, a search": "/models/bench?q=1.77.0",
    "version": "/models/bench/versions/{half}",
    "version, artifacts": "/models/bench/versions/{half}?tab=artifacts",
    "version, lineage": "/models/bench/versions/{half}?tab=lineage",
    "comparison": "/models/bench/compare?number=7&number={half}",
    "activity": "/activity",
}


def fill(server: Server, versions: int) -> None:
    """So many versions of one model, each with a metric, every hundredth with a name."""
    with grpc.insecure_channel(server.address) as channel:
        calls = Calls(channel)
        calls.create_model("bench")
        for first in range(1, versions, BATCH):
            made = [
                model_pb2.ModelVersion(
                    version_name="" if at % 100 else f"1.{at // 100}.0",
                    metadata={"auc": model_pb2.MetadataValue(number=at / versions)},
                )
                for at in range(first, first + BATCH)
            ]
            request = model_registry_pb2.BatchCreateModelVersionsRequest(parent=PARENT, model_versions=made)
            calls.models.BatchCreateModelVersions(request, timeout=120)
        calls.set_stage("bench", versions // 2, model_pb2.STAGE_PRODUCTION)


def timed(connection: HTTPConnection, path: str) -> float:
    """Milliseconds until the whole page is here; its first row is then as well."""
    start = time.perf_counter()
    connection.request("GET", path, headers={"accept-encoding": "gzip"})
    response = connection.getresponse()
    response.read()
    if response.status != 200:
        raise SystemExit(f"bench: {path} was answered with {response.status}")
    return (time.perf_counter() - start) * 1000


@contextmanager
def opened() -> Iterator[Browser]:
    """Chromium, without a window."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program(*PROGRAMS, packages=PACKAGES), args=["--no-sandbox"])
        yield found
        found.close()


def first_row_after(server: Server, path: str, rounds: int) -> list[float]:
    """Milliseconds from asking for the page until its first row stands in Chromium, which knows nothing of it yet."""
    found = []
    with opened() as browser:
        for turn in range(rounds + 1):
            context = browser.new_context(base_url=server.dashboard)
            page = context.new_page()
            page.add_init_script(NOTE_FIRST)
            page.goto(path)
            # The first page of all waits for the browser itself; the time until a browser asks is its own in each.
            if turn:
                found.append(float(page.evaluate("window.firstRow")))
            context.close()
    return found


def shown_after(server: Server, others: int) -> list[float]:
    """Milliseconds from the call that creates a version until its row is in a page in Chromium, ten times."""
    with ExitStack() as stack:
        calls = Calls(stack.enter_context(grpc.insecure_channel(server.address)))
        calls.create_model("bench")
        for _ in range(60):
            calls.create_version("bench")
        page = stack.enter_context(opened()).new_page()
        page.goto(f"{server.dashboard}models/bench")
        expect(page.locator(".live")).to_have_text("live")
        page.evaluate(NOTE_ROWS)
        if others:
            stack.enter_context(viewers(server.dashboard, "/models/bench", others))
        found = []
        for turn in range(TURNS + 1):
            begun = time.time() * 1000
            number = calls.create_version("bench").number
            row = page.locator(f"#v{number}")
            row.wait_for(timeout=60_000)
            if turn:
                found.append(page.evaluate("number => window.noted[`v${number}`]", number) - begun)
            # Every other page has asked anew by then, too.
            time.sleep(1 + others / 100)
        return found


@contextmanager
def served() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder, "bench.db"), http="127.0.0.1:0") as server:
        yield server


class Bounds:
    """What was measured against what it may be."""

    def __init__(self) -> None:
        self._broken: list[str] = []

    def tell(self, name: str, found: list[float], most: float | None = None) -> None:
        """A row of the table: the median and the slowest."""
        median = statistics.median(found)
        print(f"{name:>20} {median:8.1f} {max(found):8.1f}", flush=True)
        self.hold(most is None or median < most, f"{name}: {median:.0f} ms, where {most} are too many")

    def hold(self, kept: bool, words: str) -> None:
        """Keep the words for the end if the bound was not kept."""
        self._broken += [] if kept else [words]

    def end(self) -> None:
        """Fail if any was broken."""
        if self._broken:
            raise SystemExit("bench: " + "; ".join(self._broken))


def pages(bounds: Bounds, versions: int, rounds: int) -> None:
    """How soon pages over many versions are there."""
    with served() as server:
        fill(server, versions)
        connection = HTTPConnection(urlsplit(server.dashboard).netloc)
        print(f"pages of a model with {versions:,} versions: median and slowest of {rounds}, in ms")
        for name, path in PAGES.items():
            found = [timed(connection, path.format(half=versions // 2)) for _ in range(rounds)]
            bounds.tell(name, found, FIRST_ROW)
        connection.close()
        print("the first row stands in a browser that comes for the first time")
        for name in ("list of models", "model", "model, by metric"):
            bounds.tell(name, first_row_after(server, PAGES[name], rounds), FIRST_ROW)


def creates(bounds: Bounds, count: int) -> None:
    """What so many open pages cost those who create, in turns, so that both have the same machine."""
    body = model_registry_pb2.CreateModelVersionRequest(parent=PARENT).SerializeToString()
    with served() as server:
        with grpc.insecure_channel(server.address) as channel:
            Calls(channel).create_model("bench")

        def second() -> float:
            return run(server.address, CREATE, [body], 8, 2000).per_second

        second()  # The server warms up.
        alone, watched = [], []
        for _ in range(3):
            alone.append(second())
            with viewers(server.dashboard, "/models/bench", count):
                watched.append(second())
    share = statistics.median(watched) / statistics.median(alone)
    print(f"creates per second: {statistics.median(alone):,.0f} with no page open,", end=" ")
    print(f"{statistics.median(watched):,.0f} with {count} open, each asking anew when it is told to: {share:.2f}")
    bounds.hold(
        share > BESIDE, f"creates beside {count} pages: {share:.2f} of those without, where {BESIDE} are too few"
    )


def main() -> None:
    """Fill, ask, and tell."""
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=__doc__)
    parser.add_argument("--versions", type=int, default=100_000)
    parser.add_argument("--viewers", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    bounds = Bounds()
    pages(bounds, options.versions, options.rounds)
    creates(bounds, options.viewers)
    print("a created version is shown in an open page: median and slowest of 10, in ms after the call")
    for others in OTHERS:
        with served() as server:
            found = shown_after(server, others)
        bounds.tell(f"{others} other pages open", found, SHOWN if others <= PROMPT else None)
    bounds.end()


if __name__ == "__main__":
    main()
