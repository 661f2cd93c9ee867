"""Open pages follow the log: at once, with the viewer's choices, through a restart, and in large numbers."""

from __future__ import annotations

import gzip
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest
from web.http_client import ask, furnished, held_open, number, stream
from bench.load import run
from grpc_calls import PROJECT, Calls
from google.protobuf.field_mask_pb2 import FieldMask
from playwright.sync_api import Page, expect

from tallymark.testing import Server
from tallymark.v1 import model_pb2, model_registry_pb2

pytestmark = pytest.mark.timeout(600)

CHURN = "/models/churn"


def test_a_new_version_appears_by_itself(page: Page, calls: Calls) -> None:
    """A version created over gRPC is in the open page of its model, and in the list, without a reload."""
    furnished(calls)
    page.goto(CHURN)
    expect(page.locator(".live")).to_have_text("live")
    calls.create_version("churn", metadata={"auc": number(0.99)})
    expect(page.locator("#v13")).to_be_visible()
    expect(page.locator(".tally path:not(.hit)")).to_have_count(13)
    calls.create_version("churn")
    expect(page.locator("#v14")).to_be_visible()


def test_what_the_viewer_chose_stays(page: Page, calls: Calls) -> None:
    """Filter, order, ticked rows and an open menu stay as they are when the page follows the log."""
    furnished(calls)
    page.goto(f"{CHURN}?q=metadata.auc+%3E+0.75&sort=metric&metric=auc")
    expect(page.locator(".live")).to_have_text("live")
    page.get_by_label("Choose No. 7", exact=True).check()
    page.locator("summary", has_text="Change").click()
    calls.create_version("churn", metadata={"auc": number(0.1)})
    calls.create_version("churn", metadata={"auc": number(0.755)})
    expect(page.locator("#v14")).to_be_visible()
    assert page.locator(".versions th .no").first.text_content() == "14"
    expect(page.locator("#v13")).to_have_count(0)
    expect(page.get_by_label("Choose No. 7", exact=True)).to_be_checked()
    expect(page.get_by_role("link", name="Description and card")).to_be_visible()


def test_a_later_page_stays_and_tells_of_now(page: Page, calls: Calls) -> None:
    """On a later page the rows keep their places while versions are created, and each shows its present state."""
    furnished(calls, versions=30)
    page.goto(CHURN)
    page.get_by_role("link", name="Next page").click()
    numbers = page.locator(".versions th .no")
    expect(numbers).to_have_text(["5", "4", "3", "2", "1"])
    expect(page.locator(".live")).to_have_text("live")
    calls.create_version("churn")
    calls.set_stage("churn", 5, model_pb2.STAGE_PRODUCTION, force=True)
    expect(page.locator("#v5 .stage")).to_have_text("production")
    expect(page.locator("#v3 .stage")).to_have_text("archived")
    expect(numbers).to_have_text(["5", "4", "3", "2", "1"])
    page.reload()
    expect(page.locator("#v5 .stage")).to_have_text("production")


def test_a_later_page_of_models_tells_of_now(page: Page, calls: Calls) -> None:
    """On a later page of the list of models each model shows its present state, and keeps its place."""
    for at in range(1, 28):
        calls.create_model(f"m{at:02}")
    page.goto("/")
    page.get_by_role("link", name="Next page").click()
    expect(page.locator("[data-open]")).to_have_text(["m26", "m27"])
    expect(page.locator(".live")).to_have_text("live")
    calls.create_version("m27")
    expect(page.locator("tr", has_text="m27").locator(".latest .no")).to_have_text("1")
    request = model_registry_pb2.UpdateModelRequest(
        model=model_pb2.Model(name=f"{PROJECT}/models/m26", tags=["fresh"]), update_mask=FieldMask(paths=["tags"])
    )
    calls.models.UpdateModel(request)
    expect(page.locator("tr", has_text="m26")).to_contain_text("fresh")


def test_the_list_of_models_follows_its_filter(page: Page, calls: Calls) -> None:
    """A new model appears if it meets the viewer's filter, and not otherwise."""
    furnished(calls)
    page.goto("/?q=tags:growth")
    expect(page.locator(".live")).to_have_text("live")
    calls.create_model("aside", tags=["risk"])
    calls.create_model("within", tags=["growth"])
    expect(page.locator("[data-open]")).to_have_text(["churn", "within"])


def test_a_version_and_the_past_follow_the_log(page: Page, calls: Calls) -> None:
    """The page of a version, its history and the comparison of two change as soon as something happens to them."""
    furnished(calls)
    page.goto(f"{CHURN}/versions/5")
    expect(page.locator(".live")).to_have_text("live")
    calls.set_stage("churn", 5, model_pb2.STAGE_STAGING, force=True)
    expect(page.locator(".sub .stage")).to_have_text("staging")
    page.goto(f"{CHURN}/versions/5?tab=history")
    expect(page.locator(".live")).to_have_text("live")
    calls.set_alias("churn", 5, "next")
    expect(page.locator(".events li").first).to_contain_text("pointed next at")
    page.goto(f"{CHURN}/compare?number=3&number=5")
    expect(page.locator(".live")).to_have_text("live")
    calls.log_metadata("churn", 5, auc=number(0.9))
    expect(page.locator(".compared .change")).to_have_text(["+0.17"])


def test_changes_of_another_model_are_not_reported(server: Server, calls: Calls) -> None:
    """The stream of a model reports changes of that model alone, and never their content."""
    furnished(calls)
    calls.create_model("fraud")
    with stream(server.dashboard, "/live?model=churn") as told:
        # The stream has begun when its first report arrives, so something must happen until then.
        calls.create_version("fraud", "secret")
        made = calls.create_version("churn", "1.99", description="secret")
        event = next(told)
        assert event.pop("id").startswith(str(made.create_revision))
        assert event == {
            "revision": made.create_revision,
            "model": "churn",
            "number": 13,
            "kind": "version_created",
            "spread": 0,
        }


def test_a_stream_goes_on_where_it_was_left(server: Server, calls: Calls) -> None:
    """A stream that resumes with the last id that it received reports what happened since, once."""
    calls.create_model("churn")
    with stream(server.dashboard, "/live") as told:
        calls.create_version("churn")
        last = next(told)["id"]
        calls.create_version("churn")
        next(told)
    with stream(server.dashboard, "/live", last_event_id=last) as told:
        calls.create_version("churn")
        assert [next(told)["number"] for _ in range(2)] == [2, 3]


def test_a_restart_loses_nothing(lenient: Page, server: Server, calls: Calls) -> None:
    """A page that was open while the server was away shows what it missed, and follows the log again."""
    furnished(calls)
    page = lenient
    page.goto(CHURN)
    expect(page.locator(".live")).to_have_text("live")
    server.stop()
    expect(page.locator(".live")).to_have_text("away")
    # The page comes back later than the server, so that there is something to miss.
    page.context.set_offline(True)
    server.start()
    answer = ask(
        server.dashboard,
        "/tallymark.v1.ModelRegistry/CreateModelVersion",
        "POST",
        '{"parent": "projects/default/models/churn"}',
        content_type="application/json",
    )
    assert answer.json["number"] == 13
    page.context.set_offline(False)
    expect(page.locator("#v13")).to_be_visible(timeout=30_000)
    expect(page.locator(".live")).to_have_text("live")
    with grpc.insecure_channel(server.address) as channel:
        Calls(channel).create_version("churn")
    expect(page.locator("#v14")).to_be_visible()


def test_shared_answers_are_each_viewers_own(server: Server, calls: Calls) -> None:
    """While pages are open, each reload returns what it would return alone: at its address, compressed or not."""
    furnished(calls)
    port = urlsplit(server.dashboard).port
    fragment = {"hx_request": "true", "tallymark_told": "1"}
    with held_open(server.dashboard, "/live", 1):
        for host in ("localhost", "127.0.0.1", "localhost"):
            told = ask(server.dashboard, CHURN, host=f"{host}:{port}", **fragment)
            assert f"http://{host}:{port}/tallymark.v1" in told.text
        packed = ask(server.dashboard, CHURN, host=f"localhost:{port}", accept_encoding="gzip", **fragment)
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == told.body
        moved = ask(server.dashboard, f"{CHURN}/versions/latest", **fragment)
        assert (moved.status, moved.headers["location"]) == (302, f"{CHURN}/versions/12")
        calls.create_version("churn")
        fresh = ask(server.dashboard, CHURN, hx_request="true", tallymark_told=str(calls.events()[-1].revision))
        assert 'id="v13"' in fresh.text


def test_settings_are_shown_to_the_browser_that_keeps_them(server: Server) -> None:
    """While pages are open, the settings show each viewer's own name, never that of the viewer before."""
    with held_open(server.dashboard, "/live", 1):
        for name in ("ana", "ben"):
            settings = ask(server.dashboard, "/settings", hx_request="true", cookie=f"tallymark_actor={name}")
            assert f'value="{name}"' in settings.text


def test_a_server_with_open_pages_stops(tmp_path: Path) -> None:
    """Open streams do not delay the end of the server."""
    with Server(tmp_path / "tallymark.db", http="127.0.0.1:0") as server, ExitStack() as stack:
        for _ in range(20):
            told = stack.enter_context(stream(server.dashboard, "/live?after=99"))
            assert next(told)["kind"] == "refresh"
        server.stop()


def test_a_project_that_is_not_there_has_no_stream(server: Server) -> None:
    """A stream of a missing project is refused."""
    assert ask(server.dashboard, "/projects/nope/live").status == 404


def test_many_open_pages_do_not_slow_down_creating(server: Server, calls: Calls) -> None:
    """With 500 pages open, the rate of creates stays within a generous part of the rate without."""
    calls.create_model("churn")
    body = model_registry_pb2.CreateModelVersionRequest(parent=f"{PROJECT}/models/churn").SerializeToString()
    create = "/tallymark.v1.ModelRegistry/CreateModelVersion"

    def fastest() -> float:
        # What else the machine does slows down some rounds, never speeds one up.
        return max(run(server.address, create, [body], 8, 400).per_second for _ in range(4))

    alone = fastest()
    with held_open(server.dashboard, "/live?model=churn", 500):
        assert fastest() > alone / 3


def test_rows_do_not_move_under_the_mouse(page: Page, calls: Calls) -> None:
    """While somebody points at the activity, new events wait, are counted, and appear on a click."""
    furnished(calls)
    page.goto("/activity")
    expect(page.locator(".live")).to_have_text("live")
    first = page.locator(".events li").first
    revision = first.get_attribute("id")
    first.hover()
    calls.create_version("churn")
    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    expect(first).to_have_attribute("id", str(revision))
    page.get_by_role("button", name="1 new").click()
    expect(first).to_contain_text("created churn No. 13")


def test_quick_filters(page: Page, calls: Calls) -> None:
    """Frequent filters are one click away."""
    furnished(calls)
    calls.start_run("r", model_pb2.ModelConfig(model="churn"))
    page.goto("/models/churn")
    for name, numbers in (("archived", ["2"]), ("aliased", ["5"]), ("of runs", ["13"])):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.locator(".versions th .no")).to_have_text(numbers)
