"""The pages in a browser without JavaScript, and the state that is in their address."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from web.http_client import ask, furnished, number, traced
from grpc_calls import PROJECT, Calls
from playwright.sync_api import Page, expect

from tallymark.testing import Server
from tallymark.v1 import model_pb2
from tallymark.v1.model_registry_pb2 import BatchCreateModelVersionsRequest

pytestmark = pytest.mark.timeout(600)

CHURN = "/models/churn"


def numbers(page: Page) -> list[str]:
    return page.locator(".versions th .no").all_text_contents()


def test_search_and_filters_need_no_script(plain: Page, calls: Calls) -> None:
    """Models and versions are searched, filtered, ordered and paged by forms and links alone."""
    furnished(calls, versions=30)
    calls.create_model("fraud")
    plain.goto("/")
    plain.get_by_label("Find models").fill("tags:growth")
    plain.get_by_role("button", name="Find").click()
    expect(plain.locator("[data-open]")).to_have_text(["churn"])
    plain.goto(CHURN)
    plain.get_by_role("link", name="Next page").click()
    expect(plain.locator(".versions th .no")).to_have_text(["5", "4", "3", "2", "1"])
    plain.goto(CHURN)
    plain.get_by_label("Order").select_option(label="auc, lowest first")
    plain.get_by_label("Find versions").fill("metadata.auc < 0.73")
    plain.get_by_role("button", name="Find").click()
    expect(plain.locator(".versions th .no")).to_have_text(["1", "2"])
    plain.get_by_label("Search", exact=True).fill("churn@production")
    plain.get_by_label("Search", exact=True).press("Enter")
    plain.wait_for_url(f"**{CHURN}/versions/3")


def test_comparing_needs_no_script(plain: Page, calls: Calls) -> None:
    """Rows are selected and compared, and equal values are left out, by forms alone."""
    furnished(calls)
    plain.goto(CHURN)
    for each in (3, 5):
        plain.get_by_label(f"Choose No. {each}", exact=True).check()
    plain.get_by_role("button", name="Compare what is chosen").click()
    plain.get_by_label("only differences").check()
    plain.get_by_role("button", name="Compare").click()
    expect(plain.locator(".compared .change")).to_have_text(["−0.02"])
    expect(plain.locator(".compared th[scope=row]").filter(has_text="tags")).to_have_count(0)


def test_the_past_and_the_settings_need_no_script(plain: Page, calls: Calls) -> None:
    """The time is chosen, the activity filtered and the settings saved by forms alone."""
    furnished(calls)
    plain.goto(CHURN)
    plain.get_by_label("Time, UTC").fill("2001-01-01T00:00")
    plain.get_by_role("button", name="Show").click()
    expect(plain.locator(".answer")).to_have_text("no version")
    plain.goto("/activity")
    plain.get_by_label("What").select_option("alias_set")
    plain.get_by_role("button", name="Find").click()
    expect(plain.locator(".events li")).to_have_count(1)
    plain.goto("/settings")
    plain.get_by_label("light", exact=True).check()
    plain.get_by_role("button", name="Keep").click()
    expect(plain.locator("html")).to_have_attribute("data-theme", "light")


def test_every_tab_is_a_link(plain: Page, calls: Calls) -> None:
    """Each tab of a version has an address of its own, and is read without JavaScript."""
    furnished(calls)
    traced(calls)
    plain.goto(f"{CHURN}/versions/13")
    for tab, shown in (
        ("Metrics", ".curves .own"),
        ("Metadata", ".metadata"),
        ("Artifacts", ".artifacts"),
        ("Lineage", ".lineage .here"),
        ("History", ".events"),
        ("Raw", ".raw"),
    ):
        plain.get_by_role("link", name=tab, exact=True).click()
        expect(plain.locator(shown).first).to_be_visible()
        assert plain.url.endswith(f"?tab={tab.lower()}")


def test_the_address_says_what_is_shown(page: Page, calls: Calls) -> None:
    """Search, order, metric, page and tab are in the address, which shows the same in another browser."""
    furnished(calls, versions=60)
    calls.log_metadata("churn", 7, loss=number(0.5))
    page.goto(f"{CHURN}?q=metadata.auc+%3E+0.71&sort=-metric&metric=auc&size=25")
    page.get_by_role("link", name="Next page").click()
    page.wait_for_url("**page=*")
    seen = numbers(page)
    assert seen == [str(each) for each in range(35, 10, -1)]
    with page.context.browser.new_context() as elsewhere:  # type: ignore[union-attr]  # the page of a fixture has a browser
        other = elsewhere.new_page()
        other.goto(page.url)
        assert numbers(other) == seen
        assert other.locator("input[name=q]").nth(1).input_value() == "metadata.auc > 0.71"


def test_each_event_has_an_address(page: Page, calls: Calls) -> None:
    """The number beside an event of the activity leads to a permanent address of the event."""
    furnished(calls)
    page.goto("/activity?kind=alias_set")
    page.locator(".events .rev").click()
    address = page.url
    for _ in range(30):
        calls.create_version("churn")
    page.goto("/")
    page.goto(address)
    expect(page.locator(".events li:target")).to_contain_text("pointed champion at churn No. 5")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?q=stage+%3D+production+OR+aliases:champion", [5, 3]),
        ("?sort=metric&metric=auc&q=metadata.auc+%3C+0.74", [1, 2, 3]),
        ("?q=7", [7]),
    ],
)
def test_the_json_of_an_address_is_what_its_page_shows(
    server: Server, page: Page, calls: Calls, query: str, expected: list[int]
) -> None:
    """With the same parameters in the address, the JSON has the same versions in the same order as the page."""
    furnished(calls)
    told = ask(server.dashboard, f"{CHURN}.json{query}").json
    assert [each["number"] for each in told["modelVersions"]] == expected
    page.goto(CHURN + query)
    assert numbers(page) == [str(each) for each in expected]


def test_the_json_of_each_page_has_its_facts(server: Server, calls: Calls) -> None:
    """The JSON of a page has what the page shows: the holders, the differences, the events and the settings."""
    furnished(calls)

    def told(path: str, **headers: str) -> Any:
        return ask(server.dashboard, path, **headers).json

    model = told(f"{CHURN}.json")
    assert model["stages"] == {"production": 3, "staging": 4}
    assert (model["latest"], model["aliases"], model["metric"]) == (12, {"champion": 5}, "auc")
    assert model["byNumber"][2] == {"number": 3, "value": 0.73}
    compared = told(f"{CHURN}/compare.json?number=3&number=5")["differences"]
    assert compared["Metrics"] == {"auc": ["0.73", "0.75"]}
    assert compared["About"]["aliases"] == [None, "champion"]
    happened = told("/activity.json?kind=alias_set")["events"]
    assert [each["alias"] for each in happened] == ["champion"]
    settings = told("/settings.json", cookie=f"tallymark_actor={quote('ana l')}; tallymark_theme=dark")
    assert (settings["actor"], settings["theme"]) == ("ana l", "dark")


def test_the_activity_is_found_far_back(server: Server, calls: Calls) -> None:
    """The activity of one model and one kind is found at once, however much has happened elsewhere since."""
    calls.create_model("old", tags=["x"])
    calls.create_version("old")
    calls.set_alias("old", 1, "champion", reason="long ago")
    calls.create_model("busy")
    busy = BatchCreateModelVersionsRequest(
        parent=f"{PROJECT}/models/busy", model_versions=[model_pb2.ModelVersion()] * 1000
    )
    for _ in range(7):
        calls.models.BatchCreateModelVersions(busy)
    for query, reasons in (("model=old", ["long ago"]), ("kind=alias_set", ["long ago"]), ("model=none", [])):
        events = ask(server.dashboard, f"/activity.json?{query}").json
        assert [each["reason"] for each in events["events"] if "reason" in each] == reasons
        assert events["before"] == "0"
    page = ask(server.dashboard, "/activity.json?size=25").json
    assert len(page["events"]) == 25
    older = ask(server.dashboard, f"/activity.json?before={page['before']}").json
    assert int(older["events"][0]["revision"]) == int(page["events"][-1]["revision"]) - 1
