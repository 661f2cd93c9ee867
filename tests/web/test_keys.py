"""The keyboard, and lines to copy for exactly what is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import product
from pathlib import Path
from urllib.parse import quote

import pytest
from web.http_client import furnished
from grpc_calls import Calls
from google.protobuf.json_format import Parse
from playwright.sync_api import Page, expect

from tallymark.testing import Server
from tallymark.v1.model_registry_pb2 import GetModelVersionRequest

pytestmark = pytest.mark.timeout(600)

CHURN = "/models/churn"


def test_keys_reach_what_is_done_often(page: Page, calls: Calls) -> None:
    """Rows are walked, chosen, compared and opened, and a version promoted, with the keyboard alone."""
    furnished(calls)
    page.goto(CHURN)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    for key in ("j", "x", "j", "x", "c"):
        page.keyboard.press(key)
    page.wait_for_url("**/compare?number=12&number=11")
    page.go_back()
    for key in ("j", "j", "k", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url("**/versions/12")
    page.keyboard.press("p")
    expect(page.locator("#dialog h1")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#dialog")).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.wait_for_url("**/activity")


def test_keys_are_letters_where_something_is_written(page: Page, calls: Calls) -> None:
    """In a field the keys are letters; outside, `e` opens the description, `y` copies the address, `g m` leads home."""
    furnished(calls)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{CHURN}/versions/5?tab=raw")
    page.keyboard.press("/")
    page.keyboard.type("pey?gm[")
    expect(page.get_by_label("Search", exact=True)).to_have_value("pey?gm[")
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.get_by_label("Search", exact=True).blur()
    page.keyboard.press("y")
    expect(page.locator(".live")).to_have_text("copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    page.keyboard.press("e")
    expect(page.locator("#dialog h1")).to_have_text("Describe No. 5 of churn")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("m")
    expect(page.locator("h1")).to_have_text("Models")


def test_every_key_is_listed(page: Page, calls: Calls) -> None:
    """The list of keys has each key that a page uses."""
    furnished(calls)
    told: set[str] = set()
    answered: set[str] = set()
    for path in (CHURN, f"{CHURN}/versions/5"):
        page.goto(path)
        told |= set(" ".join(page.locator("#keys kbd").all_text_contents()).split())
        answered |= {str(each.get_attribute("data-key")) for each in page.locator("[data-key]").all()}
    assert len(answered) >= 7
    assert answered <= told


def test_lines_to_copy_are_about_this_very_object(page: Page, server: Server, calls: Calls) -> None:
    """The lines for Python, the command line, grpcurl and curl have the shown version and this server's addresses."""
    furnished(calls)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{CHURN}/versions/5")
    page.locator("summary", has_text="Copy").click()
    lines = page.locator(".copy code")
    expect(lines.nth(0)).to_contain_text("Model('churn', version=5)")
    expect(lines.nth(1)).to_have_text(f"tallymark --url {server.address} version get churn/5")
    expect(lines.nth(2)).to_contain_text(f"{server.address} tallymark.v1.ModelRegistry/GetModelVersion")
    expect(lines.nth(3)).to_contain_text(f"{server.dashboard}tallymark.v1.ModelRegistry/GetModelVersion")
    page.get_by_role("button", name="copy").nth(4).click()
    expect(page.get_by_role("button", name="copied")).to_be_visible()
    page.goto("/settings")
    page.get_by_label("Your name").focus()
    page.keyboard.press("Control+A")
    page.keyboard.press("Control+V")
    expect(page.get_by_label("Your name")).to_have_value(f"curl {server.dashboard}models/churn/versions/5.json")


def test_lines_to_copy_work(page: Page, calls: Calls) -> None:
    """What is copied runs unchanged, in a shell and in Python, also for names with characters special to a shell."""
    path = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for name in ("churn", "x '$(touch y)' \"`z`"):
        calls.create_model(name)
        calls.create_version(name, description="found it")
        model = f"/models/{quote(name, safe='')}"
        kinds = (("Python", sys.executable), ("Command line", "sh"), ("curl", "sh"), ("JSON", "sh"))
        for address, (what, program) in product((model, f"{model}/versions/1"), kinds):
            page.goto(address)
            lines = page.locator(".copy section").filter(has=page.get_by_text(what, exact=True)).locator("code")
            text = str(lines.text_content())
            done = subprocess.run([program, "-c", text], capture_output=True, text=True, env=path, check=False)
            assert done.returncode == 0, (what, text, done.stderr)
            assert name in done.stdout.replace("\\", ""), (what, done.stdout)


def test_the_line_for_grpcurl_is_a_call(page: Page, calls: Calls) -> None:
    """What is copied for grpcurl is one command with a body, an address and a method, and requests what is shown."""
    furnished(calls)
    page.goto(f"{CHURN}/versions/5")
    line = str(page.locator(".copy code").nth(2).text_content())
    # A shell splits it as it would for grpcurl itself.
    words = subprocess.run(
        ["sh", "-c", re.sub(r"^grpcurl", r"printf '%s\\n'", line)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    command = str(page.locator(".copy code").nth(1).text_content()).split()
    assert words[:2] == ["-plaintext", "-d"]
    assert words[3:] == [command[2], "tallymark.v1.ModelRegistry/GetModelVersion"]
    found = calls.models.GetModelVersion(Parse(words[2], GetModelVersionRequest()))
    assert found == calls.version("churn", "5")
