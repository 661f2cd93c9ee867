"""People sign in at a real OpenID provider, in a real browser; nobody else can use what they began."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from identity.real_provider import Site, site
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from web.conftest import PACKAGES, PROGRAMS

from authorities import Authority
from first_tokens import first_token
from system_programs import program
from tallymark import Client, errors
from tallymark.credentials import presenting
from tallymark.testing import Server

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Yield a server whose people sign in at a provider; no test changes what others need."""
    with site(tmp_path_factory.mktemp("company")) as running:
        with presenting(running.token), Client(running.server.address) as client:
            client.create_model("churn")
            client.create_version("churn")
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium has no sandbox as root; it loads only our own servers.
        running = playwright.chromium.launch(
            executable_path=program(*PROGRAMS, packages=PACKAGES), args=["--no-sandbox"]
        )
        yield running
        running.close()


@pytest.fixture
def context(chromium: Browser, company: Site) -> Iterator[BrowserContext]:
    opened = chromium.new_context(base_url=company.url)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def sign_in(page: Page, name: str = "ann", then: str = "/") -> None:
    """Sign in at the provider, as somebody does for the first time."""
    page.goto(then)
    page.get_by_role("link", name="Sign in with Company").click()
    page.locator("input[name=login]").fill(name)
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    page.locator("button[type=submit]").click()  # consent


def cookie_of(context: BrowserContext) -> dict[str, object]:
    (found,) = [dict(each) for each in context.cookies() if each["name"] == "tallymark_session"]
    return found


def test_somebody_signs_in_and_out(company: Site, context: BrowserContext, page: Page) -> None:
    """The page that was requested opens, shows who is signed in, and is closed again by signing out."""
    sign_in(page, "ann", "/models/churn?q=number+%3D+1")
    expect(page).to_have_url(f"{company.url}/models/churn?q=number+%3D+1")
    expect(page.locator(".who")).to_have_text("ann")
    cookie = cookie_of(context)
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    assert "ann" not in str(cookie["value"])
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{company.url}/sign-in")
    page.goto("/models/churn")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    # The cookie is of no use to who has copied it.
    context.add_cookies([{"name": "tallymark_session", "value": str(cookie["value"]), "url": company.url}])
    page.goto("/models/churn")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_groups_decide_what_somebody_may_do(company: Site, page: Page, chromium: Browser) -> None:
    """A lead can promote, and a reader cannot; the name is in the log."""
    sign_in(page, "ann", "/models/churn/versions/1")
    expect(page.locator("h1")).to_contain_text("1")
    assert page.goto("/models/churn/versions/1/stage?to=staging").status == 403  # type: ignore[union-attr]  # a page - was opened
    other = chromium.new_context(base_url=company.url)
    leading = other.new_page()
    sign_in(leading, "lead", "/models/churn/versions/1/stage?to=staging")
    leading.locator("main form.form button").last.click()
    leading.goto("/activity")
    expect(leading.locator("#page")).to_contain_text("lead")
    other.close()


def test_the_end_of_a_session_closes_open_pages(context: BrowserContext, page: Page) -> None:
    """A page that is open elsewhere in the browser leads to the sign-in once its session has ended."""
    sign_in(page)
    other = context.new_page()
    other.goto("/models/churn")
    expect(other.locator(".live")).to_have_text("live")
    page.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible(timeout=30_000)


def test_a_new_session_for_each_sign_in(company: Site, context: BrowserContext, page: Page) -> None:
    """A cookie that somebody has planted before is not the session afterwards, and means nothing."""
    planted = "planted" * 6
    context.add_cookies([{"name": "tallymark_session", "value": planted, "url": company.url}])
    sign_in(page)
    first = cookie_of(context)["value"]
    assert first != planted
    page.goto("/sign-in")
    page.get_by_label("A token").fill(company.token)
    page.locator("main button").click()
    expect(page.locator(".who")).to_have_text("root")
    assert cookie_of(context)["value"] != first
    for dead in (planted, first):
        assert ask(company, "/models/churn.json", cookie=f"tallymark_session={dead}").status_code == 401


def ask(company: Site, path: str, form: dict[str, str] | None = None, **headers: str) -> httpx2.Response:
    """Return the answer to a request without the cookies of others."""
    return httpx2.request("GET" if form is None else "POST", company.url + path, data=form, headers=headers, timeout=60)


def location(client: httpx2.Client, url: str, form: dict[str, str] | None = None) -> str:
    """Return where a request is redirected to."""
    answer = client.request("GET" if form is None else "POST", url, data=form)
    assert answer.status_code in (302, 303), answer.text
    return str(answer.headers["location"])


def refused(client: httpx2.Client, url: str) -> str:
    """Return the page that refuses a sign-in."""
    answer = client.get(url)
    assert answer.status_code in (400, 401)
    assert "tallymark_session" not in str(answer.headers)
    return str(answer.text)


class Attempt:
    """A sign-in by a browser that the test drives by hand, up to the address with the code."""

    def __init__(self, company: Site, client: httpx2.Client, name: str = "ann") -> None:
        self.client = client
        self.begun = location(client, f"{company.url}/sign-in/company")
        at = company.issuer + location(client, self.begun).removeprefix(company.issuer)
        for form in ({"prompt": "login", "login": name, "password": "x"}, {"prompt": "consent"}):
            at = location(client, at, form)
            at = location(client, at)
            at = company.issuer + at if at.startswith("/") else at
        self.callback = at

    @property
    def kept(self) -> str:
        """What the browser keeps of it."""
        return str(self.client.cookies["tallymark_sign_in"])


@pytest.fixture
def attempt(company: Site) -> Iterator[Callable[..., Attempt]]:
    """Yield a function that begins a sign-in in a browser of its own."""
    opened: list[httpx2.Client] = []

    def begin(name: str = "ann") -> Attempt:
        opened.append(httpx2.Client(timeout=60))
        return Attempt(company, opened[-1], name)

    yield begin
    for client in opened:
        client.close()


def test_the_code_flow_is_protected(attempt: Callable[..., Attempt]) -> None:
    """The request to the provider has a state, a nonce and a challenge, each of its own, and no secret."""
    asked = [parse_qs(urlsplit(attempt().begun).query) for _ in range(2)]
    for name in ("state", "nonce", "code_challenge"):
        values = {each[name][0] for each in asked}
        assert len(values) == 2
        assert min(map(len, values)) >= 43
    assert asked[0]["code_challenge_method"] == ["S256"]
    assert asked[0]["response_type"] == ["code"]
    assert "s3cret" not in json.dumps(asked)


def test_a_sign_in_counts_once_and_in_its_browser(attempt: Callable[..., Attempt]) -> None:
    """A code is refused in another browser, with another state, a second time, and for somebody else's attempt."""
    mine, theirs = attempt(), attempt("lead")
    with httpx2.Client(timeout=60) as stranger:
        assert "another browser" in refused(stranger, mine.callback)
    # The victim's browser is led to the attacker's code.
    assert "another browser" in refused(mine.client, theirs.callback)
    # Whatever came of it, the attempt is over.
    assert "another browser" in refused(mine.client, mine.callback)
    good = attempt()
    assert location(good.client, good.callback) == "/"
    assert "another browser" in refused(good.client, good.callback)
    forged = attempt()
    state = parse_qs(urlsplit(forged.callback).query)["state"][0]
    assert "another browser" in refused(forged.client, forged.callback.replace(state, state[:-2] + "__"))


def test_a_used_code_is_refused_by_the_provider(company: Site, attempt: Callable[..., Attempt]) -> None:
    """A code that was used once does not sign anybody in again, even with everything that the browser had kept."""
    good = attempt()
    kept = good.kept
    assert location(good.client, good.callback) == "/"
    again = ask(company, good.callback.removeprefix(company.url), cookie=f"tallymark_sign_in={kept}")
    assert again.status_code == 401
    assert "does not confirm" in again.text


def test_refusals_of_the_provider_are_shown(company: Site, attempt: Callable[..., Attempt]) -> None:
    """What the provider says is shown as text."""
    hostile = f"{company.url}/sign-in/company/callback?error=%3Cscript%3Ealert(1)%3C/script%3E"
    shown = refused(attempt().client, hostile)
    assert "has not let you in" in shown
    assert "<script>alert" not in shown


@pytest.mark.parametrize(
    "then",
    [
        "https://evil.example/", "//evil.example/", "/\\evil.example", "/\t/evil.example", "\\\\evil.example",
        "evil.example", "javascript:alert(1)", "/sign-out", "/sign-in?then=/", "///evil.example", "http:evil.example",
        "/\r\nset-cookie:a=b",
    ],
)  # fmt: skip
def test_signing_in_leads_nowhere_else(company: Site, then: str) -> None:
    """After signing in, only pages of this server open."""
    answer = ask(company, "/sign-in", {"token": company.token, "then": then})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    with httpx2.Client(timeout=60) as client:
        client.get(f"{company.url}/sign-in/company", params={"then": then})
        (_, _, _, _, kept) = json.loads(base64.urlsafe_b64decode(str(client.cookies["tallymark_sign_in"]).strip('"')))
        assert kept == "/"
        shown = client.get(f"{company.url}/sign-in", params={"then": then}).text
        assert 'name="then" value="/"' in shown


def test_with_tls_the_cookie_belongs_to_this_host_alone(tmp_path: Path, chromium: Browser) -> None:
    """With TLS, the session has a cookie that no other host can set, and one that another host has set is not read."""
    db = tmp_path / "tallymark.db"
    Server(db).__enter__().stop()
    token, options = first_token(db), Authority(tmp_path).issue().for_server
    with Server(db, options, http="127.0.0.1:0") as server:
        context = chromium.new_context(base_url=server.dashboard, ignore_https_errors=True)
        page = context.new_page()
        page.goto("/activity")
        page.get_by_label("A token").fill(token)
        page.locator("main button").click()
        expect(page.locator(".who")).to_have_text("root")
        (cookie,) = context.cookies()
        assert cookie["name"] == "__Host-tallymark"
        assert (cookie["secure"], cookie["httpOnly"], cookie["path"]) == (True, True, "/")
        context.clear_cookies()
        context.add_cookies([{"name": "tallymark_session", "value": cookie["value"], "url": server.dashboard}])
        page.goto("/activity")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        context.close()


def test_other_sites_cannot_sign_anybody_in_or_out(company: Site) -> None:
    """Forms of other sites are refused, and so is what names no site but has a session."""
    answer = ask(company, "/sign-in", {"token": company.token, "then": "/"})
    cookie = f"tallymark_session={answer.cookies['tallymark_session']}"
    foreign: list[dict[str, str]] = [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {},
    ]
    forms = {"/sign-out": {"a": "b"}, "/sign-in": {"token": company.token}, "/models/churn/delete": {"reason": "a"}}
    for path, form in forms.items():
        for headers in foreign:
            assert ask(company, path, form, cookie=cookie, **headers).status_code == 403
    assert ask(company, "/models/churn.json", cookie=cookie).status_code == 200
    assert ask(company, "/sign-out", {"a": "b"}, cookie=cookie, origin=company.url).status_code == 303
    assert ask(company, "/models/churn.json", cookie=cookie).status_code == 401


@pytest.mark.parametrize("token", ["", "tmk_", "tmk_AAAAAAAA_" + "B" * 49, "a.b.c", "x" * 5000, "tök"])
def test_a_wrong_token_signs_nobody_in(company: Site, token: str) -> None:
    """The page is shown again; it does not repeat the token."""
    answer = ask(company, "/sign-in", {"token": token, "then": "/activity"})
    assert answer.status_code == 401
    assert "this token is not valid here" in answer.text
    assert 'value="/activity"' in answer.text
    assert not token or f'"{token}"' not in answer.text


def test_the_command_line_signs_in_by_a_code(company: Site, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever confirms the code in a browser is the caller of the commands, until the provider's token ends."""
    monkeypatch.setenv("TALLYMARK_URL", company.server.address)
    options = ["login", "--issuer", company.issuer, "--client-id", "cli"]
    command: list[str | Path] = [Path(sys.executable).with_name("tallymark"), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        found = re.match(r"open (\S+) in any browser, and confirm the code (\S+)", running.stderr.readline())
        assert found
        page.goto(found[1])
        page.locator("button[type=submit]").first.click()
        page.locator("input[name=login]").fill("lead")
        page.locator("input[name=password]").fill("any")
        page.locator("button[type=submit]").click()
        page.locator("button[type=submit]").click()
        expect(page.get_by_text("Sign-in Success")).to_be_visible()
        assert "is kept" in running.stderr.read()
    assert running.returncode == 0
    with Client(company.server.address) as client:
        assert client.access.caller().name == "lead"
    subprocess.run([command[0], "logout"], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--issuer", "http://id.example", "--client-id", "cli"], "begins with https://"),
        (["--issuer", "ISSUER", "--client-id", "nobody"], "refuses the client nobody"),
        (["--issuer", "ISSUER/", "--client-id", "cli"], "write it as there"),
        (["--issuer", "ISSUER"], "together"),
    ],
)
def test_a_login_that_cannot_work_says_why(company: Site, options: list[str], words: str) -> None:
    """The error names the part that is wrong."""
    given = [each.replace("ISSUER", company.issuer) for each in options]
    tallymark = Path(sys.executable).with_name("tallymark")
    command: list[str | Path] = [tallymark, "--url", company.server.address, "login", *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in (1, 2)
    assert words in done.stderr


def test_programs_are_let_in_by_tokens_of_the_provider(company: Site) -> None:
    """A token that the provider issues to a program has the roles that its claims give, and not more."""
    with presenting(company.token_of_robot()), Client(company.server.address) as client:
        assert client.create_version("churn").creator == "robot"
        with pytest.raises(errors.Forbidden, match="promoter"):
            client.set_stage("churn/1", "production")
    token = company.token_of_robot()
    forged = token[:-6] + ("AAAAAA" if not token.endswith("AAAAAA") else "BBBBBB")
    with presenting(forged), Client(company.server.address) as client, pytest.raises(errors.Unauthenticated):
        client.get_model("churn")
