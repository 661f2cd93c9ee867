"""Other sites and hostile contents can do nothing to the dashboard."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from web.http_client import FORM, HOSTILE, HOSTILE_NAME, ask, call, furnished, link, measure, number, take_step
from grpc_calls import PROJECT, Calls
from google.protobuf.field_mask_pb2 import FieldMask
from playwright.sync_api import Page, expect

from cached_folders import ROOT
from tallymark.testing import Server
from tallymark.v1 import event_log_pb2, model_pb2, model_registry_pb2, run_pb2, run_registry_pb2
from tallymark_server.web.markdown import prose

pytestmark = pytest.mark.timeout(600)

STATIC = ROOT / "service/tallymark_server/web/static"
CHURN = "/models/churn"


def test_every_answer_carries_the_policy(standing: Server) -> None:
    """Every page, file, refusal and response of a call forbids scripts, styles, frames and forms of other sites."""
    for path in ("/", "/models.json", "/static/tallymark.css", "/nothing", "/models/nobody"):
        policy = ask(standing.dashboard, path).headers["content-security-policy"]
        directives = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
        assert directives["default-src"] == directives["base-uri"] == directives["frame-ancestors"] == "'none'"
        assert set(directives.values()) == {"'none'", "'self'"}
    assert call(standing.dashboard, "ModelRegistry/Nothing", {}).headers["content-security-policy"]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8080", "", "localhost.evil", "[", "a@b"]
)
def test_other_names_are_refused(standing: Server, host: str) -> None:
    """A request to a host name of somebody else that resolves to this server is refused."""
    for path in ("/", f"{CHURN}.json", "/live", "/static/tallymark.js"):
        assert ask(standing.dashboard, path, host=host).status in (400, 421)
    own = {"host": host, "origin": f"http://{host}"}
    assert ask(standing.dashboard, f"{CHURN}/delete", "POST", content_type=FORM, **own).status in (400, 421)
    request = {"parent": "projects/default"}
    assert call(standing.dashboard, "ModelRegistry/ListModels", request, **own).status in (400, 421)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:99", "127.0.0.1", "[::1]:8080", "10.1.2.3", "churn.localhost"]
)
def test_own_names_are_answered(standing: Server, host: str) -> None:
    """Requests to addresses and to localhost are answered."""
    assert ask(standing.dashboard, "/", host=host).status == 200


def test_the_operator_names_the_server(tmp_path: Path) -> None:
    """A server answers requests to the host name of --http-name."""
    with Server(tmp_path / "t.db", ["--http-name", "registry.corp"], http="127.0.0.1:0") as server:
        assert ask(server.dashboard, "/", host="registry.corp").status == 200
        assert ask(server.dashboard, "/", host="registry.corp.evil").status == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site", "origin": "same"},
    ],
)
def test_changes_from_other_sites_are_refused(server: Server, calls: Calls, headers: dict[str, str]) -> None:
    """A form or a script of another site changes nothing, whatever headers it sends."""
    calls.create_model("churn")
    own = server.dashboard.rstrip("/")
    headers = {name: own if value == "same" else value for name, value in headers.items()}
    assert ask(server.dashboard, f"{CHURN}/delete", "POST", "", content_type=FORM, **headers).status == 403
    request = {"name": "projects/default/models/churn"}
    assert call(server.dashboard, "ModelRegistry/DeleteModel", request, **headers).status == 403
    assert calls.model("churn").last_number == 0


@pytest.mark.parametrize("path", ["/", "/live", "/models.json"])
def test_other_sites_lead_people_here_and_embed_nothing(standing: Server, path: str) -> None:
    """A page of another site can link to this server, but neither embed it nor load anything from it."""
    visit = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    if path != "/live":
        assert ask(standing.dashboard, path, sec_fetch_site="cross-site", **visit).status == 200
    for embedded in ({"sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}, {**visit, "sec_fetch_dest": "iframe"}):
        assert ask(standing.dashboard, path, sec_fetch_site="cross-site", **embedded).status == 403
        assert ask(standing.dashboard, path, sec_fetch_site="same-site", **embedded).status == 403


def test_own_pages_and_programs_may_change(server: Server, calls: Calls) -> None:
    """Pages of this server, and programs that are no browsers, can make changes."""
    calls.create_model("churn")
    for headers in ({"sec_fetch_site": "same-origin"}, {"origin": server.dashboard.rstrip("/")}, {}):
        assert ask(server.dashboard, f"{CHURN}/delete", "POST", "", content_type=FORM, **headers).status == 303
        assert ask(server.dashboard, f"{CHURN}/undelete", "POST", "", content_type=FORM, **headers).status == 303


def test_a_huge_request_is_refused(standing: Server) -> None:
    """A request of more than 4 MiB is refused before it is read."""
    for length, status in ((str(4 * 1024 * 1024 + 1), 413), ("9" * 18, 413), ("x", 400)):
        answer = ask(standing.dashboard, f"{CHURN}/tags", "POST", content_type=FORM, content_length=length)
        assert answer.status == status
    assert ask(standing.dashboard, "/").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/../serving.py",
        "/static/%2e%2e/serving.py",
        "/static//etc/passwd",
        "/models/%00",
        "/models/a%2Fb",
        "/" + "a" * 20_000,
    ],
)
def test_hostile_addresses_get_clean_answers(standing: Server, path: str) -> None:
    """No address returns a file that is not public, or causes an incident."""
    assert ask(standing.dashboard, path).status in (400, 404, 414)
    assert "incident" not in standing.log_file.read_text()


@pytest.mark.parametrize("path", [f"{CHURN}/tags", f"{CHURN}/describe", "/settings"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
def test_only_forms_are_taken_as_forms(server: Server, calls: Calls, path: str, kind: str) -> None:
    """A body of another type, or a form without its fields, changes nothing: it does not mean empty fields."""
    calls.create_model("churn", description="kept", tags=["kept"])
    for body, content_type in ((b"tags=&description=", kind), (b"{}", kind), (b"unknown=1", FORM)):
        assert ask(server.dashboard, path, "POST", body, content_type=content_type).status == 400
    assert (calls.model("churn").description, list(calls.model("churn").tags)) == ("kept", ["kept"])


@pytest.mark.parametrize("what", ["stage", "tags", "describe", "delete", "aliases"])
def test_numbers_that_no_version_has_are_refused(standing: Server, what: str) -> None:
    """A number beyond every possible one is refused like any other missing number, and is no incident."""
    for number_, status in (("0", 400), ("7", 404), ("9" * 9, 404), ("9" * 25, 400)):
        path = f"{CHURN}/versions/{number_}/{what}"
        assert ask(standing.dashboard, path).status == status
        assert ask(standing.dashboard, path, "POST", "", content_type=FORM).status in (400, 404)


def test_pages_tell_which_methods_they_have(standing: Server) -> None:
    """Pages accept GET and forms POST; any other method is refused with those that are accepted."""
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE"):
        answer = ask(standing.dashboard, CHURN, method, content_length="0")
        assert (answer.status, set(answer.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})


SHOWING = (
    "",
    *(
        f"/versions/2{tab}"
        for tab in ("", *(f"?tab={tab}" for tab in ("metrics", "metadata", "artifacts", "lineage", "history", "raw")))
    ),
    *(f"/versions/3{tab}" for tab in ("", "?tab=lineage")),
    "/versions/2/aliases",
    "/versions/2/stage",
    "/versions/2/tags",
    "/versions/2/describe",
    "/tags",
    "/describe",
    "/rollback",
    "/at",
    "/compare?number=1&number=2&number=3",
)
ALIVE = "#page :is(script, img, style, [onerror], [onclick], [onload], a[href^=javascript])"


CARD = ("description", "license", "audience", "use_cases", "limitations", "trade_offs", "ethics")


def infest(calls: Calls, name: str) -> None:
    """Create a model of that name, with hostile text in every field that can be set."""
    card: dict[str, Any] = dict.fromkeys(CARD, HOSTILE)
    calls.models.CreateModel(
        model_registry_pb2.CreateModelRequest(
            parent="projects/default",
            model_id=name,
            model=model_pb2.Model(**card, tags=[HOSTILE]),
        ),
        metadata=(("tallymark-actor", quote(HOSTILE)),),
    )
    hostile = model_pb2.MetadataList(
        values=[model_pb2.MetadataValue(text=HOSTILE), model_pb2.MetadataValue(uri=HOSTILE)]
    )
    facts = {
        HOSTILE: model_pb2.MetadataValue(text=HOSTILE),
        "auc<b>": number(0.5),
        "uri": model_pb2.MetadataValue(uri="javascript:alert(1)"),
        "nested": model_pb2.MetadataValue(
            map=model_pb2.MetadataMap(values={HOSTILE: model_pb2.MetadataValue(list=hostile)})
        ),
    }
    for version in (name, name + "2"):
        calls.create_version(name, version, description=HOSTILE, tags=[HOSTILE], metadata=facts)
    calls.set_alias(name, 2, name, reason=HOSTILE)
    calls.set_stage(name, 1, model_pb2.STAGE_PRODUCTION, reason=HOSTILE)
    _infest_run(calls, name, facts)
    calls.models.UpdateModelVersion(
        model_registry_pb2.UpdateModelVersionRequest(
            model_version=model_pb2.ModelVersion(
                name=f"{PROJECT}/models/{name}/versions/2", version_name=name + "renamed"
            ),
            update_mask=FieldMask(paths=["version_name"]),
        ),
        metadata=(("tallymark-actor", quote(HOSTILE)),),
    )


def _infest_run(calls: Calls, name: str, facts: dict[str, model_pb2.MetadataValue]) -> None:
    """Create a run and artifacts with hostile text in every field that can have it."""
    measure(calls, name, 2, HOSTILE + "by step", [0.5, float("nan"), 1e308])
    for uri in (HOSTILE, "javascript:alert(1)"):
        link(calls, name, 2, name, uri=uri, format=HOSTILE, digest="sha256:" + "0" * 64, size_bytes=2**63 - 1)
    run = run_pb2.Run(
        pipeline=HOSTILE,
        host=HOSTILE,
        user=HOSTILE,
        commit=HOSTILE,
        command=HOSTILE,
        url="javascript:alert(1)",
        parameters=facts,
    )
    config = model_pb2.ModelConfig(model=name)
    calls.runs.StartRun(run_registry_pb2.StartRunRequest(parent=PROJECT, run_id="r", run=run, config=config))
    calls.ensure(name, version=name, run="r")
    take_step(calls, "r", HOSTILE, model_pb2.RUN_STATE_FAILED, HOSTILE)
    problem = run_pb2.RecordingProblem(subject=HOSTILE, problem=HOSTILE, count=7)
    calls.runs.ReportRecordingProblems(
        run_registry_pb2.ReportRecordingProblemsRequest(name=f"{PROJECT}/runs/r", problems=[problem])
    )
    calls.finish_run("r", model_pb2.RUN_STATE_FAILED, HOSTILE)


def test_hostile_addresses_stay_text(lenient: Page, server: Server, calls: Calls) -> None:
    """Markup in an address is shown as text, or refused, and never becomes part of the page."""
    furnished(calls)
    page = lenient
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    hostile = quote(HOSTILE, safe="")
    shown = (
        "/?q=",
        "/runs?q=",
        "/activity?model=",
        "/activity?actor=",
        f"{CHURN}?q=",
        f"{CHURN}?metric=",
        f"{CHURN}?page=&x=",
    )
    for path in shown:
        page.goto(path + "%22" + hostile)
        assert page.locator(ALIVE).count() == 0, path
    for path in (
        f"{CHURN}/compare?number=",
        f"{CHURN}/at?time=",
        f"{CHURN}?page=",
        "/go?q=",
        "/models/",
        "/runs/",
        f"{CHURN}/versions/=",
        "/projects/",
        "/static/",
    ):
        answer = ask(server.dashboard, path + hostile)
        assert answer.status < 500, path
        assert "<script>document" not in answer.text, path
        assert "<img" not in answer.text, path


@pytest.mark.parametrize("what", ["stage", "aliases", "tags", "describe", "delete"])
def test_a_refused_form_shows_hostile_text_as_it_was_written(server: Server, calls: Calls, what: str) -> None:
    """The contents of a refused form are shown again as text."""
    furnished(calls)
    fields = ("reason", "alias", "tags", "description", "to", "etag", "request_id", "points", "remove")
    form = urlencode({**dict.fromkeys(fields, HOSTILE), "to": "production", "etag": "r1"})
    answer = ask(server.dashboard, f"{CHURN}/versions/3/{what}", "POST", form, content_type=FORM)
    assert 400 <= answer.status < 500
    assert "<script>document" not in answer.text
    assert "<img" not in answer.text


def test_json_is_never_read_as_a_page(server: Server, calls: Calls) -> None:
    """JSON and files have their content type, and a header that forbids browsers to guess another."""
    infest(calls, HOSTILE_NAME)
    for path in (
        "/models.json",
        "/activity.json",
        f"/models/{quote(HOSTILE_NAME, safe='')}/versions/2.json?tab=lineage",
    ):
        answer = ask(server.dashboard, path)
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_hostile_contents_stay_text(page: Page, calls: Calls) -> None:
    """Markup in every field that can be set is shown as text, on every page that shows it."""
    infest(calls, HOSTILE_NAME)
    page.goto("/")
    page.locator("[data-open]").click()
    model = page.url
    for path in ["/", "/activity", "/runs", "/runs/r", *(model + part for part in SHOWING), model]:
        response = page.goto(path)
        assert response
        assert response.status == 200, path
        assert page.title().endswith("· tallymark"), path
        assert page.locator(ALIVE).count() == 0, path
        assert "{{ 7 * 7 }}" in page.locator("#page").inner_text() or path.endswith(("raw", "metrics")), path
    expect(page.locator(".prose").first).to_contain_text('document.title = "stolen"')
    # The same holds for what arrives by the stream.
    expect(page.locator(".live")).to_have_text("live")
    calls.create_version(HOSTILE_NAME, HOSTILE_NAME + "4")
    expect(page.locator("#v4")).to_contain_text("<b onclick>")


@pytest.mark.parametrize(
    "text",
    [
        "[x](javascript:alert(1))",
        "![x](https://evil.example/pixel.png)",
        "<script>alert(1)</script>",
        "<a href=x hx-get=/ onclick=alert(1)>x</a>",
        "[x](data:text/html,<script>alert(1)</script>)",
        "<style>*{display:none}</style>",
        "<iframe src=https://evil.example></iframe>",
        '[x](https://a.example "onmouseover=alert(1)")',
    ],
)
def test_descriptions_can_do_nothing(text: str) -> None:
    """Only text, lists, tables and plain links of Markdown are kept, and links have no other attributes."""
    html = prose(text)
    found = set(re.findall(r"<([a-z0-9]+)", html))
    assert found <= {"p", "a", "em"}
    assert set(re.findall(r"<[^>]* ([a-z-]+)=", html)) <= {"href", "rel", "title"}
    assert "javascript:" not in re.sub(r">[^<]*<", "><", html)


def test_descriptions_are_laid_out() -> None:
    """Emphasis, lists, code, tables and links in a description are rendered."""
    html = prose("# One\n\n- *a*\n- `b`\n\n| x |\n|---|\n| 1 |\n\n[c](https://example.com)")
    for part in (
        "<h3>One</h3>",
        "<em>a</em>",
        "<code>b</code>",
        "<td>1</td>",
        'href="https://example.com"',
        "noreferrer",
    ):
        assert part in html


def test_a_program_watching_is_not_disturbed_by_hostile_cursors(server: Server, calls: Calls) -> None:
    """An invented cursor never causes an incident."""
    furnished(calls)
    for cursor in ("9" * 30, "-1", "x", "1.other", "%00"):
        answer = ask(server.dashboard, f"/live?after={cursor}&model=nobody")
        assert answer.status == 404
    assert "incident" not in server.log_file.read_text()
    assert calls.log.ListEvents(event_log_pb2.ListEventsRequest(parent="projects/default")).revision > 0


def test_vendored_files_are_what_they_were() -> None:
    """Vendored files are as they were published, have their licences, and are listed in the manifest."""
    vendor = STATIC / "vendor"
    lines = (vendor / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in map(str.split, lines)}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in vendor.iterdir()}
    assert {name: digest for name, digest in found.items() if name != "SHA256SUMS"} == listed
    assert "Zero-Clause BSD" in (vendor / "htmx.LICENSE.txt").read_text()


def test_nothing_of_ours_asks_for_what_the_policy_forbids() -> None:
    """No template has an inline style or script, or refers to another host."""
    templates = STATIC.parent / "templates"
    texts = {
        path.name: path.read_text()
        for path in [*templates.iterdir(), STATIC / "tallymark.css", STATIC / "tallymark.js"]
    }
    assert texts
    for name, text in texts.items():
        assert not re.search(r"style=|<script>|<style|\son\w+=|hx-on|https?://(?!www\.w3\.org)", text), name
        assert "|safe" not in text.replace("'&amp;only=differences'|safe", ""), name
