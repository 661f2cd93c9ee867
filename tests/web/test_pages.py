"""What the pages show, in a real browser: to everybody, in both colours, at every width."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web.asking import ask, furnished, link, measure, number, traced
from calling import Calls
from playwright.sync_api import Browser, Page, expect

from tallymark.testing import Server
from tallymark.v1 import model_pb2

# On a fresh machine the browser and the packages are downloaded first.
pytestmark = pytest.mark.timeout(600)

CHURN = "/models/churn"
PAGES = {
    "models": "/",
    "models found": "/?q=chu&sort=versions",
    "bad filter": "/?q=tags+%3D",
    "model": CHURN,
    "versions found": f"{CHURN}?q=metadata.auc+%3E+0.72&sort=-metric",
    "version": f"{CHURN}/versions/5",
    "metrics": f"{CHURN}/versions/5?tab=metrics",
    "metadata": f"{CHURN}/versions/5?tab=metadata",
    "history": f"{CHURN}/versions/3?tab=history",
    "raw": f"{CHURN}/versions/3?tab=raw",
    "made by a run": f"{CHURN}/versions/13",
    "curves": f"{CHURN}/versions/13?tab=metrics",
    "artifacts": f"{CHURN}/versions/13?tab=artifacts",
    "no artifacts": f"{CHURN}/versions/5?tab=artifacts",
    "lineage": f"{CHURN}/versions/13?tab=lineage",
    "lineage of one": f"{CHURN}/versions/5?tab=lineage",
    "compare": f"{CHURN}/compare?number=3&number=5&number=13",
    "activity": "/activity",
    "moment": f"{CHURN}/at",
    "settings": "/settings",
    "stage": f"{CHURN}/versions/5/stage?to=production",
    "aliases": f"{CHURN}/versions/5/aliases",
    "tags": f"{CHURN}/versions/5/tags",
    "description": f"{CHURN}/versions/5/describe",
    "card": f"{CHURN}/describe",
    "delete": f"{CHURN}/versions/3/delete",
    "rollback": f"{CHURN}/rollback",
    "done": f"{CHURN}/versions/3?done=17",
    "nothing": "/nothing",
    "no model": "/models/nobody",
}


@pytest.fixture(scope="session")
def rules(npm: tuple[list[Path], Path]) -> str:
    """The program that knows the rules of accessibility."""
    return (npm[1] / "node_modules/axe-core/axe.min.js").read_text()


@pytest.fixture
def contexts(browser: Browser, server: Server) -> Iterator[Any]:
    """Makes pages of browsers with the settings that are asked for."""
    made = []

    def make(**settings: Any) -> Page:
        made.append(browser.new_context(base_url=server.dashboard, **settings))
        return made[-1].new_page()

    yield make
    for context in made:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_read_by_everybody(contexts: Any, calls: Calls, rules: str, scheme: str) -> None:
    """No page breaks a rule of accessibility that can be checked, in light and in dark, and none complains."""
    furnished(calls)
    traced(calls)
    # The rules are put into the page from outside, which its own policy would not let in.
    page = contexts(color_scheme=scheme, bypass_csp=True)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for name, address in PAGES.items():
        page.goto(address)
        page.add_script_tag(content=rules)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        wrong += [f"{name}: {each['id']} {[node['html'] for node in each['nodes']]}" for each in found["violations"]]
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
    """Nobody must scroll sideways to read a page, on a phone or at a desk, however long the names are."""
    furnished(calls)
    traced(calls)
    calls.create_model("m" * 255, tags=["t" * 255])
    calls.create_version("churn", "v" * 255, description="d" * 999, metadata={"k" * 255: number(1e300)})
    link(calls, "churn", 14, "a" * 255, uri="u" * 8192, digest=f"sha256:{'f' * 64}", format="f" * 100, size_bytes=2**62)
    measure(calls, "churn", 14, "l" * 255, [1e308, -1e308, float("nan"), float("inf")])
    page = contexts(viewport={"width": width, "height": 800})
    tabs = ("overview", "metadata", "metrics", "artifacts", "lineage", "history", "raw")
    long = {f"long {tab}": f"{CHURN}/versions/14?tab={tab}" for tab in tabs}
    for name, address in {
        **PAGES,
        **long,
        "wide": f"/models/{'m' * 255}",
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
    """A browser that knows nothing of the dashboard yet loads less than 80 kB for its first page, sizes unpacked."""
    furnished(calls)
    page = contexts()
    sizes = []
    page.on("response", lambda response: sizes.append(len(response.body())))
    page.goto("/", wait_until="load")
    expect(page.locator(".live")).to_have_text("live")
    assert 40_000 < sum(sizes) < 80_000


def test_what_stands_where_is_seen_at_once(page: Page, calls: Calls) -> None:
    """The list tells of each model its latest number and who is in production and in staging."""
    furnished(calls)
    page.goto("/")
    row = page.locator("tr", has_text="churn")
    expect(row.locator(".latest")).to_have_text("12")
    expect(row.locator(".stage.production")).to_have_text("3")
    expect(row.locator(".stage.staging")).to_have_text("4")
    expect(row).to_contain_text("growth")


def test_a_model_shows_its_numbers_as_tallies(page: Page, calls: Calls) -> None:
    """Each number is a stroke, in fives; who is in production stands out, and a deleted one is a dotted line."""
    furnished(calls)
    page.goto(CHURN)
    strokes = page.locator(".tally path:not(.hit)")
    expect(strokes).to_have_count(12)
    expect(page.locator(".tally > span")).to_have_count(3)
    expect(strokes.nth(2)).to_have_class("production")
    expect(page.locator(".lane.production .big")).to_have_text("No.3")
    expect(page.locator(".lane.production")).to_contain_text("better")
    expect(page.locator(".plot circle")).to_have_count(12)


def test_versions_are_found_ordered_and_paged(page: Page, calls: Calls) -> None:
    """A search is a number, a word or a filter; the order is by number or metric; all of it stands in the address."""
    furnished(calls, versions=30)
    numbers = page.locator(".versions th .no")
    page.goto(f"{CHURN}?q=7")
    expect(numbers).to_have_text(["7"])
    page.goto(f"{CHURN}?q=1.5.0")
    expect(numbers).to_have_text(["5"])
    page.goto(f"{CHURN}?q=stage+%3D+production+OR+aliases:champion")
    expect(numbers).to_have_text(["5", "3"])
    page.goto(f"{CHURN}?sort=metric&metric=auc&size=25")
    expect(numbers.first).to_have_text("1")
    page.get_by_role("link", name="Next page").click()
    expect(numbers).to_have_text([str(each) for each in range(26, 31)])
    page.goto(CHURN)
    expect(numbers).to_have_count(25)
    page.get_by_role("link", name="Next page").click()
    expect(numbers).to_have_text(["5", "4", "3", "2", "1"])


def test_a_filter_is_applied_while_it_is_written(page: Page, calls: Calls) -> None:
    """What is written into the filter is found without sending it, and stands in the address, to be passed on."""
    furnished(calls)
    page.goto(CHURN)
    page.keyboard.press("f")
    page.keyboard.type("metadata.auc > 0.81")
    expect(page.locator(".versions th .no")).to_have_text(["12"])
    assert "q=metadata.auc" in page.url
    page.keyboard.press("End")
    page.keyboard.type(" AND")
    expect(page.get_by_role("alert")).to_contain_text("filter cannot be read at position")


def test_the_search_of_every_page_knows_short_references(page: Page, calls: Calls) -> None:
    """`churn@production` in the search field leads to that very version; a word to the models that it finds."""
    furnished(calls)
    for text, address in (
        ("churn@production", f"{CHURN}/versions/3"),
        ("churn/7", f"{CHURN}/versions/7"),
        ("churn==1.5.0", f"{CHURN}/versions/5"),
        ("chu", "/?q=chu"),
    ):
        page.goto("/activity")
        page.keyboard.press("/")
        page.keyboard.type(text)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{address}")


def test_a_version_tells_why_it_has_its_number(page: Page, calls: Calls) -> None:
    """A named version, an automatic one of a run, and the first of a line each say how they came to their number."""
    furnished(calls)
    calls.start_run("train-1122", model_pb2.ModelConfig(model="churn"), pipeline="nightly")
    for number_, words in (
        (1, "first of its line"),
        (5, "asked for the name 1.5.0"),
        (13, "run train-1122 of the pipeline nightly asked for its one version"),
    ):
        page.goto(f"{CHURN}/versions/{number_}")
        expect(page.locator(".why")).to_contain_text(words)


def test_metrics_are_told_against_the_previous_and_production(page: Page, calls: Calls) -> None:
    """Each number of a version is shown with its change against the version before and the one in production."""
    furnished(calls)
    page.goto(f"{CHURN}/versions/5?tab=metrics")
    expect(page.locator(".metrics tbody tr")).to_have_text("auc0.75+0.01+0.02")


def test_versions_are_compared(page: Page, calls: Calls) -> None:
    """Chosen rows are put side by side, and what is the same in all of them can be left out."""
    furnished(calls)
    page.goto(CHURN)
    for number_ in (3, 5):
        page.get_by_label(f"Choose No. {number_}", exact=True).check()
    page.get_by_role("button", name="Compare what is chosen").click()
    rows = page.locator(".compared tbody tr:not(.section) th")
    expect(rows.filter(has_text="tags")).to_have_count(1)
    expect(page.locator(".compared .change")).to_have_text(["−0.02"])
    page.get_by_label("only differences").check()
    expect(rows.filter(has_text="tags")).to_have_count(0)
    expect(rows.filter(has_text="auc")).to_have_count(1)


def test_who_was_in_production_is_told_for_any_time(server: Server, calls: Calls) -> None:
    """The holder of production is found for the time of each event that changed it, and nobody before the first."""
    furnished(calls)
    moves = [event for event in calls.events() if event.model_version.stage == model_pb2.STAGE_PRODUCTION]
    for event, holder in zip(moves, (2, 3), strict=True):
        told = ask(server.dashboard, f"{CHURN}/at.json?time={event.time.ToJsonString()}").json
        # Both moves may have been decided at the same microsecond; then the later one is what stood.
        assert told["production"]["number"] in {holder, 3}
    before = ask(server.dashboard, f"{CHURN}/at.json?time=2001-01-01T00:00").json
    assert before["production"] is None
    assert ask(server.dashboard, f"{CHURN}/at.json").json["production"]["number"] == 3


def test_history_and_activity_tell_what_happened(page: Page, calls: Calls) -> None:
    """Each event of a version is told with who and why, the newest first; the activity can be narrowed down."""
    furnished(calls)
    page.goto(f"{CHURN}/versions/3?tab=history")
    told = page.locator(".events li")
    expect(told.first).to_contain_text("from none to production")
    expect(told.first).to_contain_text("better")
    expect(told.last).to_contain_text("created")
    page.goto("/activity?kind=alias_set")
    expect(told).to_have_count(1)
    expect(told).to_contain_text("pointed champion at churn No. 5")


def test_every_page_is_json_too(server: Server, calls: Calls) -> None:
    """The same address with `.json` gives what the page shows, in the JSON of the contract."""
    furnished(calls)
    traced(calls)
    for name, address in PAGES.items():
        path, mark, query = address.partition("?")
        answer = ask(server.dashboard, f"{'/models' if path == '/' else path}.json{mark}{query}")
        assert answer.headers["content-type"] == "application/json", name
        assert isinstance(answer.json, dict), name
    assert ask(server.dashboard, f"{CHURN}/versions/3.json").json["stage"] == "STAGE_PRODUCTION"
    listed = ask(server.dashboard, "/models.json").json
    assert [(model["name"], model["latest"], model["production"]) for model in listed["models"]] == [
        ("projects/default/models/churn", 13, 3),
        ("projects/default/models/features", 1, None),
    ]
    assert ask(server.dashboard, "/models/nobody.json").json["reason"] == "MODEL_NOT_FOUND"


def test_a_version_is_found_by_every_way_to_name_it(server: Server, calls: Calls) -> None:
    """`latest`, `@production`, `@champion` and `=1.5.0` in an address lead to the number."""
    furnished(calls)
    for reference, number_ in (("latest", 12), ("@production", 3), ("@champion", 5), ("=1.5.0", 5)):
        answer = ask(server.dashboard, f"{CHURN}/versions/{reference}")
        assert (answer.status, answer.headers["location"]) == (302, f"{CHURN}/versions/{number_}")


def test_every_name_has_an_address(page: Page, calls: Calls) -> None:
    """A model is reached by its link whatever it is called, also where browsers would read the name otherwise."""
    names = ["..", ".", "x.json", "x~", "a b?c#d", "100%", "模型", "versions", "+", "~"]
    for name in names:
        calls.create_model(name)
        calls.create_version(name)
        page.goto("/")
        page.get_by_role("rowheader", name=name).get_by_role("link", name=name, exact=True).click()
        expect(page.locator("h1")).to_have_text(name)
        page.locator(".versions .no").click()
        expect(page.locator("h1")).to_have_text("No.1")


def test_projects_are_apart(tmp_path: Path, browser: Browser) -> None:
    """With several projects each has its own pages, and every link stays within it."""
    with Server(tmp_path / "tallymark.db", ["--project", "lab"], http="127.0.0.1:0") as server:
        created = ask(
            server.dashboard,
            "/tallymark.v1.ModelRegistry/CreateModel",
            "POST",
            '{"parent": "projects/lab", "modelId": "mice"}',
            content_type="application/json",
        )
        assert created.status == 200
        with browser.new_context(base_url=server.dashboard) as context:
            page = context.new_page()
            page.goto("/")
            expect(page.locator("#page")).to_contain_text("There is no model yet")
            page.get_by_role("link", name="lab").click()
            page.get_by_role("link", name="mice").click()
            page.wait_for_url("**/projects/lab/models/mice")
            page.get_by_role("link", name="Models").first.click()
            page.wait_for_url("**/projects/lab/")


def test_settings_are_kept(page: Page) -> None:
    """The colours that a viewer chooses hold on every page, as does the name."""
    page.goto("/settings")
    page.get_by_label("dark", exact=True).check()
    page.get_by_label("Your name").fill("ana lovelace")
    page.get_by_role("button", name="Keep").click()
    page.goto("/")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto("/settings")
    expect(page.get_by_label("Your name")).to_have_value("ana lovelace")


def test_an_empty_registry_says_how_to_begin(page: Page, calls: Calls) -> None:
    """Where there is nothing yet, lines to copy make the first version, and it appears without a reload."""
    page.goto("/")
    expect(page.locator("pre").first).to_contain_text('Model("churn")')
    expect(page.locator(".live")).to_have_text("live")
    calls.create_model("churn")
    expect(page.locator("[data-open]")).to_have_text("churn")
