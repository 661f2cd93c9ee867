"""What a version's page tells beyond its overview: curves, artifacts, lineage; and how these stand side by side."""

from __future__ import annotations

import pytest
from web.asking import HOSTILE, HOSTILE_NAME, ask, furnished, traced
from calling import Calls
from playwright.sync_api import Page, expect

from tallymark.testing import Server

pytestmark = pytest.mark.timeout(600)
VERSION = "/models/churn/versions/13"


@pytest.fixture(autouse=True)
def made(server: Server, calls: Calls) -> None:
    """Version 13 of churn, made by a run, of data and of another version."""
    furnished(calls)
    assert traced(server.address) == 13


def test_a_series_is_a_curve(page: Page, server: Server) -> None:
    """A metric that was measured step by step is drawn from its first step to its last, and told as JSON."""
    page.goto(f"{VERSION}?tab=metrics")
    expect(page.get_by_role("heading", name="by step")).to_have_text(f"{HOSTILE_NAME} by step")
    expect(page.locator(".plot .x")).to_have_text(["0", "8"])
    expect(page.get_by_role("group", name="by step, from 0.5 to 0.58")).to_be_visible()
    points = ask(server.dashboard, f"{VERSION}.json?tab=metrics").json["points"]
    assert [point["value"] for point in points] == pytest.approx([0.5 + step / 100 for step in range(9)])


def test_artifacts_tell_what_they_are_and_where(page: Page, server: Server) -> None:
    """Each artifact has a row with its role, type, size, place and digest, and is told as JSON."""
    page.goto(f"{VERSION}?tab=artifacts")
    rows = page.locator("table.artifacts tbody tr")
    expect(rows).to_have_count(2)
    data = rows.filter(has_text="training data")
    expect(data).to_contain_text("used")
    expect(data).to_contain_text("4,096")
    expect(data).to_contain_text("s3://bucket/train.parquet")
    expect(data).to_contain_text("sha256:000000000000")
    expect(rows.filter(has_text="made")).to_contain_text(HOSTILE)
    told = ask(server.dashboard, f"{VERSION}.json?tab=artifacts").json["artifacts"]
    assert [artifact["uri"] for artifact in told] == ["s3://bucket/train.parquet", f"s3://bucket/{HOSTILE}"]


def test_lineage_leads_to_what_it_came_from(page: Page, server: Server) -> None:
    """The drawing has what it came from to its left, marks where one is, and leads on; the table and JSON agree."""
    page.goto(f"{VERSION}?tab=lineage")
    boxes = {
        text: float(page.locator("svg a, svg g", has_text=text).locator("rect").get_attribute("x") or "nan")
        for text in ("events No. 1", "training data", "churn No. 13")
    }
    assert boxes["events No. 1"] < boxes["churn No. 13"]
    assert boxes["training data"] < boxes["churn No. 13"]
    expect(page.locator("svg a", has=page.locator("rect.here"))).to_contain_text("churn No. 13")
    row = page.locator("table.lineage tr", has=page.get_by_role("rowheader", name="churn No. 13"))
    expect(row).to_contain_text("training data")
    told = ask(server.dashboard, f"{VERSION}.json?tab=lineage").json
    assert len(told["nodes"]) == page.locator("table.lineage tbody tr").count()
    page.locator("table.lineage").get_by_role("link", name="events No. 1").click()
    expect(page).to_have_url(f"{server.dashboard.rstrip('/')}/models/events/versions/1")


def test_parameters_and_artifacts_stand_side_by_side(page: Page) -> None:
    """A comparison has what the runs were given and what is linked, and leaves out what is the same."""
    page.goto("/models/churn/compare?number=12&number=13&only=differences")
    rows = page.locator("table.compared tbody tr")
    for name, text in (("depth", "6"), ("training data", "sha256:0000"), (HOSTILE_NAME, HOSTILE)):
        expect(rows.filter(has_text=name).filter(has_text=text)).not_to_have_count(0)
    expect(page.locator("table.compared tbody tr:not(.differs):not(.section)")).to_have_count(0)


@pytest.mark.parametrize("tab", ["", "metrics", "metadata", "artifacts", "lineage", "history", "raw"])
def test_what_people_name_does_nothing(page: Page, tab: str) -> None:
    """No name of a pipeline, step, parameter, metric or artifact becomes anything but text."""
    page.goto(f"{VERSION}?tab={tab}")
    expect(page).to_have_title("churn No. 13 · tallymark")
    expect(page.locator("#page script, #page img, #page b[onclick]")).to_have_count(0)
