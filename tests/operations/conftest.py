"""Fixtures: a real server with its metrics, and what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

import grpc
import pytest
from grpc_calls import Calls
from prometheus_client.parser import text_string_to_metric_families

from tallymark.testing import Server


class Page(NamedTuple):
    """An answer over HTTP."""

    status: int
    text: str


def page(url: str) -> Page:
    """Return the page at the address, whatever its status."""
    try:
        with urlopen(url, timeout=30) as answer:
            return Page(answer.status, answer.read().decode())
    except HTTPError as refused:
        return Page(refused.code, refused.read().decode())


class Scrape:
    """The figures of one scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = list(text_string_to_metric_families(text))

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of that name which have these labels, 0 for none."""
        return sum(
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


class Observed(NamedTuple):
    """A server, calls to it, and its addresses."""

    server: Server
    calls: Calls
    metrics: str

    @property
    def root(self) -> str:
        """The address of the probes."""
        return self.metrics.removesuffix("/metrics")

    def scrape(self) -> Scrape:
        return Scrape(page(self.metrics).text)


@pytest.fixture
def observed(tmp_path: Path) -> Iterator[Observed]:
    """A server on a new file that has a dashboard and metrics."""
    with Server(tmp_path / "tallymark.db", ("--metrics", "127.0.0.1:0"), http="127.0.0.1:0") as server:
        assert server._process is not None
        assert server._process.stdout is not None
        metrics = server._process.stdout.readline().rsplit(" at ", 1)[1].strip()
        with grpc.insecure_channel(server.address) as channel:
            yield Observed(server, Calls(channel), metrics)
