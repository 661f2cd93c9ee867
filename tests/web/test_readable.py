"""Everybody can read every page: in both colours, at every width, on a slow connection, without errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from web.http_client import furnished, link, measure, number, take_step, traced
from web.pages import CHURN, OPENED, PAGES, SELDOM, seldom
from grpc_calls import PROJECT, Calls
from playwright.sync_api import Page, expect

from tallymark.v1 import model_pb2, project_pb2, run_pb2, run_registry_pb2

# On a fresh machine the browser and the packages are downloaded first.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session")
def rules(npm: tuple[list[Path], Path]) -> str:
    """Return the program that checks the rules of accessibility."""
    return (npm[1] / "node_modules/axe-core/axe.min.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_read_by_everybody(contexts: Any, calls: Calls, rules: str, scheme: str) -> None:
    """No page breaks a rule of accessibility that can be checked, in light and in dark, or logs an error."""
    furnished(calls)
    traced(calls)
    # The program is added to the page from outside, because the page's own policy would not load it.
    page = contexts(color_scheme=scheme, bypass_csp=True)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for name, address in PAGES.items():
        page.goto(address)
        page.add_script_tag(content=rules)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        wrong += [f"{name}: {each['id']} {[node['html'] for node in each['nodes']]}" for each in found["violations"]]
    assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_seldom_seen_can_be_read_by_everybody(contexts: Any, calls: Calls, rules: str, scheme: str) -> None:
    """Open dialogs and menus, refusals, deleted resources and empty pages break no rule of accessibility either."""
    seldom(calls)
    page = contexts(color_scheme=scheme, bypass_csp=True)
    wrong: list[str] = []

    def check(name: str) -> None:
        page.add_script_tag(content=rules)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        wrong.extend(f"{name}: {each['id']} {[node['html'] for node in each['nodes']]}" for each in found["violations"])

    for address in SELDOM:
        page.goto(address)
        check(address)
    for address, what in OPENED.items():
        page.goto(address)
        page.locator(what).click()
        expect(page.locator("#dialog[open], details.menu[open]").first).to_be_visible()
        check(f"{address}, {what}")
    page.goto(CHURN)
    page.keyboard.press("?")
    check("keys")
    page.goto(f"{CHURN}/versions/5/stage?to=production")
    calls.set_stage("churn", 5, model_pb2.STAGE_STAGING, force=True, reason="meanwhile")
    page.get_by_role("button", name="Move No. 5").click()
    expect(page.get_by_role("alert")).to_be_visible()
    check("stale")
    page.get_by_role("button", name="Move No. 5").click()
    expect(page.get_by_role("link", name="Undo")).to_be_visible()
    check("done")
    assert wrong == []


def test_no_page_complains(page: Page, calls: Calls) -> None:
    """Each page loads from this server alone, within its policy, without an error on the console."""
    furnished(calls)
    traced(calls)
    for name, address in PAGES.items():
        if name not in ("nothing", "no model", "bad filter"):
            response = page.goto(address)
            assert response
            assert response.status == 200, name


@pytest.mark.parametrize("width", [360, 820, 1400])
def test_no_page_is_wider_than_the_window(contexts: Any, calls: Calls, width: int) -> None:
    """No page scrolls sideways, on a phone or at a desk, however long the names are."""
    furnished(calls)
    traced(calls)
    calls.models.CreateProject(project_pb2.CreateProjectRequest(project_id="p" * 63))
    calls.create_model("m" * 255, tags=["t" * 255])
    calls.create_version("churn", "v" * 255, description="d" * 999, metadata={"k" * 255: number(1e300)})
    link(calls, "churn", 14, "a" * 255, uri="u" * 8192, digest=f"sha256:{'f' * 64}", format="f" * 100, size_bytes=2**62)
    measure(calls, "churn", 14, "l" * 255, [1e308, -1e308, float("nan"), float("inf")])
    run = run_pb2.Run(pipeline="p" * 255, host="h" * 255, command="c" * 999, error="e" * 999)
    calls.runs.StartRun(run_registry_pb2.StartRunRequest(parent=PROJECT, run_id="r" * 100, run=run))
    problem = run_pb2.RecordingProblem(subject="s" * 255, problem="q" * 255, count=2**62)
    calls.runs.ReportRecordingProblems(
        run_registry_pb2.ReportRecordingProblemsRequest(name=f"{PROJECT}/runs/{'r' * 100}", problems=[problem])
    )
    take_step(calls, "r" * 100, "s" * 255, model_pb2.RUN_STATE_FAILED, "e" * 999)
    page = contexts(viewport={"width": width, "height": 800})
    tabs = ("overview", "metadata", "metrics", "artifacts", "lineage", "history", "raw")
    long = {f"long {tab}": f"{CHURN}/versions/14?tab={tab}" for tab in tabs}
    for name, address in {
        **PAGES,
        **long,
        "wide": f"/models/{'m' * 255}",
        "wide run": f"/runs/{'r' * 100}",
        "beside": f"{CHURN}/compare?number=14,13",
    }.items():
        page.goto(address)
        wide = page.evaluate(
            """(width) => document.documentElement.scrollWidth <= width ? [] : [...document.querySelectorAll("#page *")]
                .filter((each) => each.getBoundingClientRect().right > width).map((each) => each.outerHTML)""",
            width,
        )
        assert wide == [], name


def test_the_first_page_is_light(contexts: Any, calls: Calls) -> None:
    """A browser with an empty cache loads less than 80 kB, uncompressed, for its first page."""
    furnished(calls)
    page = contexts()
    sizes = []
    page.on("response", lambda response: sizes.append(len(response.body())))
    page.goto("/", wait_until="load")
    expect(page.locator(".live")).to_have_text("live")
    assert 40_000 < sum(sizes) < 80_000


@pytest.mark.parametrize("path", ["/", CHURN, f"{CHURN}/versions/120?tab=history"])
def test_a_full_page_is_light(contexts: Any, calls: Calls, path: str) -> None:
    """A page with the most rows, strokes and points, and all that it loads, takes at most 80 kB on the wire."""
    furnished(calls, versions=120)
    for at in range(30):
        calls.create_model(f"model {at}", tags=["growth", f"team={at}"])
        for _ in range(5):
            calls.create_version(f"model {at}", metadata={"auc": number(at / 100)})
    page = contexts()
    sizes = []

    def arrived(request: Any) -> None:
        told = request.sizes()
        sizes.append(told["responseHeadersSize"] + told["responseBodySize"])

    page.on("requestfinished", arrived)
    page.goto(path, wait_until="load")
    expect(page.locator(".live")).to_have_text("live")
    assert len(sizes) >= 4
    assert 20_000 < sum(sizes) < 80_000
