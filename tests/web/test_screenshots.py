"""The pictures of the README, taken of a registry as it looks after some weeks of work.

They are saved only when TALLYMARK_TEST_PICTURES names a folder: `make screenshots`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import grpc
import pytest
from playwright.sync_api import Browser, expect

from cached_folders import ROOT
from tallymark.testing import Server
from web.scenario import VERSIONS, furnish

pytestmark = pytest.mark.timeout(600)

MAX_BYTES = 150_000
PICTURES = "tests/web/pictures"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_readme_shows_what_is_there(
    browser: Browser, server: Server, tmp_path: Path, scheme: Literal["light", "dark"]
) -> None:
    """A model's page with all its parts fits into a small picture for the README, in light and in dark."""
    with grpc.insecure_channel(server.address) as channel:
        furnish(channel)
    folder = ROOT / os.environ.get("TALLYMARK_TEST_PICTURES", tmp_path)
    picture = folder / f"dashboard-{scheme}.png"
    with browser.new_context(
        base_url=server.dashboard,
        color_scheme=scheme,
        viewport={"width": 1180, "height": 832},
    ) as context:
        page = context.new_page()
        page.goto("/models/churn")
        expect(page.locator(".live")).to_have_text("live")
        expect(page.locator(".tally path:not(.hit, .broken)")).to_have_count(VERSIONS)
        page.screenshot(path=picture)
    assert 10_000 < picture.stat().st_size < MAX_BYTES


def test_the_readme_has_both_pictures() -> None:
    """The README's pictures exist, are small, and follow the reader's colour scheme."""
    text = (ROOT / "README.md").read_text()
    assert "prefers-color-scheme: dark" in text
    for scheme in ("light", "dark"):
        assert f"{PICTURES}/dashboard-{scheme}.png" in text
        assert (ROOT / f"{PICTURES}/dashboard-{scheme}.png").stat().st_size < MAX_BYTES
