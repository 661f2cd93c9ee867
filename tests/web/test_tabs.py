"""The tabs of a version's page: artifacts, metrics, lineage and more, in a real browser."""

from __future__ import annotations

import json
import re

import pytest
from web.http_client import DATA, WEIGHTS, ask, furnished, link, measure, number, traced
from web.scenario import text
from grpc_calls import PROJECT, Calls
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from playwright.sync_api import Browser, Page, expect

from tallymark.testing import Server
from tallymark.v1 import artifact_pb2, model_pb2

pytestmark = pytest.mark.timeout(600)

CHURN = "/models/churn"
# The version that `traced` creates.
MADE = f"{CHURN}/versions/13"


@pytest.fixture(autouse=True)
def _registry(calls: Calls) -> None:
    furnished(calls)
    traced(calls)


def test_artifacts_are_listed(page: Page) -> None:
    """Each artifact is shown with its type, size, place and fingerprint, in the order of linking."""
    page.goto(f"{MADE}?tab=artifacts")
    rows = page.locator(".artifacts tbody tr")
    expect(rows).to_have_count(2)
    for words in ("customers", "used", "data, parquet", "300 MB", "s3://lake/w46.parquet", "sha256:dddddddd…"):
        expect(rows.first).to_contain_text(words)
    expect(rows.last).to_contain_text("model, skops")
    expect(rows.last.locator(".n span")).to_have_attribute("title", "1,482,311 bytes")


def test_a_digest_is_copied_as_a_whole(browser: Browser, server: Server) -> None:
    """An artifact's address and digest are shown shortened, and copied as a whole."""
    with browser.new_context(base_url=server.dashboard, permissions=["clipboard-read", "clipboard-write"]) as context:
        page = context.new_page()
        page.goto(f"{MADE}?tab=artifacts")
        for at, text in ((2, "s3://models/7.skops"), (3, WEIGHTS)):
            page.get_by_role("button", name="copy").nth(at - (at == 3)).click()
            expect(page.get_by_role("button", name="copied")).to_have_count(at - 1)
            assert page.evaluate("navigator.clipboard.readText()") == text


def test_an_artifact_linked_again_is_distinguished(page: Page, calls: Calls) -> None:
    """A second link of a name is shown with its ordinal."""
    link(calls, "churn", 13, "classifier", uri="s3://models/7-again.skops")
    page.goto(f"{MADE}?tab=artifacts")
    expect(page.locator(".artifacts tbody th")).to_have_text(["customers", "classifier", "classifier@2"])


def test_many_artifacts_are_paged(page: Page, calls: Calls) -> None:
    """More artifacts than fit into a page are shown in pages, each once."""
    for at in range(30):
        link(calls, "churn", 5, f"shard-{at:02}", uri=f"s3://shards/{at}", role=artifact_pb2.ARTIFACT_ROLE_USED)
    page.goto(f"{CHURN}/versions/5?tab=artifacts")
    names = page.locator(".artifacts tbody th")
    expect(names).to_have_count(25)
    page.get_by_role("link", name="Next page").click()
    expect(names).to_have_text([f"shard-{at}" for at in range(25, 30)])


def test_metrics_by_step_are_drawn_over_those_of_production(page: Page) -> None:
    """The curve of a metric has each point, and behind it is the curve of the version in production."""
    page.goto(f"{MADE}?tab=metrics")
    expect(page.get_by_role("heading", name="loss by step")).to_be_visible()
    assert page.locator(".own").get_attribute("d").count("L") == 2  # type: ignore[union-attr]  # without the attribute, this fails as it should
    assert page.locator(".behind").get_attribute("d").count("L") == 1  # type: ignore[union-attr]  # as above
    expect(page.locator(".curves .note")).to_have_text("3 points · No. 3, in production")
    page.goto(f"{CHURN}/versions/3?tab=metrics")
    expect(page.locator(".behind")).to_have_count(0)


def test_what_cannot_be_drawn_is_a_gap(page: Page, calls: Calls) -> None:
    """A value that is no finite number leaves a gap, a single value is a dot, and a chart without values says so."""
    nan = float("nan")
    for key, values in (
        ("gap", [1, 2, nan, 3, 4]),
        ("dot", [nan, 1, nan]),
        ("none", [nan, float("inf")]),
        ("huge", [1e308, -1e308]),
    ):
        measure(calls, "churn", 5, key, values)
    page.goto(f"{CHURN}/versions/5?tab=metrics")
    paths = {}
    for key in ("gap", "dot", "huge"):
        drawn = page.locator(".curves section").filter(has_text=f"{key} by step").locator(".own")
        paths[key] = str(drawn.get_attribute("d"))
    assert (paths["gap"].count("M"), paths["gap"].count("L")) == (2, 2)
    assert (paths["dot"].count("M"), paths["dot"].count("h0")) == (1, 1)
    assert not re.search("nan|inf", paths["huge"])
    expect(page.locator(".curves section").filter(has_text="none by step")).to_contain_text("No finite number")


def test_lineage_is_drawn_from_the_sources_to_the_right(page: Page) -> None:
    """The graph has the version emphasized, its sources on the left, its results on the right, and arrows."""
    page.goto(f"{MADE}?tab=lineage")
    places = {
        box.locator("text").first.text_content(): float(box.locator("rect").get_attribute("x") or "nan")
        for box in page.locator(".lineage svg > :is(a, g)").all()
    }
    assert places.keys() == {"features No. 1", "training", "customers", "churn No. 13", "classifier"}
    for left, right in (("features No. 1", "training"), ("training", "churn No. 13"), ("churn No. 13", "classifier")):
        assert places[left] < places[right]
    expect(page.locator(".lineage :is(a, g):has(.here) text").first).to_have_text("churn No. 13")
    expect(page.locator(".lineage .arrow")).to_have_count(5)


def test_lineage_is_a_table_too(page: Page) -> None:
    """A table beside the graph has the edges, and the runs that created or used the version."""
    page.goto(f"{MADE}?tab=lineage")
    row = page.locator(".traced tbody tr").filter(has=page.get_by_role("link", name="churn No. 13"))
    expect(row).to_contain_text("training, customers")
    expect(page.locator(".runs tbody tr")).to_have_count(1)
    expect(page.locator(".runs tbody tr")).to_contain_text("train-7")
    page.locator(".traced").get_by_role("link", name="features No. 1").click()
    page.wait_for_url("**/models/features/versions/1")
    page.goto("/models/features/versions/1?tab=lineage")
    expect(page.locator(".runs tbody tr")).to_contain_text("churn No. 13")


def test_the_steps_of_the_run_are_shown(page: Page) -> None:
    """The overview shows each step of the run that created the version, how it ended, and what went wrong."""
    page.goto(MADE)
    steps = page.locator(".steps li")
    expect(steps).to_have_count(2)
    expect(steps.first).to_contain_text("succeeded load")
    expect(steps.last).to_contain_text("failed fit")
    expect(steps.last).to_contain_text("out of memory")
    expect(page.locator(".facts")).to_contain_text("c0ffeec0ffee…")
    expect(page.locator(".facts")).to_contain_text("rounds=400")


def test_metadata_of_every_type_is_shown(page: Page, calls: Calls) -> None:
    """Each key is shown with its value in a readable form, and with its type."""
    values = {
        "flag": model_pb2.MetadataValue(flag=True),
        "list": model_pb2.MetadataValue(list=model_pb2.MetadataList(values=[number(1), text("a")])),
        "report": model_pb2.MetadataValue(uri="https://example.com/r"),
        "rows": model_pb2.MetadataValue(number=2_031_000),
        "when": model_pb2.MetadataValue(time=Timestamp(seconds=1_700_000_000)),
        "who": text("ana"),
    }
    calls.log_metadata("churn", 7, **values)
    page.goto(f"{CHURN}/versions/7?tab=metadata")
    expect(page.locator(".metadata tbody tr")).to_have_text(
        [
            re.compile(rf"{key}\s*{re.escape(value)}\s*{kind}")
            for key, value, kind in (
                ("auc", "0.77", "number"),
                ("flag", "yes", "flag"),
                ("list", '[1, "a"]', "list"),
                ("report", "https://example.com/r", "uri"),
                ("rows", "2,031,000", "number"),
                ("when", "2023-11-14 22:13:20 UTC", "time"),
                ("who", "ana", "text"),
            )
        ]
    )


def test_the_raw_version_is_the_message(page: Page, calls: Calls) -> None:
    """The raw tab is the version as the contract has it, to the last field."""
    page.goto(f"{MADE}?tab=raw")
    assert json.loads(str(page.locator(".raw").text_content())) == MessageToDict(calls.version("churn", "13"))


def test_a_version_shows_its_place_in_the_line(page: Page) -> None:
    """Every page of a version has the strokes of its neighbours with its own one emphasized, and links to them."""
    page.goto(f"{CHURN}/versions/5?tab=history")
    marked = page.locator(".tally a:has(.here)")
    expect(marked).to_have_count(1)
    expect(marked).to_have_attribute("href", f"{CHURN}/versions/5")
    page.keyboard.press("]")
    page.wait_for_url(f"**{CHURN}/versions/6?tab=history")
    page.keyboard.press("[")
    page.wait_for_url(f"**{CHURN}/versions/5?tab=history")


def test_each_tab_is_json_too(server: Server) -> None:
    """The JSON of a tab has the version and what the tab shows, in the messages of the contract."""
    told = {
        tab: ask(server.dashboard, f"{MADE}.json?tab={tab}").json
        for tab in ("metrics", "artifacts", "lineage", "history")
    }
    assert {each["name"] for each in told.values()} == {f"{PROJECT}/models/churn/versions/13"}
    assert [point["value"] for point in told["metrics"]["points"]["loss"]] == [0.9, 0.5, 0.4]
    assert [artifact["digest"] for artifact in told["artifacts"]["artifacts"]] == [DATA, WEIGHTS]
    assert len(told["lineage"]["lineage"]["nodes"]) == 5
    assert [run["pipeline"] for run in told["lineage"]["runs"]] == ["training"]
    assert "EVENT_KIND_VERSION_CREATED" in json.dumps(told["history"]["events"])


def test_artifacts_schema_and_parameters_are_compared(page: Page, calls: Calls) -> None:
    """A comparison has the schema, the parameters, and the artifacts by their fingerprints."""
    for at in (5, 6):
        link(calls, "churn", at, "customers", uri=f"s3://elsewhere/{at}", digest=DATA)
        link(calls, "churn", at, "classifier", uri="s3://same", digest=f"sha256:{at}{'0' * 63}")
    calls.log_metadata("churn", 5, input_schema=text("age: int"), framework=text("lightgbm"))
    calls.log_metadata("churn", 6, input_schema=text("age: int, plan: str"))
    page.goto(f"{CHURN}/compare?number=5&number=6&number=13")
    expect(page.locator(".compared .section th")).to_have_text(
        ["Metrics", "Schema", "Parameters of the run", "Metadata", "Artifacts", "About"]
    )
    body = page.locator(".compared tbody tr")
    for name, cells in (
        ("auc", ["0.75", "0.76 +0.01", "—"]),
        ("input_schema", ["age: int", "age: int, plan: str", "—"]),
        ("rounds", ["—", "—", "400"]),
        ("framework", ["lightgbm", "—", "—"]),
    ):
        row = body.filter(has=page.get_by_role("rowheader", name=name, exact=True))
        expect(row.locator("td")).to_have_text(cells)
    page.goto(f"{CHURN}/compare?number=5&number=6&only=differences")
    rows = page.locator(".compared tbody th[scope=row]")
    expect(rows.filter(has_text="classifier")).to_have_count(1)
    expect(rows.filter(has_text="customers")).to_have_count(0)


def test_the_version_in_production_is_known_after_any_number_of_moves(server: Server, calls: Calls) -> None:
    """However often other versions were moved since, the page shows the version in production, and since when."""
    for at in range(1001):
        calls.set_stage("churn", 4, model_pb2.STAGE_ARCHIVED if at % 2 else model_pb2.STAGE_STAGING)
        calls.set_stage("churn", 6, model_pb2.STAGE_ARCHIVED if at % 2 else model_pb2.STAGE_NONE)
    assert ask(server.dashboard, f"{CHURN}/at.json").json["production"]["number"] == 3
    assert "better" in ask(server.dashboard, f"{CHURN}/at").text


def test_all_versions_that_were_in_production_are_listed(page: Page) -> None:
    """The page for a time also lists all versions that were in production, each with its own permalink."""
    page.goto(f"{CHURN}/at")
    expect(page.locator(".held tbody th")).to_have_text(["3", "2"])
    expect(page.locator(".held tbody tr").first).to_contain_text("until now")
    page.locator(".held tbody tr").last.get_by_role("link").last.click()
    expect(page.locator(".answer")).to_have_text("No.2")
