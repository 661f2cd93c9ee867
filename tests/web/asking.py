"""Requests over plain HTTP, as curl makes them, and what the tests of the dashboard put into the registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from calling import Calls

from tallymark import Client, MetricPoint
from tallymark.v1 import model_pb2

TIMEOUT = 30
FORM = "application/x-www-form-urlencoded"
HOSTILE = """<script>document.title = "stolen"</script><img src=x onerror="alert(1)">"'{{ 7 * 7 }}&amp;"""
# What a name can hold of it: it has no `/ @ = :`.
HOSTILE_NAME = """<b onclick>"'&lt;{{ 7 * 7 }}.."""


class Answer:
    """What came back."""

    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def connected(url: str) -> Iterator[HTTPConnection]:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT)
    try:
        yield connection
    finally:
        connection.close()


def ask(url: str, path: str, method: str = "GET", body: Any = b"", **headers: str) -> Answer:
    """The answer to one request; `_` in the name of a header stands for `-`."""
    with connected(url) as connection:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=body, headers=named)
        return Answer(connection.getresponse())


def call(url: str, method: str, request: dict[str, Any], **headers: str) -> Answer:
    """The answer of a method of the contract, as JSON."""
    headers = {"content_type": "application/json", **headers}
    return ask(url, f"/tallymark.v1.{method}", "POST", json.dumps(request), **headers)


@contextmanager
def stream(url: str, path: str, **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
    """The events of a stream, each with its `id` when it has one."""
    with connected(url) as connection:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield events(response)


def events(response: HTTPResponse) -> Iterator[dict[str, Any]]:
    identity = ""
    for line in response:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "id":
            identity = value
        elif field == "data":
            yield {**json.loads(value), "id": identity}


def number(value: float) -> model_pb2.MetadataValue:
    return model_pb2.MetadataValue(number=value)


def furnished(calls: Calls, versions: int = 12) -> None:
    """The model `churn` with that many versions: 3 is in production, 4 in staging, and 5 is `champion`."""
    calls.create_model("churn", description="Who will **leave**", tags=["growth"])
    for index in range(1, versions + 1):
        name = f"1.{index}.0" if index % 5 == 0 else ""
        calls.create_version("churn", name, metadata={"auc": number(0.7 + index / 100)}, tags=["weekly"])
    calls.set_stage("churn", 2, model_pb2.STAGE_PRODUCTION, reason="first")
    calls.set_stage("churn", 3, model_pb2.STAGE_PRODUCTION, reason="better", force=True)
    calls.set_stage("churn", 4, model_pb2.STAGE_STAGING)
    calls.set_alias("churn", 5, "champion")


def traced(address: str) -> int:
    """The number of a version of `churn` that a run with parameters made of data and of another version.

    Everything that people can name is hostile: the pipeline, the step, a metric, an artifact and where it is.
    """
    with Client(address) as client:
        client.create_model("events")
        source = client.create_version("events")
        client.start_run("r7", pipeline=HOSTILE, commit="c0ffee" * 7, parameters={HOSTILE_NAME: HOSTILE, "depth": 6})
        made = client.ensure_version("churn", run="r7", step=HOSTILE_NAME).version
        client.ensure_version("events", str(source.number), run="r7")
        client.log_metrics(
            made.resource_name, [MetricPoint(HOSTILE_NAME, value=0.5 + step / 100, step=step) for step in range(9)]
        )
        used = {"digest": f"sha256:{'0' * 64}", "size": 4096, "role": "used", "run": "r7"}
        client.link_artifact(made.resource_name, "training data", "s3://bucket/train.parquet", **used)
        client.link_artifact(made.resource_name, HOSTILE_NAME, f"s3://bucket/{HOSTILE}", type="model", run="r7")
        return int(made.number)
