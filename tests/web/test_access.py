"""The page of tokens and grants: what admins see and change, and that nobody else does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from first_tokens import client_with, first_token
from playwright.sync_api import Page, expect

from tallymark import Client
from tallymark.testing import Server
from tallymark.types.enums import Role
from web.http_client import FORM, Answer, ask

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def root(tmp_path: Path) -> str:
    """The token of an admin of all projects, made before the server starts."""
    return first_token(tmp_path / "tallymark.db")


@pytest.fixture
def server(tmp_path: Path, root: str) -> Iterator[Server]:
    """A server with access control and a second project."""
    with Server(tmp_path / "tallymark.db", ("--project", "lab"), http="127.0.0.1:0") as running:
        yield running


@pytest.fixture
def admin(server: Server, root: str) -> Iterator[Client]:
    with client_with(server, root) as client:
        yield client


@pytest.fixture
def viewer(contexts: Callable[..., Page], server: Server, root: str) -> Page:
    """A browser without JavaScript, in which the admin has signed in with the token."""
    page = contexts(java_script_enabled=False)
    page.goto("/sign-in")
    page.get_by_label("Token").fill(root)
    page.get_by_role("button", name="Sign in", exact=False).first.click()
    page.goto("/access")
    return page


def post(server: Server, token: str, fields: dict[str, str], **headers: str) -> Answer:
    headers = {"content_type": FORM, "authorization": f"Bearer {token}", **headers}
    return ask(server.dashboard, "/access.json", "POST", urlencode(fields).encode(), **headers)


def test_a_token_is_created_shown_once_and_revoked(viewer: Page, server: Server) -> None:
    """The page shows the text of a new token once, and after the revocation the token counts no longer."""
    viewer.get_by_label("Name").fill("ci")
    viewer.get_by_label("Projects, or").fill("lab")
    viewer.get_by_role("button", name="Create the token").click()
    text = viewer.locator("#token").inner_text()
    expect(viewer.get_by_role("row", name="ci reader in lab")).to_be_visible()
    with client_with(server, text, "lab") as client:
        assert client.access.caller().roles == {"lab": Role.READER}
    viewer.goto("/access")
    assert text not in viewer.content()
    viewer.get_by_role("button", name="Revoke ci").click()
    expect(viewer.get_by_role("button", name="Revoke ci")).to_have_count(0)
    assert ask(server.dashboard, "/models.json", authorization=f"Bearer {text}").status == 401


def test_grants_are_added_and_removed(viewer: Page, admin: Client) -> None:
    """A role that is granted on the page is in the list, and gone after it was removed."""
    viewer.get_by_label("Member").fill("user:ann@example.com")
    viewer.get_by_label("Project, or").fill("lab")
    viewer.get_by_role("button", name="Grant the role").click()
    expect(viewer.get_by_role("row", name="user:ann@example.com lab reader")).to_be_visible()
    assert len(list(admin.access.list_grants("user:ann@example.com"))) == 1
    viewer.get_by_role("button", name="Remove user:ann@example.com from lab").click()
    expect(viewer.get_by_text("user:ann@example.com", exact=True)).to_have_count(0)
    assert list(admin.access.list_grants("user:ann@example.com")) == []


def test_the_last_admin_token_cannot_be_revoked_on_the_page(viewer: Page) -> None:
    """The page shows why, and the token stays."""
    viewer.get_by_role("button", name="Revoke root").click()
    expect(viewer.get_by_role("alert")).to_contain_text("no token of an admin")
    expect(viewer.get_by_role("button", name="Revoke root")).to_be_visible()


def test_an_admin_of_a_project_sees_that_project_alone(server: Server, admin: Client) -> None:
    """Tokens and grants of other projects are not on the page, and cannot be changed by its forms."""
    lab = admin.access.create_token("lab-admin", role=Role.ADMIN, projects=["lab"]).text
    admin.access.create_token("other", role=Role.READER, projects=["default"])
    shown: Any = ask(server.dashboard, "/access.json", authorization=f"Bearer {lab}").json
    assert [each["name"] for each in shown["tokens"]] == ["lab-admin"]
    assert {each["project"] for each in shown["grants"]} == {"lab"}
    assert post(server, lab, {"act": "revoke", "name": "other"}).status == 404
    fields = {"act": "create", "name": "x", "role": "admin", "days": "90"}
    assert post(server, lab, {**fields, "projects": "*"}).status == 403
    assert post(server, lab, {**fields, "projects": "lab"}).status == 200


def test_whoever_is_no_admin_has_no_page(server: Server, admin: Client) -> None:
    """The page, its forms and the link to it are not for other roles."""
    reader = admin.access.create_token("reader", role=Role.PROMOTER, projects=["*"]).text
    bearer = {"authorization": f"Bearer {reader}"}
    assert ask(server.dashboard, "/access", **bearer).status == 403
    assert post(server, reader, {"act": "revoke", "name": "root"}).status == 403
    assert 'href="/access"' not in ask(server.dashboard, "/", **bearer).text


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}])
def test_a_page_of_another_site_changes_nothing(server: Server, root: str, admin: Client, headers: Any) -> None:
    """A form of another site is refused, whatever the browser presents with it."""
    answer = post(
        server, root, {"act": "create", "name": "x", "role": "admin", "projects": "*", "days": "0"}, **headers
    )
    assert answer.status == 403
    assert [each.name for each in admin.access.list_tokens()] == ["root"]


def test_the_text_of_a_token_is_not_cached(server: Server, root: str) -> None:
    """The answer with the text must not be kept by the browser, and as JSON it has no text at all."""
    fields = {"act": "create", "name": "x", "role": "reader", "projects": "lab", "days": "1"}
    answer = post(server, root, fields)
    assert answer.headers["cache-control"] == "no-store"
    assert "tmk_" not in answer.text
