"""The pictures of the dashboard in README: of real pages of a real registry.

`make screenshots` puts them where README shows them.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from calling import PROJECT, Calls
from playwright.sync_api import Browser, expect

from kept import ROOT
from tallymark.testing import Server
from tallymark.v1 import model_pb2
from tallymark.v1.model_pb2 import STAGE_PRODUCTION, STAGE_STAGING, MetadataValue
from tallymark.v1.model_registry_pb2 import CreateModelVersionRequest
from web.asking import number

pytestmark = pytest.mark.timeout(600)

MOST_BYTES = 200_000


@pytest.fixture
def grown(server: Server, calls: Calls) -> None:
    """A model with a past: 63 versions by three people, of which the better ones were promoted."""
    choose = random.Random(3)
    calls.create_model(
        "churn",
        description="Who will leave **next month**, of those who pay. Scored nightly; trained on `events.parquet`.",
        tags=["growth", "nightly"],
        license="Apache-2.0",
    )
    auc = 0.71
    for index in range(1, 64):
        auc = min(0.96, auc + choose.uniform(-0.02, 0.028))
        facts = {"auc": number(auc), "loss": number(1 - auc), "framework": MetadataValue(text="sklearn")}
        version = model_pb2.ModelVersion(
            version_name=f"1.{index // 10}.0" if index % 10 == 0 else "",
            tags=["weekly"] if index % 7 == 0 else [],
            metadata=facts,
        )
        request = CreateModelVersionRequest(parent=f"{PROJECT}/models/churn", model_version=version)
        actor = choose.choice(["ana", "bo", "ci-runner@train-7"])
        calls.models.CreateModelVersion(request, metadata=(("tallymark-actor", actor),))
    for chosen in (20, 41, 52):
        calls.set_stage("churn", chosen, STAGE_PRODUCTION, force=True, reason="A/B won by 1.2 points")
    calls.set_stage("churn", 60, STAGE_STAGING, reason="shadow traffic")
    calls.set_alias("churn", 52, "champion")
    calls.set_alias("churn", 63, "challenger")


@pytest.mark.usefixtures("grown")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_picture_of_a_models_page(browser: Browser, server: Server, tmp_path: Path, scheme: str) -> None:
    """The page of a model, as README shows it, small enough to be loaded with it."""
    folder = Path(os.environ.get("TALLYMARK_TEST_PICTURES", tmp_path))
    context = browser.new_context(
        base_url=server.dashboard, color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": 1200, "height": 1000},
    )  # fmt: skip
    page = context.new_page()
    page.goto("/models/churn")
    expect(page.locator(".live")).to_have_text("live")
    expect(page.locator("#v63")).to_be_visible()
    picture = folder / f"dashboard-{scheme}.png"
    page.screenshot(path=picture)
    context.close()
    assert picture.stat().st_size < MOST_BYTES


def test_the_pictures_of_readme_are_there() -> None:
    """README shows the pictures that `make screenshots` makes."""
    for scheme in ("light", "dark"):
        assert f"docs/dashboard-{scheme}.png" in (ROOT / "README.md").read_text()
        assert (ROOT / f"docs/dashboard-{scheme}.png").stat().st_size < MOST_BYTES
