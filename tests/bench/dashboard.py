"""`make bench-dashboard`: how long pages take over many versions, and what open pages cost those who create.

It fails when a bound is broken, so let the machine do nothing else meanwhile. `tests/web` has what holds everywhere.
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
from typing import Any
from urllib.parse import urlsplit

import grpc
from playwright.sync_api import Browser, expect, sync_playwright
from bench.load import run
from bench.report import PUBLISHED, keep, publish
from bench.viewers import viewers
from grpc_calls import PROJECT, Calls

from tallymark.testing import Server
from tallymark.v1 import model_pb2, model_registry_pb2
from system_programs import program
from web.conftest import PACKAGES, PROGRAMS

BATCH = 1000
OTHERS = (0, 20, 50, 500)
TURNS = 10
# Milliseconds, by the median; with more pages open than so many, each waits its turn.
FIRST_ROW, SHOWN, PROMPT = 100, 200, 50
# Of the creates without an open page; those who ask for the pages take a processor as well.
BESIDE = 0.5
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


def first_row_after(server: Server, path: str, rounds: int) -> float:
    """The median milliseconds from the request until the first row stands in a browser that comes anew."""
    found = []
    with opened() as browser:
        for turn in range(rounds + 1):
            with browser.new_context(base_url=server.dashboard) as context:
                page = context.new_page()
                page.add_init_script(NOTE_FIRST)
                page.goto(path)
                # The first page of all waits for the browser itself.
                if turn:
                    found.append(float(page.evaluate("window.firstRow")))
    return statistics.median(found)


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


def pages(versions: int, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """The median milliseconds of each page over so many versions, and those until the first row in a browser."""
    with served() as server:
        fill(server, versions)
        connection = HTTPConnection(urlsplit(server.dashboard).netloc)
        found = {
            name: statistics.median(timed(connection, path.format(half=versions // 2)) for _ in range(rounds))
            for name, path in PAGES.items()
        }
        connection.close()
        rows = {name: first_row_after(server, PAGES[name], rounds) for name in ("list of models", "model")}
    return found, rows


def creates(open_pages: int) -> tuple[float, float]:
    """Creates per second with no page open, and beside so many."""
    with served() as server:
        with grpc.insecure_channel(server.address) as channel:
            Calls(channel).create_model("bench")
        body = model_registry_pb2.CreateModelVersionRequest(parent=PARENT).SerializeToString()

        def measured() -> float:
            return statistics.median(run(server.address, CREATE, [body], 8, 2000).per_second for _ in range(3))

        measured()  # the server warms up
        alone = measured()
        with viewers(server.dashboard, "/models/bench", open_pages):
            return alone, measured()


def shown(others: int) -> float:
    """The median milliseconds after which a change is in an open page, beside so many other pages."""
    with served() as server:
        return statistics.median(shown_after(server, others))


def broken(found: dict[str, Any]) -> Iterator[str]:
    """The bounds that were broken, in words."""
    for what in ("pages_ms", "first_row_ms"):
        for name, median in found[what].items():
            if median > FIRST_ROW:
                yield f"{what} of {name}: {median:.0f}, at most {FIRST_ROW}"
    for others, median in found["shown_after_ms"].items():
        if int(others) <= PROMPT and median > SHOWN:
            yield f"shown beside {others} pages after {median:.0f} ms, at most {SHOWN}"
    alone, watched = found["creates_per_second"]
    if watched < BESIDE * alone:
        yield f"{watched:.0f} creates per second beside open pages and {alone:.0f} without, at least {BESIDE} of them"


def main() -> None:
    """Fill, ask, and add it to the report."""
    parser = argparse.ArgumentParser(prog="make bench-dashboard", description=__doc__)
    parser.add_argument("--versions", type=int, default=100_000)
    parser.add_argument("--viewers", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--into", type=Path, default=PUBLISHED, help="the folder of the report")
    given = parser.parse_args()
    pages_ms, first_row_ms = pages(given.versions, given.rounds)
    found: dict[str, Any] = {
        "versions": given.versions,
        "viewers": given.viewers,
        "pages_ms": pages_ms,
        "first_row_ms": first_row_ms,
        "creates_per_second": creates(given.viewers),
        "shown_after_ms": {str(others): shown(others) for others in OTHERS},
    }
    keep(given.into, dashboard=found)
    print(publish(given.into))
    if wrong := list(broken(found)):
        raise SystemExit("bench: " + "; ".join(wrong))


if __name__ == "__main__":
    main()
