"""The HTML representations of models, versions and runs in notebooks."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from tallymark import Client, Uri
from tallymark.testing import Server

NASTY = "<script>alert('\"&')</script>"


class Table(HTMLParser):
    """Reads the tags of a table, its rows by heading, and its title."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self.feed(html)
        self.title, *rest = self.cells
        self.rows = dict(zip(rest[::2], rest[1::2], strict=True))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        self.cells[-1] += data


def shown(resource: Any) -> Table:
    return Table(resource._repr_html_())


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.address, actor="ana") as client:
        yield client


def test_a_version_is_shown_as_a_table(client: Client) -> None:
    """It has the number, name, stage, creator and metadata, but no empty rows."""
    client.create_model("churn")
    client.create_version("churn", "1.0.5", tags=["b", "a"], metadata={"auc": 0.9, "file": Uri("s3://x"), "list": [1]})
    table = shown(client.set_stage("churn/1", "production"))
    assert table.title == "churn No.1"
    assert table.rows.pop("created").endswith(" UTC by ana")
    assert table.rows == {
        "name": "1.0.5", "stage": "production", "tags": "a, b", "auc": "0.9", "file": "s3://x", "list": "[1]",
    }  # fmt: skip


def test_models_and_runs_are_shown_as_tables(client: Client) -> None:
    """A model has its description, a run its outcome."""
    table = shown(client.create_model("churn", description="d", license="MIT", trade_offs="slow"))
    assert table.title == "churn"
    assert (table.rows["license"], table.rows["trade-offs"], table.rows["last number"]) == ("MIT", "slow", "0")
    client.start_run("r1", pipeline="training")
    table = shown(client.finish_run("r1", "failed", error="step fit: ValueError"))
    assert table.title == "run r1"
    assert (table.rows["pipeline"], table.rows["state"], table.rows["error"]) == (
        "training", "failed", "step fit: ValueError",
    )  # fmt: skip
    assert "host" not in table.rows


def test_all_texts_are_escaped(client: Client) -> None:
    """Names, texts and metadata are shown as text, whatever they contain."""
    client.create_model("<b>", description=NASTY, tags=[NASTY])
    client.create_version("<b>", "<i>", description=NASTY, metadata={NASTY: NASTY, "list": [NASTY]})
    client.start_run("r1", pipeline=NASTY, host=NASTY)
    model, version, run = (
        client.get_model("<b>"),
        client.get_version("<b>"),
        client.finish_run("r1", "failed", error=NASTY),
    )
    for resource in (model, version, run):
        table = shown(resource)
        assert table.tags <= {"table", "thead", "tbody", "tr", "th", "td", "code"}
        assert NASTY in table.rows.values()
    assert (shown(model).title, shown(version).title) == ("<b>", "<b> No.1")
    assert shown(version).rows[NASTY] == NASTY


def test_a_table_is_small_and_needs_no_request(client: Client, server: Server) -> None:
    """Long texts are cut, and only the first of many values are shown."""
    client.create_model("churn")
    metadata = {"a": "x" * 10_000, **{f"key {number:03}": number for number in range(300)}}
    version = client.create_version("churn", metadata=metadata)
    server.stop()
    table = shown(version)
    assert len(table.rows["a"]) == 200
    assert table.rows["…"] == "251 more"
    assert len(version._repr_html_()) < 10_000
