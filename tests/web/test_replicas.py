"""The dashboard of one replica shows what another has written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from faults.replicas import Replicas
from grpc_calls import Calls
from playwright.sync_api import Browser, expect
from postgres_server import Databases

from web.http_client import stream


@pytest.fixture
def replicas(postgres: Databases, tmp_path: Path) -> Iterator[Replicas]:
    """Two replicas on an empty database, with their dashboards."""
    with (
        postgres.new() as name,
        Replicas(postgres.url(name), tmp_path, 2, http="127.0.0.1:0") as running,
    ):
        yield running


@pytest.fixture
def calls(replicas: Replicas) -> Iterator[Calls]:
    """Calls to the first of them."""
    with grpc.insecure_channel(replicas.servers[0].address) as channel:
        yield Calls(channel)


def test_a_page_follows_changes_that_another_replica_makes(browser: Browser, replicas: Replicas, calls: Calls) -> None:
    """A version that one replica creates is in the open page of the other, without a reload, and after its restart."""
    calls.create_model("churn")
    other = replicas.servers[1]
    page = browser.new_page()
    page.goto(f"{other.dashboard}models/churn")
    expect(page.locator(".live")).to_have_text("live")
    calls.create_version("churn")
    expect(page.locator("#v1")).to_be_visible()
    other.kill()
    calls.create_version("churn")
    other.start()
    expect(page.locator("#v2")).to_be_visible(timeout=60_000)
    page.close()


def test_streams_of_all_replicas_report_the_same(replicas: Replicas, calls: Calls) -> None:
    """A change has the same id in the streams of every replica, so that a page can go on at any of them."""
    calls.create_model("churn")
    one, other = replicas.servers
    with (
        stream(one.dashboard, "/live", last_event_id="0") as here,
        stream(other.dashboard, "/live", last_event_id="0") as there,
    ):
        # What was before is not kept, so each says to reload, and has begun then.
        assert [next(here)["kind"], next(there)["kind"]] == ["refresh", "refresh"]
        for number in (1, 2):
            calls.create_version("churn")
            reported = next(here)
            assert (reported["kind"], reported["number"]) == ("version_created", number)
            assert next(there) == reported
