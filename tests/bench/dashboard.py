"""`make bench-dashboard`: measure pages over many versions, and creates while many pages are open.

The bench fails when a limit is exceeded, so run nothing else on the machine meanwhile.
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
from bench.report import PUBLISHED, publish, save
from bench.viewers import viewers
from grpc_calls import PROJECT, Calls

from tallymark.testing import Server
from tallymark.v1 import model_pb2, model_registry_pb2
from system_programs import program
from web.conftest import PACKAGES, PROGRAMS

BATCH = 1000
OTHER_PAGES = (0, 20, 50, 500)
REPETITIONS = 10
# Limits of medians, in milliseconds; the second applies to at most so many other pages, since more are served in turns.
MAX_FIRST_ROW_MS, MAX_UPDATE_MS, MAX_PROMPT_PAGES = 100, 200, 50
# The least share of the creates without an open page. The processes that load the pages need a processor as well.
MIN_CREATE_SHARE = 0.5
RECORD_ROW_TIMES = """() => {
  window.noted = {};
  new MutationObserver(() => {
    for (const row of document.querySelectorAll("tr[id^=v]")) window.noted[row.id] ??= Date.now();
  }).observe(document.documentElement, { childList: true, subtree: true, attributes: true });
}"""
RECORD_FIRST_ROW = """new MutationObserver(() => {
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
    """Create versions of one model, each with a metric, every hundredth with a name."""
    with grpc.insecure_channel(server.address) as channel:
        calls = Calls(channel)
        calls.create_model("bench")
        for first in range(1, versions, BATCH):
            new = [
                model_pb2.ModelVersion(
                    version_name="" if at % 100 else f"1.{at // 100}.0",
                    metadata={"auc": model_pb2.MetadataValue(number=at / versions)},
                )
                for at in range(first, first + BATCH)
            ]
            request = model_registry_pb2.BatchCreateModelVersionsRequest(parent=PARENT, model_versions=new)
            calls.models.BatchCreateModelVersions(request, timeout=120)
        calls.set_stage("bench", versions // 2, model_pb2.STAGE_PRODUCTION)


def page_ms(connection: HTTPConnection, path: str) -> float:
    """Return the milliseconds until the whole page was received."""
    start = time.perf_counter()
    connection.request("GET", path, headers={"accept-encoding": "gzip"})
    response = connection.getresponse()
    response.read()
    if response.status != 200:
        raise SystemExit(f"bench: {path} returned status {response.status}")
    return (time.perf_counter() - start) * 1000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium without a window."""
    with sync_playwright() as playwright:
        path = program(*PROGRAMS, packages=PACKAGES)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def first_row_after(server: Server, path: str, rounds: int) -> float:
    """Return the median milliseconds from the request to the first row, in a browser with an empty cache."""
    found = []
    with chromium() as browser:
        for turn in range(rounds + 1):
            with browser.new_context(base_url=server.dashboard) as context:
                page = context.new_page()
                page.add_init_script(RECORD_FIRST_ROW)
                page.goto(path)
                # The first page also waits for the browser to start.
                if turn:
                    found.append(float(page.evaluate("window.firstRow")))
    return statistics.median(found)


def update_times(server: Server, others: int) -> list[float]:
    """Return milliseconds from the call that creates a version to its row in an open page, for ten versions."""
    with ExitStack() as stack:
        calls = Calls(stack.enter_context(grpc.insecure_channel(server.address)))
        calls.create_model("bench")
        for _ in range(60):
            calls.create_version("bench")
        page = stack.enter_context(chromium()).new_page()
        page.goto(f"{server.dashboard}models/bench")
        expect(page.locator(".live")).to_have_text("live")
        page.evaluate(RECORD_ROW_TIMES)
        if others:
            stack.enter_context(viewers(server.dashboard, "/models/bench", others))
        found = []
        for turn in range(REPETITIONS + 1):
            begun = time.time() * 1000
            number = calls.create_version("bench").number
            row = page.locator(f"#v{number}")
            row.wait_for(timeout=60_000)
            if turn:
                found.append(page.evaluate("number => window.noted[`v${number}`]", number) - begun)
            # Until the other pages have loaded the change too.
            time.sleep(1 + others / 100)
        return found


@contextmanager
def served() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder, "bench.db"), http="127.0.0.1:0") as server:
        yield server


def pages(versions: int, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return the median milliseconds of each page, and those to the first row in a browser."""
    with served() as server:
        fill(server, versions)
        connection = HTTPConnection(urlsplit(server.dashboard).netloc)
        found = {
            name: statistics.median(page_ms(connection, path.format(half=versions // 2)) for _ in range(rounds))
            for name, path in PAGES.items()
        }
        connection.close()
        rows = {name: first_row_after(server, PAGES[name], rounds) for name in ("list of models", "model")}
    return found, rows


def creates(open_pages: int) -> tuple[float, float]:
    """Return creates per second without an open page, and with so many open pages."""
    with served() as server:
        with grpc.insecure_channel(server.address) as channel:
            Calls(channel).create_model("bench")
        body = model_registry_pb2.CreateModelVersionRequest(parent=PARENT).SerializeToString()

        def measured() -> float:
            return statistics.median(run(server.address, CREATE, [body], 8, 2000).per_second for _ in range(3))

        measured()  # warm up
        alone = measured()
        with viewers(server.dashboard, "/models/bench", open_pages):
            return alone, measured()


def median_update_ms(others: int) -> float:
    """Return the median milliseconds after which an open page shows a change, with so many other open pages."""
    with served() as server:
        return statistics.median(update_times(server, others))


def exceeded_limits(found: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each limit that was exceeded."""
    for what in ("pages_ms", "first_row_ms"):
        for name, median in found[what].items():
            if median > MAX_FIRST_ROW_MS:
                yield f"{what} of {name} is {median:.0f}, the limit is {MAX_FIRST_ROW_MS}"
    for others, median in found["shown_after_ms"].items():
        if int(others) <= MAX_PROMPT_PAGES and median > MAX_UPDATE_MS:
            yield f"with {others} open pages an update takes {median:.0f} ms, the limit is {MAX_UPDATE_MS}"
    alone, watched = found["creates_per_second"]
    if watched < MIN_CREATE_SHARE * alone:
        yield (
            f"{watched:.0f} creates per second with open pages, {alone:.0f} without;"
            f" the least ratio is {MIN_CREATE_SHARE}"
        )


def main() -> None:
    """Fill a registry, measure, add the figures to the report, and fail if a limit is exceeded."""
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
        "shown_after_ms": {str(others): median_update_ms(others) for others in OTHER_PAGES},
    }
    save(given.into, dashboard=found)
    print(publish(given.into))
    if exceeded := list(exceeded_limits(found)):
        raise SystemExit("bench: " + "; ".join(exceeded))


if __name__ == "__main__":
    main()
