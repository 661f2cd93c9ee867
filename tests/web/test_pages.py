"""What the pages show, in a real browser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from web.http_client import ask, furnished, number, traced
from web.pages import CHURN, PAGES
from grpc_calls import PROJECT, Calls
from playwright.sync_api import Browser, Page, expect

from tallymark.testing import Server
from tallymark.v1 import model_pb2, model_registry_pb2

# On a fresh machine the browser and the packages are downloaded first.
pytestmark = pytest.mark.timeout(600)


def test_what_stands_where_is_seen_at_once(page: Page, calls: Calls) -> None:
    """The list shows each model's latest number and its versions in production and in staging."""
    furnished(calls)
    page.goto("/")
    row = page.locator("tr", has_text="churn")
    expect(row.locator(".latest")).to_have_text("12")
    expect(row.locator(".stage.production")).to_have_text("3")
    expect(row.locator(".stage.staging")).to_have_text("4")
    expect(row.locator(".chip.tag")).to_have_text(["growth"])
    expect(row.get_by_role("cell", name="anonymous")).to_be_visible()
    expect(row.locator(".v")).to_have_text("0.82")
    # One point for each of the twelve versions that have the metric.
    assert str(row.locator(".spark path").get_attribute("d")).count("L") == 11
    expect(row.locator(".tally path")).to_have_count(12)


def test_many_tags_are_counted(page: Page, calls: Calls) -> None:
    """A model with more tags than a row has room for shows the first of them, and the number of the others."""
    calls.create_model("churn", tags=[f"t{at}" for at in range(9)])
    page.goto("/")
    expect(page.locator("tbody .chip.tag")).to_have_count(4)
    expect(page.locator("tbody .chip.more")).to_have_text("+5")
    expect(page.locator("tbody .chip.more")).to_have_attribute("title", "t4, t5, t6, t7, t8")


def test_numbers_stand_point_below_point(page: Page, calls: Calls) -> None:
    """In the column of a metric all numbers have as many decimals as the longest; other values are not changed."""
    calls.create_model("churn")
    for value in (0.5, 0.9125, 3, 1e-9):
        calls.create_version("churn", metadata={"auc": number(value)})
    calls.create_version("churn", metadata={"auc": model_pb2.MetadataValue(text="n/a")})
    page.goto(f"{CHURN}?metric=auc")
    expect(page.locator(".versions td.v")).to_have_text(["n/a", "1e-09", "3.0000", "0.9125", "0.5000"])


def test_a_model_shows_its_numbers_as_tallies(page: Page, calls: Calls) -> None:
    """Each number is a stroke, in fives; the version in production is emphasized, and a deleted one is dotted."""
    furnished(calls)
    page.goto(CHURN)
    strokes = page.locator(".tally path:not(.hit)")
    expect(strokes).to_have_count(12)
    expect(page.locator(".tally > span")).to_have_count(3)
    expect(strokes.nth(2)).to_have_class("production")
    expect(page.locator(".lane.production .big")).to_have_text("No.3")
    expect(page.locator(".lane.production")).to_contain_text("better")
    expect(page.locator(".plot circle")).to_have_count(12)


def test_aliases_of_old_versions_are_shown(page: Page, calls: Calls) -> None:
    """Every alias is shown, also one that points far behind the versions that are drawn and listed."""
    furnished(calls)
    calls.set_alias("churn", 1, "baseline")
    batch = model_registry_pb2.BatchCreateModelVersionsRequest(
        parent=f"{PROJECT}/models/churn", model_versions=[model_pb2.ModelVersion()] * 150
    )
    calls.models.BatchCreateModelVersions(batch)
    page.goto(CHURN)
    expect(page.locator(".asof .alias")).to_have_text(["baseline → 1", "champion → 5"])


def test_versions_are_found_ordered_and_paged(page: Page, calls: Calls) -> None:
    """A search is a number, a word or a filter; the order is by number or metric; all of it is in the address."""
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
    """A filter is applied as it is typed, without sending a form, and is in the address, to be shared."""
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
    """`churn@production` leads to that version, a run's id, or the beginning of one, to it; a word to models."""
    furnished(calls)
    calls.start_run("train-7")
    calls.start_run("night-71")
    calls.start_run("night-72")
    calls.start_run("churn")
    for text, address in (
        ("train-7", "/runs/train-7"),
        ("trai", "/runs/train-7"),
        ("night-7", "/?q=night-7"),
        ("night-72…", "/runs/night-72"),
        ("churn", "/?q=churn"),
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
    assert page.request.get("/go?q=AND", max_redirects=0).headers["location"].endswith("/?q=AND")


def test_a_version_tells_why_it_has_its_number(page: Page, calls: Calls) -> None:
    """The page of a version says why it has its number: by a name, by a run, or as the first one."""
    furnished(calls)
    calls.start_run("train-1122", model_pb2.ModelConfig(model="churn"), pipeline="nightly")
    for number_, words in (
        (1, "first of its line"),
        (5, "asked for the name 1.5.0"),
        (6, "anonymous asked for a new version"),
        (13, "run train-1122 of the pipeline nightly asked for its one version"),
    ):
        page.goto(f"{CHURN}/versions/{number_}")
        expect(page.locator(".why")).to_contain_text(words)
    gone = f"{PROJECT}/models/churn/versions/13"
    calls.models.DeleteModelVersion(model_registry_pb2.DeleteModelVersionRequest(name=gone))
    page.reload()
    expect(page.locator(".why")).to_contain_text("The run train-1122 asked for a new version")


def test_metrics_are_compared_with_the_previous_version_and_production(page: Page, calls: Calls) -> None:
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


def test_the_version_in_production_is_shown_for_any_time(server: Server, calls: Calls) -> None:
    """The version in production is shown for the time of each event that changed it, and none before the first."""
    furnished(calls)
    moves = [event for event in calls.events() if event.model_version.stage == model_pb2.STAGE_PRODUCTION]
    for event, holder in zip(moves, (2, 3), strict=True):
        told = ask(server.dashboard, f"{CHURN}/at.json?time={event.time.ToJsonString()}").json
        # Both moves may have been decided at the same microsecond; then the later one counts.
        assert told["production"]["number"] in {holder, 3}
    before = ask(server.dashboard, f"{CHURN}/at.json?time=2001-01-01T00:00").json
    assert before["production"] is None
    assert ask(server.dashboard, f"{CHURN}/at.json").json["production"]["number"] == 3


def test_history_and_activity_tell_what_happened(page: Page, calls: Calls) -> None:
    """Each event of a version is shown with its actor and reason, the newest first; the activity can be filtered."""
    furnished(calls)
    page.goto(f"{CHURN}/versions/3?tab=history")
    told = page.locator(".events li")
    expect(told.first).to_contain_text("from none to production")
    expect(told.first).to_contain_text("better")
    expect(told.last).to_contain_text("created")
    page.goto("/activity?kind=alias_set")
    expect(told).to_have_count(1)
    expect(told).to_contain_text("pointed champion at churn No. 5")


def test_an_address_cut_short_leads_to_the_list(server: Server) -> None:
    """`/models`, what is left of a model's address without its name, leads to the list of models, in any project."""
    for path in ("/models", "/projects/default/models"):
        answer = ask(server.dashboard, path)
        assert (answer.status, answer.headers["location"]) == (307, "./")


def test_every_page_is_json_too(server: Server, calls: Calls) -> None:
    """The same address with `.json` returns what the page shows, in the JSON of the contract."""
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
    """The link of a model works whatever its name, even if a browser would rewrite it in an address."""
    names = ["...", "x.json", "x~", "a b?c#d", "100%", "模型", "versions", "+", "~"]
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
    """The colours and the name that a viewer sets apply to every page."""
    page.goto("/settings")
    page.get_by_label("dark", exact=True).check()
    page.get_by_label("Your name").fill("ana lovelace")
    page.get_by_role("button", name="Keep").click()
    page.goto("/")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto("/settings")
    expect(page.get_by_label("Your name")).to_have_value("ana lovelace")


def run(lines: str) -> str:
    """Run the lines in Python, and return what they print."""
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_empty_registry_says_how_to_begin(page: Page) -> None:
    """An empty registry shows lines to copy that create the first version, and it appears without a reload."""
    page.goto("/")
    expect(page.locator(".live")).to_have_text("live")
    assert run(str(page.locator("pre").first.text_content())) == "1\n"
    expect(page.locator("[data-open]")).to_have_text("churn")
    expect(page.locator(".latest .no")).to_have_text("1")


def test_an_empty_model_says_how_to_begin(page: Page, calls: Calls) -> None:
    """An empty model shows lines to copy that create its No. 1, and it appears without a reload."""
    name = 'it\'s "mine"'
    calls.create_model(name)
    page.goto("/")
    page.locator("[data-open]").click()
    expect(page.locator(".live")).to_have_text("live")
    assert run(str(page.locator("#page pre").last.text_content())) == "1\n"
    expect(page.locator("#v1")).to_be_visible()
