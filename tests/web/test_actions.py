"""The forms that change the registry: as dialogs, as plain pages without JavaScript, and when the page is stale."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlencode

import grpc
import pytest
from grpc_calls import Calls
from playwright.sync_api import Page, expect

from tallymark.testing import Server
from tallymark.v1 import model_pb2, model_registry_pb2
from web.http_client import FORM, ask, furnished

pytestmark = pytest.mark.timeout(600)

CHURN = "/models/churn"
PRODUCTION, STAGING, ARCHIVED = model_pb2.STAGE_PRODUCTION, model_pb2.STAGE_STAGING, model_pb2.STAGE_ARCHIVED


@pytest.fixture(params=["page", "plain"])
def viewer(request: pytest.FixtureRequest, calls: Calls) -> Page:
    """Return a page with JavaScript, then one without, of a registry with models."""
    furnished(calls)
    found: Page = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["lenient", "plain"])
def refused(request: pytest.FixtureRequest, calls: Calls) -> Page:
    """Return the viewer, whose console may have refusals."""
    furnished(calls)
    found: Page = request.getfixturevalue(request.param)
    return found


def choose(viewer: Page, name: str) -> None:
    """Follow a link of the menu."""
    viewer.locator("summary", has_text="Change").click()
    viewer.get_by_role("link", name=name, exact=True).click()


def give_reason(viewer: Page, reason: str) -> None:
    viewer.get_by_label("Why, for the log").fill(reason)


def press(viewer: Page, name: str) -> None:
    """Send the form, and wait until the page shows what was done."""
    viewer.get_by_role("button", name=name).click()
    expect(viewer.locator(".toast")).to_be_visible()


def test_promoting_tells_before_what_it_does(viewer: Page, calls: Calls) -> None:
    """The form shows which version leaves and how the metrics differ; the promotion is in the log with its reason."""
    viewer.goto(f"{CHURN}/versions/5")
    viewer.get_by_role("link", name="Promote").click()
    expect(viewer.get_by_label("production")).to_be_checked()
    expect(viewer.locator("fieldset")).to_contain_text("No. 3 leaves it for the archive")
    expect(viewer.locator("form.form").get_by_role("row", name="auc")).to_have_text(
        "auc 0.73 0.75 +0.02", use_inner_text=True
    )
    give_reason(viewer, "A/B won")
    press(viewer, "Move No. 5")
    assert calls.version("churn", "@production").number == 5
    assert calls.version("churn", "3").stage == ARCHIVED
    assert calls.events()[-1].reason == "A/B won"
    expect(viewer.locator(".toast")).to_contain_text("moved churn No. 5 from none to production")


def test_a_promotion_is_undone(viewer: Page, calls: Calls) -> None:
    """A promotion can be undone right after it, which brings the version before back."""
    viewer.goto(f"{CHURN}/versions/5/stage?to=production")
    press(viewer, "Move No. 5")
    viewer.get_by_role("link", name="Undo").click()
    give_reason(viewer, "it was worse")
    press(viewer, "Bring No. 3 back")
    assert calls.version("churn", "@production").number == 3
    assert calls.version("churn", "5").stage == ARCHIVED
    assert calls.events()[-1].reason == "it was worse"


def test_rolling_back(viewer: Page, calls: Calls) -> None:
    """A rollback on the model's page brings the version back that was in production before."""
    viewer.goto(CHURN)
    viewer.get_by_role("link", name="Roll back").click()
    expect(viewer.locator("form.form")).to_contain_text("No. 3 leaves for the archive")
    expect(viewer.locator("form.form").get_by_role("row", name="auc")).to_have_text(
        "auc 0.73 0.72 −0.01", use_inner_text=True
    )
    press(viewer, "Bring No. 2 back")
    assert calls.version("churn", "@production").number == 2


def fail(calls: Calls) -> int:
    """Create a version of the model in a run, let the run fail, and return the version's number."""
    number = calls.start_run("bad", model_pb2.ModelConfig(model="churn")).model_version.number
    calls.finish_run("bad", model_pb2.RUN_STATE_FAILED, "out of memory")
    return number


def test_a_version_of_a_failed_run_is_promoted_on_purpose_only(refused: Page, calls: Calls) -> None:
    """The form says that the run failed, and requires the permission and a reason; what was entered stays."""
    number = fail(calls)
    refused.goto(f"{CHURN}/versions/{number}/stage?to=production")
    expect(refused.get_by_role("note")).to_contain_text(f"The run bad, which made No. {number}, failed.")
    send = refused.get_by_role("button", name=f"Move No. {number}")
    send.click()
    expect(refused.get_by_role("alert")).to_contain_text("failed; repeat with allow_unfinished_run and a reason")
    allow = refused.get_by_label("Into production or staging all the same")
    allow.check()
    send.click()
    expect(refused.get_by_role("alert")).to_contain_text("say why the version is good all the same")
    expect(allow).to_be_checked()
    assert calls.version("churn", "@production").number == 3
    give_reason(refused, "only the report failed")
    press(refused, f"Move No. {number}")
    assert calls.version("churn", "@production").number == number
    assert calls.events()[-1].reason == "only the report failed"
    refused.get_by_role("link", name="Undo").click()
    press(refused, "Bring No. 3 back")
    refused.goto(f"{CHURN}/rollback")
    expect(refused.get_by_role("note")).to_contain_text("failed")
    press(refused, f"Bring No. {number} back")
    assert calls.version("churn", "@production").number == number
    assert calls.events()[-1].reason == "rollback from 3"


def test_archiving(viewer: Page, calls: Calls) -> None:
    """A version is archived from its menu."""
    viewer.goto(f"{CHURN}/versions/4")
    choose(viewer, "Archive")
    press(viewer, "Move No. 4")
    assert calls.version("churn", "4").stage == ARCHIVED


def test_an_alias_is_moved_knowingly(viewer: Page, calls: Calls) -> None:
    """A new alias is set at once; one that points at another version only after the form has shown that version."""
    viewer.goto(f"{CHURN}/versions/7")
    choose(viewer, "Aliases")
    viewer.get_by_label("Alias that points here").fill("champion")
    viewer.get_by_role("button", name="Point it here").click()
    expect(viewer.locator("#page form.form")).to_contain_text("points at No. 5 now")
    press(viewer, "Move it")
    assert calls.version("churn", "@champion").number == 7
    viewer.goto(f"{CHURN}/versions/7/aliases")
    viewer.get_by_label("Alias that points here").fill("challenger")
    press(viewer, "Point it here")
    assert calls.version("churn", "7").aliases == ["challenger", "champion"]


def test_an_alias_is_deleted(viewer: Page, calls: Calls) -> None:
    """Each alias of a version can be deleted."""
    viewer.goto(f"{CHURN}/versions/5")
    choose(viewer, "Aliases")
    press(viewer, "Take champion away")
    assert calls.version("churn", "5").aliases == []


@pytest.mark.parametrize("where", ["", "/versions/5"])
def test_tags_are_edited(viewer: Page, calls: Calls, where: str) -> None:
    """The tags of a model and of a version are lines of text."""
    viewer.goto(CHURN + where)
    choose(viewer, "Tags")
    viewer.get_by_label("Tags, one a line").fill("zeta\n  alpha beta \n\nzeta")
    press(viewer, "Keep")
    found = calls.version("churn", "5") if where else calls.model("churn")
    assert found.tags == ["alpha beta", "zeta"]


def test_a_version_is_described(viewer: Page, calls: Calls) -> None:
    """A description in Markdown is stored as written, and shown formatted."""
    viewer.goto(f"{CHURN}/versions/5")
    choose(viewer, "Description")
    viewer.get_by_label("Description").fill("Trained on **all** of\n\n- 2025")
    press(viewer, "Keep")
    assert calls.version("churn", "5").description == "Trained on **all** of\n\n- 2025"
    expect(viewer.locator(".prose strong")).to_have_text("all")


def test_a_model_is_described(viewer: Page, calls: Calls) -> None:
    """Every field of the model's card can be written."""
    viewer.goto(CHURN)
    choose(viewer, "Description and card")
    for field in ("Description", "License", "Audience", "Use cases", "Limitations", "Trade offs", "Ethics"):
        viewer.get_by_label(field, exact=True).fill(f"new {field}")
    press(viewer, "Keep")
    model = calls.model("churn")
    assert (model.description, model.trade_offs, model.ethics) == ("new Description", "new Trade offs", "new Ethics")


def test_a_version_is_deleted_and_brought_back(viewer: Page, calls: Calls) -> None:
    """A deleted version is not found; its page says so, and undeletes it."""
    viewer.goto(f"{CHURN}/versions/7")
    choose(viewer, "Delete")
    give_reason(viewer, "leaked labels")
    press(viewer, "Delete")
    assert [version.number for version in calls.versions("churn")][4:7] == [8, 6, 5]
    expect(viewer.locator(".stage.deleted")).to_be_visible()
    viewer.get_by_role("link", name="Undelete").click()
    press(viewer, "Undelete")
    assert calls.version("churn", "7").number == 7


def test_what_is_in_production_is_deleted_on_purpose_only(viewer: Page, calls: Calls) -> None:
    """A version in production is deleted only after an explicit confirmation."""
    viewer.context.clear_cookies()
    viewer.goto(f"{CHURN}/versions/3/delete")
    viewer.get_by_label("delete it all the same").check()
    press(viewer, "Delete")
    assert calls.events()[-1].model_version.delete_time.seconds > 0


def test_a_model_is_deleted_and_brought_back(viewer: Page, calls: Calls) -> None:
    """A model is deleted with its versions, and comes back with them."""
    viewer.goto(CHURN)
    choose(viewer, "Delete")
    viewer.get_by_label("delete the model all the same").check()
    press(viewer, "Delete")
    with pytest.raises(grpc.RpcError):
        calls.model("churn")
    viewer.get_by_role("link", name="Undelete").click()
    press(viewer, "Undelete")
    assert calls.model("churn").last_number == 12


@pytest.mark.parametrize("browser_of", ["lenient", "plain"])
def test_a_stale_page_is_refused_and_shows_what_changed(
    request: pytest.FixtureRequest, calls: Calls, browser_of: str
) -> None:
    """A form that was opened before somebody's change does nothing, shows the change, and can be sent again."""
    furnished(calls)
    lenient: Page = request.getfixturevalue(browser_of)
    lenient.goto(f"{CHURN}/versions/5")
    lenient.get_by_role("link", name="Promote").click()
    expect(lenient.get_by_label("production")).to_be_checked()
    calls.set_stage("churn", 5, STAGING, reason="not yet", force=True)
    lenient.get_by_role("button", name="Move No. 5").click()
    expect(lenient.get_by_role("alert")).to_contain_text("changed since you read it")
    expect(lenient.locator(".events")).to_contain_text("not yet")
    assert calls.version("churn", "@production").number == 3
    press(lenient, "Move No. 5")
    assert calls.version("churn", "@production").number == 5


@pytest.mark.parametrize("emptied", [True, False])
def test_a_swap_with_somebody_else_than_was_shown_is_refused(lenient: Page, calls: Calls, emptied: bool) -> None:
    """A promotion over No. 3 does not archive No. 6, which entered production meanwhile."""
    furnished(calls)
    if emptied:
        calls.set_stage("churn", 3, ARCHIVED)
    lenient.goto(f"{CHURN}/versions/5/stage?to=production")
    calls.set_stage("churn", 6, PRODUCTION, force=True)
    lenient.get_by_role("button", name="Move No. 5").click()
    expect(lenient.get_by_role("alert")).to_contain_text("number 6 of model 'churn' is in production")
    assert calls.version("churn", "@production").number == 6
    press(lenient, "Move No. 5")
    assert calls.version("churn", "@production").number == 5


def test_of_promotions_over_the_same_version_one_is_done(server: Server, calls: Calls) -> None:
    """Of six concurrent promotions whose forms showed No. 3 in production one is done, and five are refused."""
    furnished(calls)
    numbers = (1, 2, 6, 7, 8, 9)

    def promote(number: int) -> int:
        etag = calls.version("churn", str(number)).etag
        told = {"to": "production", "held-production": "3", "etag": etag, "request_id": f"web-{number}"}
        return ask(
            server.dashboard, f"{CHURN}/versions/{number}/stage", "POST", urlencode(told), content_type=FORM
        ).status

    with ThreadPoolExecutor(len(numbers)) as pool:
        assert sorted(pool.map(promote, numbers)) == [303, *[409] * 5]


@pytest.mark.parametrize("name", ["a%62", "c?d", "e#f", "g&h+i", "100 %"])
def test_a_form_is_about_the_model_that_is_shown(plain: Page, calls: Calls, name: str) -> None:
    """Whatever a model is called, its forms and links lead to it, and not to another."""
    for each in (name, "ab", "c", "e"):
        if each != name:
            calls.create_model(each)
    calls.create_model(name)
    calls.create_version(name)
    plain.goto(f"/models/{quote(name, safe='')}/versions/1/tags")
    plain.locator("textarea[name=tags]").fill("mine")
    press(plain, "Keep")
    assert calls.version(name, "1").tags == ["mine"]
    plain.goto(f"/models/{quote(name, safe='')}")
    plain.get_by_role("link", name="This page as JSON").click()
    expect(plain.locator("body")).to_contain_text(f'"name":"projects/default/models/{name}"')


def test_a_form_sent_twice_has_its_effect_once(server: Server, calls: Calls) -> None:
    """The second of two clicks gets the response of the first."""
    furnished(calls)
    form = urlencode({"tags": "once", "etag": calls.version("churn", "5").etag, "request_id": "web-1"})
    path = f"{CHURN}/versions/5/tags"
    first, second = (ask(server.dashboard, path, "POST", form, content_type=FORM) for _ in range(2))
    assert first.status == second.status == 303
    assert first.headers["location"] == second.headers["location"]
    other = form.replace("once", "twice")
    assert ask(server.dashboard, path, "POST", other, content_type=FORM).status == 400
    assert calls.version("churn", "5").tags == ["once"]


@pytest.mark.parametrize("fields", [{"to": "heaven"}, {}, {"to": "production", "reason": "x" * 70_000}])
def test_bad_forms_are_refused_in_a_sentence(server: Server, calls: Calls, fields: dict[str, str]) -> None:
    """Fields that no form of ours sends are refused in a sentence."""
    furnished(calls)
    answer = ask(server.dashboard, f"{CHURN}/versions/5/stage", "POST", urlencode(fields), content_type=FORM)
    assert answer.status == 400
    assert 'role="alert"' in answer.text
    assert calls.version("churn", "5").stage == model_pb2.STAGE_NONE


@pytest.mark.parametrize("body", [b"\xff=\xff", b"&".join(b"a=1" for _ in range(500))])
def test_bodies_that_are_no_form_are_refused(server: Server, calls: Calls, body: bytes) -> None:
    """Bytes that no browser sends are refused without an incident."""
    furnished(calls)
    assert ask(server.dashboard, f"{CHURN}/tags", "POST", body, content_type=FORM).status == 400


def test_the_actor_is_the_name_in_the_settings(page: Page, calls: Calls) -> None:
    """The name of the settings page is the actor of what its browser changes."""
    furnished(calls)
    page.goto("/settings")
    page.get_by_label("Your name").fill("Ana Ł")
    page.get_by_role("button", name="Keep").click()
    page.goto(f"{CHURN}/versions/5/stage")
    press(page, "Move No. 5")
    assert calls.events()[-1].actor == "Ana Ł"


def test_the_command_line_offers_what_the_page_does(server: Server, calls: Calls) -> None:
    """A change over gRPC and the same one in the browser have the same events in the log."""
    furnished(calls)
    request = model_registry_pb2.SetStageRequest(
        name="projects/default/models/churn/versions/7", stage=STAGING, force=True, reason="same"
    )
    calls.models.SetStage(request)
    first = calls.events()[-1]
    etag = calls.version("churn", "8").etag
    form = urlencode({"to": "staging", "held-staging": "7", "reason": "same", "etag": etag})
    ask(server.dashboard, f"{CHURN}/versions/8/stage", "POST", form, content_type=FORM)
    second = calls.events()[-1]
    assert (first.kind, first.reason, first.actor) == (second.kind, second.reason, second.actor)
