"""Erased content in the dashboard: marks instead of it, and the event that records the erasure."""

from __future__ import annotations

from tallymark import Client
from tallymark.testing import Server
from web.http_client import ask

SECRET = "hunter2-s3cr3t"


def test_pages_show_marks_and_the_event(server: Server) -> None:
    """No page has what was erased; the log's page says who erased what in each thing, and marks each event."""
    with Client(server.address) as client, Client(server.address, actor=SECRET) as careless:
        client.create_model("churn", description=SECRET)
        client.create_version("churn", description=SECRET, metadata={"key": SECRET})
        client.start_run("r1", parameters={"key": SECRET})
        careless.set_alias("churn/1", "champion", reason=SECRET)
        for name, *paths in (
            ("churn", "description"),
            ("churn/1", "description", "metadata.key", "reasons"),
            ("projects/default/runs/r1", "parameters"),
            ("", f"actors.{SECRET}"),
        ):
            client.erase(name, *paths, reason="a leaked key")
    pages = {
        address: ask(server.dashboard, address).text
        for address in ("/", "/models/churn", "/models/churn/versions/1", "/runs/r1", "/activity", "/activity.json")
    }
    for address, text in pages.items():
        assert SECRET not in text, address
    assert "[erased]" in pages["/models/churn/versions/1"]
    shown = pages["/activity"]
    for words in (
        "erased",
        "metadata.*",
        "actors.*",
        "the project",
        "a leaked key",
        "Content of this event was erased",
    ):
        assert words in shown
