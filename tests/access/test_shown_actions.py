"""The dashboard shows each viewer what that viewer may do, also where pages are rendered once for several viewers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from access.known_callers import LAB, SECRET, FixedTokens, bearer, caller, serving
from web.http_client import ask, call, connected

from tallymark_server.domain.roles import ALL_PROJECTS
from tallymark_server.app import Running
from tallymark_server.domain.roles import Role

pytestmark = pytest.mark.timeout(600)

CALLERS = {
    **{role.label: caller(role.label, {LAB: role}) for role in Role},
    "default": caller("default", {"default": Role.READER}),
    "both": caller("both", {"default": Role.READER, SECRET: Role.READER}),
    "root": caller("root", {ALL_PROJECTS: Role.ADMIN}),
}
MODEL = f"/projects/{LAB}/models/churn"
# The forms that each page links to, and whose links it shows from which role on.
LINKS = {
    MODEL: {"describe": Role.WRITER, "tags": Role.WRITER, "delete": Role.PROMOTER, "rollback": Role.PROMOTER},
    f"{MODEL}/versions/1": {
        "stage": Role.PROMOTER,
        "aliases": Role.PROMOTER,
        "tags": Role.WRITER,
        "describe": Role.WRITER,
        "delete": Role.PROMOTER,
    },
    f"{MODEL}/versions/2": {"undelete": Role.PROMOTER},
    f"/projects/{LAB}/models/gone": {"undelete": Role.PROMOTER},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a model whose version 1 is in production and whose version 2 is deleted, and a deleted model."""
    with serving(tmp_path_factory.mktemp("shown"), FixedTokens(CALLERS)) as running:
        churn, gone = (f"projects/{LAB}/models/{model}" for model in ("churn", "gone"))
        for method, request in (
            ("CreateModel", {"parent": f"projects/{LAB}", "modelId": "churn"}),
            ("CreateModelVersion", {"parent": churn}),
            ("CreateModelVersion", {"parent": churn}),
            ("SetStage", {"name": f"{churn}/versions/1", "stage": "STAGE_PRODUCTION"}),
            ("DeleteModelVersion", {"name": f"{churn}/versions/2"}),
            ("CreateModel", {"parent": f"projects/{LAB}", "modelId": "gone"}),
            ("DeleteModel", {"name": gone}),
        ):
            answer = call(running.dashboard, f"ModelRegistry/{method}", request, **dict(bearer("root")))
            assert answer.status == 200, answer.text
        yield running


def links(text: str, page: str) -> set[str]:
    """Return the forms of the page's own subject that it links to."""
    return set(re.findall(rf'href="{re.escape(page)}/(\w+)(?:\?[^"]*)?" data-dialog', text))


@pytest.mark.parametrize("page", LINKS)
@pytest.mark.parametrize("role", Role, ids=lambda role: role.label)
def test_a_page_links_to_the_forms_that_its_viewer_may_send(server: Running, page: str, role: Role) -> None:
    """Links to forms are there for the roles that may send them, and each of them opens."""
    headers = dict(bearer(role.label))
    found = links(ask(server.dashboard, page, **headers).text, page)
    assert found == {form for form, needed in LINKS[page].items() if role >= needed}
    for form in LINKS[page]:
        status = ask(server.dashboard, f"{page}/{form}", **headers).status
        assert status == (200 if form in found else 403), form


def test_a_page_names_its_viewer(server: Running) -> None:
    """The header of each page has the name of the caller, and the settings have no field for another."""
    page = ask(server.dashboard, f"/projects/{LAB}/settings", **dict(bearer("reader"))).text
    assert re.search(r'<span class="who"[^>]*>reader</span>', page)
    assert 'name="actor"' not in page


def test_the_form_for_a_project_is_there_for_who_may_create_one(server: Running) -> None:
    """Only an admin of all projects sees the form that creates a project of any name."""
    for name, shown in (("root", True), ("admin", False), ("reader", False)):
        page = ask(server.dashboard, "/projects", **dict(bearer(name)))
        assert page.status == 200
        assert ('action="/projects"' in page.text) == shown


def test_a_fragment_is_rendered_for_each_role(server: Running) -> None:
    """Viewers with different roles who reload the same page at the same time get what each may do."""
    with connected(server.dashboard) as connection:
        # Fragments are rendered once for several viewers while the page is followed.
        connection.request("GET", f"/projects/{LAB}/live", headers=dict(bearer("root")))
        assert connection.getresponse().status == 200
        shown = {
            role: links(ask(server.dashboard, MODEL, hx_request="true", **dict(bearer(role.label))).text, MODEL)
            for role in reversed(Role)
        }
    assert shown == {role: {form for form, needed in LINKS[MODEL].items() if role >= needed} for role in Role}


def test_a_fragment_of_the_start_page_has_the_projects_of_its_viewer(server: Running) -> None:
    """The list of projects on the start page is rendered for each set of readable projects by itself."""
    with connected(server.dashboard) as connection:
        connection.request("GET", "/live", headers=dict(bearer("root")))
        assert connection.getresponse().status == 200
        for name in ("root", "both", "default"):
            text = ask(server.dashboard, "/", hx_request="true", **dict(bearer(name))).text
            assert (f"/projects/{SECRET}/" in text) == (name != "default")
            assert (f"/projects/{LAB}/" in text) == (name == "root")
