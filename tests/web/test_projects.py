"""Projects in the dashboard: changed in the header of every page, seen on the start page, and created."""

from __future__ import annotations

from typing import Any

import pytest
from grpc_calls import Calls
from playwright.sync_api import Page, expect

from tallymark.testing import Server
from web.http_client import ask, call

pytestmark = pytest.mark.timeout(600)


def create(server: Server, *names: str) -> None:
    for name in names:
        assert call(server.dashboard, "ModelRegistry/CreateProject", {"projectId": name}).status == 200


def test_with_one_project_there_is_nothing_to_choose(page: Page, server: Server, calls: Calls) -> None:
    """Neither the header nor the start page mentions projects until there is a second one."""
    calls.create_model("churn")
    page.goto("/")
    expect(page.locator(".projects")).to_have_count(0)
    expect(page.locator(".shelves")).to_have_count(0)
    create(server, "lab")
    page.reload()
    expect(page.locator("details.projects")).to_have_count(1)
    expect(page.locator(".shelves li")).to_have_count(2)


@pytest.mark.parametrize("viewer", ["lenient", "plain"])
def test_the_project_is_changed_on_every_page(
    request: pytest.FixtureRequest, server: Server, calls: Calls, viewer: str
) -> None:
    """The header names the project, and leads to the others, with and without JavaScript, by keyboard alone."""
    page: Page = request.getfixturevalue(viewer)
    create(server, "lab", "den")
    calls.create_model("churn")
    for address in ("/", "/runs", "/activity", "/models/churn", "/settings", "/projects", "/models/nobody", "/nothing"):
        page.goto(address)
        chosen = page.locator("details.projects summary")
        expect(chosen).to_contain_text("default")
        chosen.focus()
        page.keyboard.press("Enter")
        links = page.locator("details.projects a")
        expect(links).to_have_text(["default", "den", "lab", "All projects"])
        expect(links.first).to_have_attribute("aria-current", "true")
    links.nth(2).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/projects/lab/")
    expect(page.locator("details.projects summary")).to_contain_text("lab")
    page.get_by_role("link", name="Runs", exact=True).click()
    page.wait_for_url("**/projects/lab/runs")


def test_the_start_page_shows_the_projects(page: Page, server: Server, calls: Calls) -> None:
    """Each with how much has happened in it and when; the pages of a project do not repeat them."""
    calls.create_model("churn")
    create(server, "lab")
    page.goto("/")
    shelves = page.locator(".shelves li")
    expect(shelves.nth(0)).to_contain_text("1 change,")
    expect(shelves.nth(1)).to_contain_text("lab")
    told = ask(server.dashboard, "/models.json").json["projects"]
    assert [(each["name"], each["revision"]) for each in told] == [("projects/default", "1"), ("projects/lab", "1")]
    shelves.nth(1).get_by_role("link").click()
    page.wait_for_url("**/projects/lab/")
    expect(page.locator(".shelves")).to_have_count(0)
    page.goto("/?q=churn")
    expect(page.locator(".shelves")).to_have_count(0)


def test_the_menu_fits_a_phone(contexts: Any, server: Server) -> None:
    """The menu does not scroll sideways on a phone, however long the names are."""
    create(server, "p" * 63)
    page = contexts(viewport={"width": 360, "height": 700})
    page.goto("/")
    page.locator("details.projects summary").click()
    expect(page.locator("details.projects a").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.goto(f"/projects/{'p' * 63}/")
    page.locator("details.projects summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_all_projects_are_listed(page: Page, server: Server) -> None:
    """All projects are listed in pages, as JSON too, and the menu leads there."""
    create(server, *(f"lab-{at:02}" for at in range(30)))
    page.goto("/projects/lab-29/")
    page.locator("details.projects summary").click()
    expect(page.locator("details.projects a[aria-current]")).to_have_text("lab-29")
    page.get_by_role("link", name="More projects").click()
    rows = page.locator(".shelf [data-open]")
    expect(rows).to_have_count(25)
    page.get_by_role("link", name="Next page").click()
    expect(rows).to_have_text([f"lab-{at:02}" for at in range(24, 30)])
    told = ask(server.dashboard, "/projects.json?size=100").json["projects"]
    assert [each["name"] for each in told] == ["projects/default", *(f"projects/lab-{at:02}" for at in range(30))]


@pytest.mark.parametrize("viewer", ["lenient", "plain"])
def test_a_project_is_created(request: pytest.FixtureRequest, server: Server, viewer: str) -> None:
    """A form creates a project and leads to it; a taken or invalid name is refused and shown again."""
    page: Page = request.getfixturevalue(viewer)
    page.goto("/projects")
    field = page.get_by_label("Name, of a-z")
    for name, words in (("default", "exists already"), ("Lab 1", "a project name has")):
        field.fill(name)
        page.get_by_role("button", name="Create the project").click()
        expect(page.get_by_role("alert")).to_contain_text(words)
        expect(field).to_have_value(name)
    field.fill("lab")
    page.get_by_role("button", name="Create the project").click()
    page.wait_for_url("**/projects/lab/")
    (event,) = call(server.dashboard, "EventLog/ListEvents", {"parent": "projects/lab"}).json["events"]
    assert event["kind"] == "EVENT_KIND_PROJECT_CREATED"
    page.goto("/projects/lab/activity")
    expect(page.locator(".events li")).to_contain_text("created the project lab")


def test_a_created_project_is_followed(page: Page, server: Server) -> None:
    """The pages of a project that was created while the service runs follow its log as any others do."""
    create(server, "lab")
    page.goto("/projects/lab/")
    expect(page.locator(".live")).to_have_text("live")
    assert call(server.dashboard, "ModelRegistry/CreateModel", {"parent": "projects/lab", "modelId": "mice"}).json
    expect(page.locator("[data-open]")).to_have_text(["mice"])


def test_a_form_of_another_site_creates_no_project(server: Server) -> None:
    """A form of another site is refused, and creates no project."""
    form = "application/x-www-form-urlencoded"
    answer = ask(server.dashboard, "/projects", "POST", "name=lab", content_type=form, origin="http://evil.example")
    assert answer.status == 403
    assert ask(server.dashboard, "/projects", "POST", b"{}", content_type="application/json").status == 400
    assert len(call(server.dashboard, "ModelRegistry/ListProjects", {}).json["projects"]) == 1
